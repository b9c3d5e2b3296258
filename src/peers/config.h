/// Who the nodes of a cluster are, and the bounds of what goes on between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/liveness.h"
#include "port/net.h"

namespace dlog::peers {

struct Config {
    std::string cluster_id;
    NodeId self;
    /// Of this process: greater than that of any earlier one of this node, never 0.
    std::uint64_t incarnation = 0;
    /// The node-to-node port; all cores accept from it.
    port::Endpoint listen;
    /// Where the other nodes listen for this. An entry for `self` is passed over.
    std::map<NodeId, port::Endpoint> nodes;

    consensus::raft::LivenessOptions liveness;

    /// What waits to be sent from one core to one node, in bytes; when more comes, all of it is
    /// dropped. Not counted is the frame that is being written.
    std::size_t queue_bytes_max = std::size_t{32} << 20;
    /// A frame is closed once it holds so much; one message may be larger by itself.
    std::size_t frame_bytes = std::size_t{1} << 20;
    /// What one connection has read and no handler has taken yet; one frame may go beyond it.
    std::size_t ahead_bytes_max = std::size_t{8} << 20;
    std::size_t ahead_frames_max = 16;
    /// Calls of one core to one node without an answer, and of one connection being answered.
    std::size_t calls_max = 256;

    /// A connection stands, with both greetings, within this time, or is given up.
    Duration greeting_timeout = milliseconds(1'000);
    /// The pause after a connection failed: twice as long after each failure, up to the most. It
    /// ends as soon as the other node is heard.
    Duration backoff_least = milliseconds(20);
    Duration backoff_most = milliseconds(1'000);
    /// Who has come and not greeted yet, on one core; more are closed at once.
    std::size_t strangers_max = 64;
};

}  // namespace dlog::peers
