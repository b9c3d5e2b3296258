/// Connections that other nodes opened: who they are, and what comes on them.
#pragma once

#include "peers/desk.h"
#include "port/net.h"
#include "port/task.h"

namespace dlog::peers {

/// Accepts on `desk` until its listener closes.
[[nodiscard]] port::Task<void> accept_nodes(Desk* desk);

/// Reads groups' messages and gives each to the core that owns its group, until the connection
/// ends; returns when all of them have been taken. `from` has been greeted.
[[nodiscard]] port::Task<void> receive_messages(Desk* desk, port::Connection* connection,
                                                NodeId from);
/// Reads calls and notices until the connection ends.
class CallServer {
  public:
    CallServer(Desk& desk, port::Connection& connection, NodeId from);
    CallServer(const CallServer&) = delete;
    CallServer& operator=(const CallServer&) = delete;

    /// Until the connection ends; answers may still be under way.
    [[nodiscard]] port::Task<void> receive();
    /// The connection is closed: until no answer is under way.
    [[nodiscard]] port::Task<void> finish();

  private:
    port::Task<void> answer(std::uint64_t correlation, std::uint16_t kind, Buffer body);
    void reply(std::uint64_t correlation, std::expected<Buffer, CallError> result);
    port::Task<void> write();

    Desk& desk_;
    port::Connection& connection_;
    const NodeId from_;
    std::vector<port::OutPart> unsent_;
    std::size_t unsent_bytes_ = 0;
    bool is_writing_ = false;
    port::Gate under_way_;
    port::Notifier written_;
};

}  // namespace dlog::peers
