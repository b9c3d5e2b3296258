/// What coroutines of one core wait with. None of it may be touched from another core.
#pragma once

#include <coroutine>
#include <cstdint>

#include "base/assert.h"
#include "base/time.h"
#include "port/clock.h"

namespace dlog::port {

namespace detail {

/// A place in a circular list; alone, it points at itself.
struct WaitLink {
    WaitLink* previous = this;
    WaitLink* next = this;

    WaitLink() = default;
    WaitLink(const WaitLink&) = delete;
    WaitLink& operator=(const WaitLink&) = delete;
    ~WaitLink() { unlink(); }
    [[nodiscard]] bool is_alone() const { return next == this; }
    void unlink() {
        previous->next = next;
        next->previous = previous;
        previous = this;
        next = this;
    }
    void insert_before(WaitLink& place) {
        previous = place.previous;
        next = &place;
        previous->next = this;
        place.previous = this;
    }
};

}  // namespace detail

/// Wakes all who wait. There is no stored signal: check the condition, then wait, in a loop. A
/// coroutine that is destroyed while it waits leaves the list.
class Notifier {
  public:
    Notifier() = default;
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;
    ~Notifier();

    /// Resumes, in the order they came, those who were waiting at the time of the call.
    void notify_all();
    [[nodiscard]] bool has_waiters() const { return !waiters_.is_alone(); }

    class Listener;
    class Waiter;
    /// Calls `listener` at the next notification, once; it listens nowhere else. By a listener at
    /// each, one coroutine waits for many notifiers.
    void add(Listener& listener);

    /// `co_await notifier.wait()`.
    [[nodiscard]] Waiter wait();
    /// `bool notified = co_await notifier.wait_until(clock, deadline)`: false when the deadline
    /// came first.
    [[nodiscard]] Waiter wait_until(Clock& clock, Instant deadline);

  private:
    detail::WaitLink waiters_;
};

/// What a notification calls. Destroying it, or `stop_listening`, takes it back.
class Notifier::Listener : private detail::WaitLink {
  public:
    [[nodiscard]] bool is_listening() const { return !is_alone(); }
    void stop_listening() { unlink(); }

  protected:
    ~Listener() = default;
    virtual void notified() = 0;

  private:
    friend class Notifier;
};

class Notifier::Waiter final : private Timer, private Listener {
  public:
    Waiter(Notifier& owner, Clock* clock, Instant deadline)
        : owner_(owner), clock_(clock), wanted_(deadline) {}
    [[nodiscard]] bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    bool await_resume() const { return was_notified_; }

  private:
    friend class Notifier;
    void fired() override;
    void notified() override;
    Notifier& owner_;
    Clock* clock_;
    Instant wanted_;
    std::coroutine_handle<> handle_;
    bool was_notified_ = false;
};

/// Counts what is under way so that a stop can wait for it.
class Gate {
  public:
    /// Held while a piece of work runs.
    class Hold {
      public:
        Hold() = default;
        explicit Hold(Gate& gate) : gate_(&gate) { ++gate.held_; }
        Hold(Hold&& other) noexcept : gate_(other.gate_) { other.gate_ = nullptr; }
        Hold& operator=(Hold&& other) noexcept {
            Gate* mine = gate_;
            gate_ = other.gate_;
            other.gate_ = mine;
            return *this;
        }
        ~Hold() {
            if (gate_ != nullptr) gate_->release();
        }

      private:
        Gate* gate_ = nullptr;
    };

    [[nodiscard]] Hold enter() { return Hold(*this); }
    [[nodiscard]] std::uint64_t held() const { return held_; }
    [[nodiscard]] bool is_closed() const { return is_closed_; }
    void close() { is_closed_ = true; }
    /// `co_await` in a loop: `while (gate.held() > 0) co_await gate.left().wait();`
    [[nodiscard]] Notifier& left() { return left_; }

  private:
    void release();
    Notifier left_;
    std::uint64_t held_ = 0;
    bool is_closed_ = false;
};

}  // namespace dlog::port
