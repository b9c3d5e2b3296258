#include "sim/core.h"

#include "base/assert.h"
#include "port/teardown.h"

namespace dlog::sim {

Duration draw(Random& random, const Latency& latency) {
    const std::int64_t span = random.between(latency.least.ns, latency.most.ns);
    if (latency.slow_one_in == 0 || !random.chance(1, latency.slow_one_in)) return {span};
    return {span * random.between(1, latency.slow_factor)};
}

bool happens(Random& random, Rate rate) {
    return rate.one_in != 0 && random.chance(1, rate.one_in);
}

/// The frame under one spawned task. Its promise stands in the host's list until the frame goes.
struct Roots::Root {
    struct promise_type : port::detail::WaitLink {
        Roots& roots;

        promise_type(Roots& owner, port::Task<void>&) : roots(owner) {
            insert_before(roots.frames_);
            ++roots.count_;
        }
        ~promise_type() { --roots.count_; }
        Root get_return_object() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    };
};

Roots::Root Roots::run(Roots& /*roots*/, port::Task<void> task) {
    co_await std::move(task);
}

void Roots::start(port::Task<void> task) {
    run(*this, std::move(task));
}

void Roots::destroy_all() {
    const port::Teardown teardown;
    while (!frames_.is_alone()) {
        auto& promise = static_cast<Root::promise_type&>(*frames_.previous);
        std::coroutine_handle<Root::promise_type>::from_promise(promise).destroy();
    }
    DLOG_ASSERT(count_ == 0, count_);
}

SimClock::~SimClock() {
    DLOG_ASSERT(armed_.empty(), armed_.size());
}

Timestamp SimClock::wall_now() const {
    return {kEpoch.ms + Duration{loop_.now().ns + wall_skew_.ns}.ms()};
}

void SimClock::insert(port::Timer& timer) {
    loop_.assert_may_use(place_);
    const auto at = armed_.emplace(std::pair(timer.deadline(), sequence_of(timer)), &timer).first;
    if (at == armed_.begin()) await_first();
}

void SimClock::erase(port::Timer& timer) {
    const auto found = armed_.find(std::pair(timer.deadline(), sequence_of(timer)));
    DLOG_ASSERT(found != armed_.end() && found->second == &timer);
    const bool was_first = found == armed_.begin();
    armed_.erase(found);
    if (was_first) await_first();
}

void SimClock::await_first() {
    if (wake_.is_set()) loop_.cancel(wake_);
    wake_ = EventId{};
    if (armed_.empty()) return;
    const Instant deadline = armed_.begin()->first.first;
    if (deadline.ns > kNever.ns / 2) return;
    const Instant due = deadline < loop_.now() ? loop_.now() : deadline;
    wake_ = loop_.schedule(due + draw(random_, options_.timer), &place_, [this] { run_first(); });
}

void SimClock::run_first() {
    wake_ = EventId{};
    DLOG_ASSERT(!armed_.empty());
    port::Timer& timer = *armed_.begin()->second;
    DLOG_ASSERT(timer.deadline() <= loop_.now(), timer.deadline().ns, loop_.now().ns);
    armed_.erase(armed_.begin());
    await_first();
    fire(timer);
}

void SimSpawn::spawn(port::Task<void> task) {
    DLOG_ASSERT(!port::Teardown::is_under_way());
    Place& place = places_[core_.value];
    loop_.assert_may_use(place);
    const Loop::Running running(loop_, &place);
    roots_.start(std::move(task));
}

void SimSpawn::post(CoreId core, std::coroutine_handle<> handle) {
    DLOG_ASSERT(core.value < places_.size(), core, places_.size());
    if (port::Teardown::is_under_way()) return;
    Instant at = loop_.now() + draw(random_, options_.hop);
    if (at < last_delivery_[core.value]) at = last_delivery_[core.value];
    last_delivery_[core.value] = at;
    loop_.effects().fold(Effect::kSpawn, core_.value, core.value);
    loop_.schedule(at, &places_[core.value], [handle] { handle.resume(); });
}

port::Task<void> SimSpawn::offload(std::move_only_function<void()> work) {
    Place& place = places_[core_.value];
    loop_.assert_may_use(place);
    const Instant start = loop_.now() + draw(random_, options_.offload);
    co_await Pause(loop_, place, start);
    {
        // The pool is no core: work that touches a core's ports is a race.
        static Place pool{.host = UINT32_MAX, .core = UINT32_MAX};
        const Loop::Running running(loop_, &pool);
        work();
    }
    co_await Pause(loop_, place, loop_.now() + draw(random_, options_.offload));
}

std::uint64_t SimEntropy::next() {
    loop_.assert_may_use(place_);
    const std::uint64_t number = random_.next();
    loop_.effects().fold(Effect::kEntropy, number);
    return number;
}

}  // namespace dlog::sim
