/// The coroutines that live by themselves, so that a stop can end those that would never end.
#pragma once

#include <coroutine>
#include <mutex>

#include "port/sync.h"
#include "port/task.h"

namespace dlog::reactor {

/// The detached coroutines that one core started and that have not ended. One may end on another
/// core: hence the lock.
class Roots {
  public:
    Roots() = default;
    Roots(const Roots&) = delete;
    Roots& operator=(const Roots&) = delete;
    ~Roots();

    /// A suspended coroutine that runs `task` and then frees itself.
    [[nodiscard]] std::coroutine_handle<> start(port::Task<void> task);
    /// Destroys what is left, newest first, with everything their frames own. Nothing may run them
    /// meanwhile.
    void destroy_all();

  private:
    friend struct Root;
    void add(port::detail::WaitLink& link);
    void remove(port::detail::WaitLink& link);

    std::mutex mutex_;
    port::detail::WaitLink ring_;
};

}  // namespace dlog::reactor
