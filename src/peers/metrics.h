/// What is counted of the connections between nodes.
#pragma once

#include <cstdint>
#include <map>

#include "base/ids.h"
#include "base/time.h"

namespace dlog::peers {

/// Of one other node. All but the last three only grow.
struct NodeMetrics {
    std::uint64_t bytes_sent = 0;
    std::uint64_t frames_sent = 0;
    std::uint64_t messages_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t frames_received = 0;
    std::uint64_t messages_received = 0;
    std::uint64_t calls_sent = 0;
    std::uint64_t calls_failed = 0;
    std::uint64_t calls_answered = 0;
    std::uint64_t notices_sent = 0;
    std::uint64_t notices_received = 0;
    std::uint64_t notices_dropped = 0;
    std::uint64_t pulses_sent = 0;
    std::uint64_t pulses_received = 0;
    /// Times that connections to it were made, and attempts that failed.
    std::uint64_t connects = 0;
    std::uint64_t connect_failures = 0;
    /// Times that its handlers heard of a reset, and the messages that were dropped unsent.
    std::uint64_t resets = 0;
    std::uint64_t messages_dropped = 0;
    /// Connections of it that were closed because of what came on them.
    std::uint64_t bad_frames = 0;
    /// Bytes that wait to be sent, and that were read and not taken yet.
    std::uint64_t queued_bytes = 0;
    std::uint64_t ahead_bytes = 0;
    /// Since a pulse of ours left that the latest pulse of it had heard of: the way there and back
    /// and how long it waited there, up to an interval. 0 before the first.
    Duration pulse_round_trip;
    /// Since its latest pulse came; negative before the first.
    Duration pulse_age{-1};

    void add(const NodeMetrics& other);
};

struct Metrics {
    std::map<NodeId, NodeMetrics> nodes;
    std::uint64_t accepted = 0;
    /// Connections that began with something else than the right greeting.
    std::uint64_t refused = 0;
    /// Messages to nodes that are none of the cluster's.
    std::uint64_t messages_to_nobody = 0;

    void add(const Metrics& other);
};

}  // namespace dlog::peers
