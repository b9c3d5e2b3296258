/// Listening sockets that several cores of a node share.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "port/net.h"
#include "reactor/loop.h"
#include "reactor/sockets.h"

namespace dlog::reactor {

class CoreListener;

/// One listening socket and the cores that accept from it. Whichever core wakes takes connections
/// off the socket and gives each to the accept that has waited longest, so that the cores take
/// turns; with nobody waiting, connections stay in the kernel's queue. Used from any core, under
/// its lock.
class ListenGroup {
  public:
    /// What an accept waits with; it lives in the accepting coroutine's frame. Owns the descriptor
    /// it was given.
    struct Waiter {
        CoreListener* listener = nullptr;
        std::coroutine_handle<> handle = nullptr;
        int fd = -1;
        SocketAddress peer = {};
        ~Waiter();
    };

    ListenGroup(port::Endpoint asked, port::Endpoint bound, int fd)
        : asked_(std::move(asked)), bound_(std::move(bound)), fd_(fd) {}
    ListenGroup(const ListenGroup&) = delete;
    ListenGroup& operator=(const ListenGroup&) = delete;
    ~ListenGroup();

    [[nodiscard]] const port::Endpoint& bound() const { return bound_; }
    [[nodiscard]] int fd() const { return fd_; }
    /// Whether who asks for `endpoint` means this group.
    [[nodiscard]] bool serves(const port::Endpoint& endpoint) const;

    /// The group's members, by core; a core joins once.
    [[nodiscard]] bool join(CoreId core);
    /// Resumes the listener's waiters with nothing.
    void leave(CoreId core, CoreListener& listener);

    /// 0 when the waiter has its connection at once; else it waits to be posted, EAGAIN when all is
    /// well.
    [[nodiscard]] int accept(Waiter& waiter);
    /// Takes what has come and posts the waiters that got something. EAGAIN when all is well.
    [[nodiscard]] int pump();

  private:
    int take(Waiter& waiter);

    const port::Endpoint asked_;
    const port::Endpoint bound_;
    const int fd_;
    std::mutex mutex_;
    std::vector<CoreId> members_;
    std::deque<Waiter*> waiting_;
};

/// The groups of one node. Any thread.
class ListenRegistry {
  public:
    /// Joins the oldest group for `endpoint` that `core` is not in, or opens a new socket at
    /// `address`. So the cores share an endpoint, and port 0 means the port that the first core
    /// got; the second call for port 0 on the same core begins another group.
    [[nodiscard]] port::NetResult<std::shared_ptr<ListenGroup>> join(CoreId core,
                                                                     const port::Endpoint& endpoint,
                                                                     const SocketAddress& address);

  private:
    std::mutex mutex_;
    std::vector<std::weak_ptr<ListenGroup>> groups_;
};

/// One core's end of a group.
class CoreListener final : public port::Listener, private Pollable {
  public:
    CoreListener(Loop& loop, std::shared_ptr<ListenGroup> group);
    ~CoreListener() override;

    [[nodiscard]] bool start();
    port::Task<port::NetResult<port::ConnectionPtr>> accept() override;
    [[nodiscard]] port::Endpoint endpoint() const override { return group_->bound(); }
    void close() override;

    [[nodiscard]] Loop& loop() { return loop_; }
    /// Logs, once until an accept succeeds, that the process lacks descriptors or memory, and has
    /// the group pumped again after a pause.
    void pause(int error);

  private:
    /// Tries again after the process ran out of descriptors.
    class Retry final : public port::Timer {
      public:
        explicit Retry(CoreListener& listener) : listener_(listener) {}
        void fired() override;

      private:
        CoreListener& listener_;
    };

    void on_events(std::uint32_t events) override;
    void on_stop() override { close(); }

    Loop& loop_;
    const std::shared_ptr<ListenGroup> group_;
    Retry retry_;
    bool is_closed_ = false;
    bool has_complained_ = false;
};

}  // namespace dlog::reactor
