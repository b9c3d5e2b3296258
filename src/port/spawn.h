/// The Spawn port: starting coroutines and reaching other cores.
#pragma once

#include <coroutine>
#include <functional>

#include "base/ids.h"
#include "port/task.h"

namespace dlog::port {

class Spawn {
  public:
    virtual ~Spawn() = default;
    /// The core that this object belongs to, and how many there are.
    [[nodiscard]] virtual CoreId core() const = 0;
    [[nodiscard]] virtual std::uint32_t core_count() const = 0;

    /// Runs `task` here until it first suspends; then it lives by itself.
    virtual void spawn(Task<void> task) { start_detached(std::move(task)); }

    /// Puts `handle` into the mailbox of `core`, whose loop resumes it. Mailboxes keep the order in
    /// which one core posts to another. May be called from any core.
    virtual void post(CoreId core, std::coroutine_handle<> handle) = 0;

    /// Runs `work` on the bounded pool for long computations and continues here when it is done.
    /// `work` touches nothing that a core owns.
    virtual Task<void> offload(std::move_only_function<void()> work) = 0;
};

/// `co_await hop(spawn, core)`: continue on `core`. What the coroutine holds moves with it. Free
/// when already there.
struct Hop {
    Spawn& spawn;
    CoreId target;
    [[nodiscard]] bool await_ready() const { return spawn.core() == target; }
    void await_suspend(std::coroutine_handle<> self) const { spawn.post(target, self); }
    void await_resume() const {}
};

/// `spawn` belongs to the core that runs now.
[[nodiscard]] inline Hop hop(Spawn& spawn, CoreId target) {
    return Hop{spawn, target};
}

/// `co_await yield(spawn)`: let everything else that is ready on this core run first.
struct Yield {
    Spawn& spawn;
    [[nodiscard]] bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> self) const { spawn.post(spawn.core(), self); }
    void await_resume() const {}
};
[[nodiscard]] inline Yield yield(Spawn& spawn) {
    return Yield{spawn};
}

}  // namespace dlog::port
