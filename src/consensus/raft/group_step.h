/// What the code of one step of a group needs at hand.
#pragma once

#include <utility>

#include "base/assert.h"
#include "consensus/raft/group.h"

namespace dlog::consensus::raft {

struct Group::Step {
    Instant now;
    const Peers& peers;
    Effects effects;

    void send(NodeId to, Message message) {
        effects.messages.push_back({.to = to, .message = std::move(message)});
    }
    void write(WriteLog write) {
        DLOG_ASSERT(!effects.write, write.end.end);
        effects.write = std::move(write);
    }
};

}  // namespace dlog::consensus::raft
