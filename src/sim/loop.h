/// Virtual time: the queue of what will happen, and the one place from which everything runs.
#pragma once

#include <compare>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>

#include "base/random.h"
#include "base/time.h"
#include "sim/effects.h"

namespace dlog::sim {

/// A core of a host, as the loop sees it. Its life counts up at every crash: what was queued for an
/// earlier life never runs.
struct Place {
    std::uint32_t host = 0;
    std::uint32_t core = 0;
    std::uint64_t life = 1;
    bool is_up = true;
};

/// Names a queued event. Events run in this order.
struct EventId {
    Instant time;
    std::uint64_t sequence = 0;
    constexpr auto operator<=>(const EventId&) const = default;
    [[nodiscard]] constexpr bool is_set() const { return sequence != 0; }
};

using Action = std::move_only_function<void()>;

/// The clock jumps from one event to the next; nothing else moves it. One thread owns the loop and
/// all that hangs on it.
class Loop {
  public:
    explicit Loop(std::uint64_t seed) : random_(seed) {}
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    [[nodiscard]] Instant now() const { return now_; }
    [[nodiscard]] EffectHash& effects() { return effects_; }
    /// The generator that the generators of all components are forked from.
    [[nodiscard]] Random& random() { return random_; }

    /// Queues `action` for `at`, or for now when that has passed. With a place, it runs as that
    /// core, and only while the core lives the life it lives now.
    EventId schedule(Instant at, Place* place, Action action);
    /// False when it has run already.
    bool cancel(EventId id);

    [[nodiscard]] bool is_idle() const { return events_.empty(); }
    /// The time of the next event; the queue is not empty.
    [[nodiscard]] Instant next_time() const { return events_.begin()->first.time; }
    /// Runs the next event.
    void step();
    /// Lets time pass without anything happening; no event is due before `until`.
    void advance(Instant until);

    [[nodiscard]] bool is_stepping() const { return is_stepping_; }
    /// The core that runs now; null between events and in the test's own code.
    [[nodiscard]] Place* current() const { return current_; }
    /// Asserts that the code that runs now may use what `place` owns.
    void assert_may_use(const Place& place) const;

    /// Makes `place` the running core for a scope.
    class Running {
      public:
        Running(Loop& loop, Place* place) : loop_(loop), before_(loop.current_) {
            loop_.current_ = place;
        }
        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;
        ~Running() { loop_.current_ = before_; }

      private:
        Loop& loop_;
        Place* before_;
    };

  private:
    struct Event {
        Place* place = nullptr;
        std::uint64_t life = 0;
        Action action;
    };
    Random random_;
    EffectHash effects_;
    std::map<EventId, Event> events_;
    Instant now_{0};
    std::uint64_t next_sequence_ = 1;
    Place* current_ = nullptr;
    bool is_stepping_ = false;
};

/// `co_await Pause(loop, place, until)`: resumes at that virtual time. Destroying it while
/// suspended cancels the event.
class Pause {
  public:
    Pause(Loop& loop, Place& place, Instant until) : loop_(loop), place_(place), until_(until) {}
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
    ~Pause();
    [[nodiscard]] bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    void await_resume() const {}

  private:
    Loop& loop_;
    Place& place_;
    Instant until_;
    EventId event_;
};

/// What one coroutine at a time waits at until somebody rings. Like a Notifier it stores no signal:
/// check, then wait, in a loop. The waiter is resumed by an event of its own core, never inside
/// `ring`.
class Doorbell {
  public:
    Doorbell() = default;
    Doorbell(const Doorbell&) = delete;
    Doorbell& operator=(const Doorbell&) = delete;
    ~Doorbell();

    void ring();
    [[nodiscard]] bool has_waiter() const { return waiter_ != nullptr; }

    class Wait {
      public:
        Wait(Doorbell& bell, Loop& loop, Place& place) : bell_(&bell), loop_(loop), place_(place) {}
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        ~Wait();
        [[nodiscard]] bool await_ready() const { return false; }
        void await_suspend(std::coroutine_handle<> handle);
        void await_resume() const {}

      private:
        friend class Doorbell;
        void leave();
        Doorbell* bell_;
        Loop& loop_;
        Place& place_;
        std::coroutine_handle<> handle_;
        EventId event_;
    };
    [[nodiscard]] Wait wait(Loop& loop, Place& place) { return Wait(*this, loop, place); }

  private:
    Wait* waiter_ = nullptr;
};

}  // namespace dlog::sim
