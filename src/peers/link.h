/// One connection that this core keeps to another node, for one purpose.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/frame.h"
#include "peers/cargo.h"
#include "port/net.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::peers {

struct Desk;

/// Lives on its desk's core. The connection is made when there is something to send for the first
/// time, kept, and made again after a pause when it breaks; each time it breaks, or cannot be made,
/// the cargo hears of it.
class Link {
  public:
    Link(Desk& desk, NodeId to, consensus::raft::Purpose purpose, Cargo& cargo,
         Duration backoff_most);
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// The cargo is not empty. Not from within a call of Links: what is taken may be sent at once.
    void wake();
    /// The other node has just been heard: a pause ends here.
    void hear() { heard_.notify_all(); }
    /// The other node is lost, or a new process: what leads to one before `incarnation` is closed.
    void reset(std::uint64_t incarnation);
    /// For good; `run` ends soon.
    void close();

  private:
    /// A connect that may be given up: it ends by itself later, and what it made is dropped then.
    struct Attempt {
        bool is_done = false;
        port::NetResult<port::ConnectionPtr> result;
        port::Notifier done;
    };
    static port::Task<void> connect_into(port::Net* net, port::Endpoint endpoint,
                                         std::shared_ptr<Attempt> attempt);

    port::Task<void> run();
    port::Task<bool> open();
    port::Task<port::NetResult<port::ConnectionPtr>> connect(Instant deadline);
    port::Task<bool> greet(Instant deadline);
    [[nodiscard]] bool is_answer(const Frame& frame);
    void complain(std::string_view reason);
    port::Task<void> carry();
    port::Task<void> listen();

    Desk& desk_;
    const NodeId to_;
    const consensus::raft::Purpose purpose_;
    Cargo& cargo_;
    const Duration backoff_most_;
    std::shared_ptr<Attempt> attempt_;
    port::ConnectionPtr connection_;
    /// The process at the other end.
    std::uint64_t incarnation_ = 0;
    port::Notifier changed_;
    port::Notifier heard_;
    bool is_running_ = false;
    bool is_listening_ = false;
    bool is_broken_ = false;
    bool is_closed_ = false;
};

}  // namespace dlog::peers
