/// The heap of timers against a plain model.
#include "reactor/clock.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/random.h"

using namespace dlog;
using namespace dlog::reactor;

namespace {

class Noting final : public port::Timer {
  public:
    Noting(int number, std::vector<int>& fired_numbers)
        : number_(number), fired_numbers_(fired_numbers) {}
    void fired() override { fired_numbers_.push_back(number_); }

  private:
    int number_;
    std::vector<int>& fired_numbers_;
};

/// Arms itself again for a time that has passed.
class Restless final : public port::Timer {
  public:
    explicit Restless(port::Clock& clock) : clock_(clock) {}
    void fired() override {
        ++count;
        clock_.arm(*this, Instant{0});
    }
    int count = 0;

  private:
    port::Clock& clock_;
};

}  // namespace

TEST_CASE("timers fire by deadline, equal ones in the order they were armed, disarmed ones never") {
    CoreClock clock;
    Random random(11);
    std::vector<int> fired;
    std::vector<std::unique_ptr<Noting>> timers;
    std::vector<std::pair<std::int64_t, int>> model;
    const Instant now = clock.now();
    for (int i = 0; i < 2'000; ++i) {
        const std::int64_t deadline_ns = now.ns - random.between(0, 50);
        timers.push_back(std::make_unique<Noting>(i, fired));
        clock.arm(*timers.back(), Instant{deadline_ns});
        model.emplace_back(deadline_ns, i);
    }
    for (std::size_t i = 0; i < timers.size(); ++i) {
        if (!random.chance(1, 3)) continue;
        if (random.chance(1, 2)) {
            clock.disarm(*timers[i]);
            CHECK(!timers[i]->is_armed());
        } else {
            timers[i].reset();  // destroying disarms
        }
        std::erase_if(model,
                      [i](const auto& entry) { return entry.second == static_cast<int>(i); });
    }
    Noting later(-1, fired);
    clock.arm(later, now + seconds(1'000));
    CHECK(clock.armed_count() == model.size() + 1);
    std::sort(model.begin(), model.end());  // timers were armed in the order of their numbers
    clock.fire_due();
    REQUIRE(fired.size() == model.size());
    for (std::size_t i = 0; i < fired.size(); ++i) CHECK(fired[i] == model[i].second);
    CHECK(clock.next_deadline() == now + seconds(1'000));
}

TEST_CASE("within a turn time stands still but for who measures") {
    CoreClock clock;
    const Instant turn = clock.now();
    const Instant begin = clock.exact_now();
    CHECK(begin >= turn);
    Instant later = begin;
    while (later == begin) later = clock.exact_now();
    CHECK(later > begin);
    CHECK(clock.now() == turn);
    clock.refresh();
    CHECK(clock.now() >= later);
}

TEST_CASE("a timer that arms itself for the past fires once a call") {
    CoreClock clock;
    Restless timer(clock);
    clock.arm(timer, Instant{0});
    clock.fire_due();
    CHECK(timer.count == 1);
    clock.fire_due();
    CHECK(timer.count == 2);
    CHECK(timer.is_armed());
}
