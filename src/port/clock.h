/// The Clock port: what time it is, and being woken.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "base/time.h"

namespace dlog::port {

/// A one-shot alarm that its owner embeds. It fires on its clock's core. Destroying an armed timer
/// disarms it.
class Timer {
  public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    virtual ~Timer();
    /// Called once when the deadline has come; the timer is then disarmed and may be armed again.
    virtual void fired() = 0;

    [[nodiscard]] bool is_armed() const { return clock_ != nullptr; }
    [[nodiscard]] Instant deadline() const { return deadline_; }

  private:
    friend class Clock;
    class Clock* clock_ = nullptr;
    Instant deadline_ = kNever;
    std::uint64_t sequence_ = 0;  // orders equal deadlines by when they were armed
    std::size_t slot_ = 0;        // the clock's own note of where it keeps this timer
};

class Clock {
  public:
    virtual ~Clock() = default;
    /// May stand still within one turn of the core's loop.
    [[nodiscard]] virtual Instant now() const = 0;
    /// Never stands still, to measure with: what lies within one turn, too.
    [[nodiscard]] virtual Instant exact_now() const { return now(); }
    /// Milliseconds since the Unix epoch; may jump.
    [[nodiscard]] virtual Timestamp wall_now() const = 0;

    /// Arms `timer`, which is not armed, to fire at `deadline` or as soon after it as the core can.
    void arm(Timer& timer, Instant deadline);
    void disarm(Timer& timer);

  protected:
    /// The body keeps armed timers in order of (deadline, sequence).
    virtual void insert(Timer& timer) = 0;
    virtual void erase(Timer& timer) = 0;
    /// For bodies: takes the timer out of the armed state and calls it.
    static void fire(Timer& timer);
    [[nodiscard]] static std::uint64_t sequence_of(const Timer& timer) { return timer.sequence_; }
    [[nodiscard]] static std::size_t& slot_of(Timer& timer) { return timer.slot_; }

  private:
    std::uint64_t next_sequence_ = 0;
};

/// `co_await SleepUntil(clock, deadline)`.
class SleepUntil final : public Timer {
  public:
    SleepUntil(Clock& clock, Instant deadline) : clock_to_use_(clock), wanted_(deadline) {}
    [[nodiscard]] bool await_ready() const { return clock_to_use_.now() >= wanted_; }
    void await_suspend(std::coroutine_handle<> waiter) {
        waiter_ = waiter;
        clock_to_use_.arm(*this, wanted_);
    }
    void await_resume() const {}
    void fired() override { waiter_.resume(); }

  private:
    Clock& clock_to_use_;
    Instant wanted_;
    std::coroutine_handle<> waiter_;
};

[[nodiscard]] inline SleepUntil sleep_for(Clock& clock, Duration span) {
    return SleepUntil(clock, clock.now() + span);
}

}  // namespace dlog::port
