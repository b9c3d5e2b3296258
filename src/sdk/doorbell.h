/// How other threads get the attention of a coroutine on the client's thread.
#pragma once

#include <coroutine>
#include <mutex>

#include "base/ids.h"
#include "port/spawn.h"

namespace dlog::sdk {

/// Any thread rings; one coroutine waits, `co_await bell.rung()` in a loop. However often it was
/// rung since the last time, it is heard once: one message to the other thread a batch of work.
class Doorbell {
  public:
    explicit Doorbell(port::Spawn& spawn) : spawn_(spawn) {}
    Doorbell(const Doorbell&) = delete;
    Doorbell& operator=(const Doorbell&) = delete;

    void ring() {
        const std::lock_guard lock(mutex_);
        if (is_rung_ || is_silenced_) return;
        is_rung_ = true;
        if (waiter_) spawn_.post(CoreId(0), waiter_);
    }
    /// From now on nothing is posted: the client's thread is about to end.
    void silence() {
        const std::lock_guard lock(mutex_);
        is_silenced_ = true;
    }

    class Rung {
      public:
        explicit Rung(Doorbell& bell) : bell_(bell) {}
        Rung(const Rung&) = delete;
        Rung& operator=(const Rung&) = delete;
        // Also when the coroutine is destroyed while it waits.
        ~Rung() {
            const std::lock_guard lock(bell_.mutex_);
            bell_.waiter_ = nullptr;
        }
        [[nodiscard]] bool await_ready() const { return false; }
        bool await_suspend(std::coroutine_handle<> waiter) {
            const std::lock_guard lock(bell_.mutex_);
            if (bell_.is_rung_) return false;
            bell_.waiter_ = waiter;
            return true;
        }
        void await_resume() {
            const std::lock_guard lock(bell_.mutex_);
            bell_.is_rung_ = false;
            bell_.waiter_ = nullptr;
        }

      private:
        Doorbell& bell_;
    };
    [[nodiscard]] Rung rung() { return Rung(*this); }

  private:
    port::Spawn& spawn_;
    std::mutex mutex_;
    std::coroutine_handle<> waiter_;
    bool is_rung_ = false;
    bool is_silenced_ = false;
};

}  // namespace dlog::sdk
