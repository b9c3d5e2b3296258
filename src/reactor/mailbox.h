/// A core's mailbox: coroutines that other threads want to run on that core.
#pragma once

#include <coroutine>
#include <mutex>
#include <span>
#include <vector>

namespace dlog::reactor {

/// Many senders, one receiver, first come first served. The lock is held for a push or a swap. The
/// receiver says when it is about to sleep; the first sender after that is told to wake it, so that
/// a burst costs one wake.
class Mailbox {
  public:
    /// Any thread. True when the receiver sleeps and the caller must wake it.
    [[nodiscard]] bool push(std::coroutine_handle<> handle);
    [[nodiscard]] bool push_all(std::span<const std::coroutine_handle<>> handles);
    /// Any thread. Like a push of nothing.
    [[nodiscard]] bool poke();

    /// The receiver: appends what has come to `into`. With `may_sleep` and nothing there it is
    /// marked as sleeping. True when it may sleep.
    [[nodiscard]] bool take(std::vector<std::coroutine_handle<>>& into, bool may_sleep);
    [[nodiscard]] bool is_empty();
    void clear();

  private:
    std::mutex mutex_;
    std::vector<std::coroutine_handle<>> handles_;
    bool is_asleep_ = false;
    bool is_poked_ = false;
};

}  // namespace dlog::reactor
