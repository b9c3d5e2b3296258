#include "peers/metrics.h"

#include <algorithm>

namespace dlog::peers {

void NodeMetrics::add(const NodeMetrics& other) {
    bytes_sent += other.bytes_sent;
    frames_sent += other.frames_sent;
    messages_sent += other.messages_sent;
    bytes_received += other.bytes_received;
    frames_received += other.frames_received;
    messages_received += other.messages_received;
    calls_sent += other.calls_sent;
    calls_failed += other.calls_failed;
    calls_answered += other.calls_answered;
    notices_sent += other.notices_sent;
    notices_received += other.notices_received;
    notices_dropped += other.notices_dropped;
    pulses_sent += other.pulses_sent;
    pulses_received += other.pulses_received;
    connects += other.connects;
    connect_failures += other.connect_failures;
    resets += other.resets;
    messages_dropped += other.messages_dropped;
    bad_frames += other.bad_frames;
    queued_bytes += other.queued_bytes;
    ahead_bytes += other.ahead_bytes;
    // Only core 0 knows of pulses.
    pulse_round_trip = std::max(pulse_round_trip, other.pulse_round_trip);
    pulse_age = std::max(pulse_age, other.pulse_age);
}

void Metrics::add(const Metrics& other) {
    for (const auto& [node, metrics] : other.nodes) nodes[node].add(metrics);
    accepted += other.accepted;
    refused += other.refused;
    messages_to_nobody += other.messages_to_nobody;
}

}  // namespace dlog::peers
