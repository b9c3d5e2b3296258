/// Listening sockets that several cores of a node share.
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "port/net.h"
#include "reactor/loop.h"
#include "reactor/sockets.h"

namespace dlog::reactor {

/// One listening socket and the cores that accept from it. Whichever core wakes takes connections
/// off the socket and deals them out to the cores in turn, so that each gets its share whatever it
/// is busy with; a core that does not accept gets a few dozen and then no more. Used from any core,
/// under its lock.
class ListenGroup {
  public:
    /// A connection that was taken off the socket. Owns the descriptor.
    struct Taken {
        Taken() = default;
        Taken(Taken&& other) noexcept : fd(std::exchange(other.fd, -1)), peer(other.peer) {}
        Taken& operator=(Taken&& other) noexcept {
            std::swap(fd, other.fd);
            peer = other.peer;
            return *this;
        }
        ~Taken();
        int fd = -1;
        SocketAddress peer;
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

    /// False when the core is a member already.
    [[nodiscard]] bool join(CoreId core);
    /// From now on the member gets connections.
    void attach(Loop& loop);
    /// Resumes the member's waiter with nothing and gives what it had to the others.
    void leave(Loop& loop);

    /// The next connection dealt to this core, or `waiter` is resumed when there is one. `error` is
    /// EAGAIN, or what keeps the socket from being emptied.
    [[nodiscard]] std::optional<Taken> accept(CoreId core, std::coroutine_handle<> waiter,
                                              int& error);
    /// Deals out what has come. EAGAIN when all is well.
    [[nodiscard]] int pump();

  private:
    struct Member {
        CoreId core;
        Loop* loop = nullptr;  // null until it is attached
        std::coroutine_handle<> waiter = nullptr;
        std::vector<Taken> dealt;
    };

    [[nodiscard]] int deal_all();
    [[nodiscard]] int take(Taken& taken);
    [[nodiscard]] Member* next_with_room();
    [[nodiscard]] Member& member(CoreId core);
    static void give(Member& member, Taken taken);

    const port::Endpoint asked_;
    const port::Endpoint bound_;
    const int fd_;
    std::mutex mutex_;
    std::vector<Member> members_;
    std::size_t next_ = 0;  // whose turn it is
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
