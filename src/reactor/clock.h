/// The real clock of one core: CLOCK_MONOTONIC read once or twice a loop turn, and its timers in a
/// heap.
#pragma once

#include <vector>

#include "base/time.h"
#include "port/clock.h"

namespace dlog::reactor {

/// Owned by one core's loop. `now()` is cached: it is read when the loop wakes and again after it
/// has handled the events it woke for, so within one turn time stands still. `wall_now()` is read
/// each time. Timers lie in a 4-ary heap by (deadline, sequence); arming and disarming cost O(log
/// n) and no allocation.
class CoreClock final : public port::Clock {
  public:
    CoreClock() { refresh(); }
    [[nodiscard]] Instant now() const override { return now_; }
    [[nodiscard]] Instant exact_now() const override;
    [[nodiscard]] Timestamp wall_now() const override;

    void refresh();
    /// Fires what is due. A timer that is armed meanwhile, even for the past, waits for the next
    /// call.
    void fire_due();
    /// kNever when no timer is armed.
    [[nodiscard]] Instant next_deadline() const;
    [[nodiscard]] std::size_t armed_count() const { return heap_.size(); }

  protected:
    void insert(port::Timer& timer) override;
    void erase(port::Timer& timer) override;

  private:
    struct Entry {
        Instant deadline;
        std::uint64_t sequence = 0;
        port::Timer* timer = nullptr;
        [[nodiscard]] bool is_before(const Entry& other) const {
            return deadline != other.deadline ? deadline < other.deadline
                                              : sequence < other.sequence;
        }
    };
    void place(std::size_t slot, const Entry& entry);
    void sift_up(std::size_t slot, const Entry& entry);
    void sift_down(std::size_t slot, const Entry& entry);

    std::vector<Entry> heap_;
    Instant now_;
};

}  // namespace dlog::reactor
