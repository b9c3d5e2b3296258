/// What the rooms above give to the connections between nodes: who owns a group, and what to do
/// with what comes.
#pragma once

#include <cstdint>
#include <expected>

#include "base/buffer.h"
#include "base/ids.h"
#include "consensus/raft/journal.h"
#include "consensus/raft/message.h"
#include "peers/call_error.h"
#include "port/task.h"

namespace dlog::peers {

namespace raft = consensus::raft;

/// On which core of this node a group is at home. Asked on any core at any time, also about groups
/// that this node does not have: the handler of the core that is named then drops the message.
class Owners {
  public:
    virtual ~Owners() = default;
    [[nodiscard]] virtual CoreId owner_of(const raft::GroupId& group) const = 0;
};

/// One for each core, called on that core only, never from within a call of Links. It outlives the
/// Mesh's stop.
class Handler {
  public:
    virtual ~Handler() = default;

    /// A group's message, of a process whose start this core has heard of before (peer_changed).
    /// What one core of a node sends to groups of one core here comes in order; what is missing
    /// within was lost with a connection, of which the sender hears. `records` shares its block
    /// with what else came in the frame.
    virtual void received(NodeId from, const raft::GroupId& group, raft::Message message,
                          Buffer records) = 0;
    /// What was sent from this core to `node` may be lost (raft::LinkReset), once for all that was
    /// dropped.
    virtual void link_reset(NodeId node) = 0;
    /// Links::peers() of this core now says something else of `node` (raft::PeerChanged).
    virtual void peer_changed(NodeId node) = 0;

    /// A call of another node. It runs on whichever core the call came in on and hops to where the
    /// answer lies; it may take its time, others are answered meanwhile.
    [[nodiscard]] virtual port::Task<std::expected<Buffer, CallError>> answer(NodeId from,
                                                                              std::uint16_t kind,
                                                                              Buffer body) = 0;
    /// A notice of another node, on whichever core it came in on.
    virtual void notified(NodeId from, std::uint16_t kind, Buffer body) = 0;
};

}  // namespace dlog::peers
