/// The real world of a node: one loop per core on a thread of its own, and the five ports of each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/ids.h"
#include "base/time.h"
#include "port/ports.h"
#include "port/task.h"

namespace dlog::reactor {

struct Options {
    /// Loops and their threads; 0 is one for each processor this process may use.
    std::uint32_t core_count = 0;
    /// Threads for file I/O, shared by all cores. They start when they are needed.
    std::uint32_t io_threads = 4;
    /// Threads for `Spawn::offload` and host names; 0 is one for each core.
    std::uint32_t compute_threads = 0;
    /// Null drops all lines. Must outlive the reactor.
    LogSink* log = nullptr;
    /// Whether SIGTERM and SIGINT are for `on_signal`. Then the reactor is made before the process
    /// starts any thread.
    bool handles_signals = false;
    /// Whether SIGPIPE and SIGXFSZ are ignored from now on. A library in somebody else's process
    /// leaves them alone: what it does to sockets raises neither, what it does to files may.
    bool ignores_signals = true;
    /// How long `stop` waits for coroutines that still have I/O to do.
    Duration drain_limit = seconds(10);
};

/// Made, and stopped, by a thread that is none of its cores, usually the main one.
/// A stop: every connection and listener closes, so that what is pending on them ends with kClosed;
/// file operations and what follows from them go on until no core has anything left to do but wait
/// for time or for each other; then the threads are joined and the coroutines that still wait are
/// destroyed, newest first.
class Reactor {
  public:
    explicit Reactor(Options options);
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;
    ~Reactor();

    [[nodiscard]] std::uint32_t core_count() const;
    [[nodiscard]] port::Ports& ports(CoreId core);

    using Start = std::move_only_function<port::Task<void>(port::Ports&)>;
    /// Any thread: calls `start` on `core` and lets its task live there. `start` itself lives as
    /// long as the task.
    void run(CoreId core, Start start);
    /// A thread that is no core: `run`, and wait for the task's end.
    void run_and_wait(CoreId core, Start start);

    /// Calls `handler` on core 0 for each SIGTERM and SIGINT from now on. Once, with
    /// `handles_signals`.
    void on_signal(std::move_only_function<void(int)> handler);

    /// Any thread, a core's too: lets `wait` return.
    void request_stop();
    /// A thread that is no core: blocks until `request_stop`.
    void wait();
    void stop();

  private:
    class Body;
    std::unique_ptr<Body> body_;
};

}  // namespace dlog::reactor
