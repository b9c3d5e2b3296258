#include "consensus/raft/liveness.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::consensus::raft {

const PeerState& Peers::of(NodeId node) const {
    static const PeerState unknown;
    const auto at = states_.find(node);
    return at == states_.end() ? unknown : at->second;
}

Liveness::Liveness(std::uint64_t incarnation, LivenessOptions options)
    : incarnation_(incarnation), options_(options) {
    DLOG_ASSERT(incarnation != 0);
    DLOG_ASSERT(options.pulse_interval < options.support, options.pulse_interval.ns,
                options.support.ns);
}

void Liveness::set_nodes(std::span<const NodeId> nodes) {
    std::erase_if(contacts_, [&](const auto& contact) {
        return std::ranges::find(nodes, contact.first) == nodes.end();
    });
    for (const NodeId node : nodes) contacts_.try_emplace(node);
}

Pulse Liveness::pulse_for(const Contact& contact, const PeerState& state, Instant now) const {
    return {.incarnation = incarnation_,
            .to_incarnation = state.incarnation,
            .support = state.is_supported ? state.support : 0,
            .support_for = options_.support,
            .sent_at = now,
            .echo = contact.echo};
}

Liveness::Effects Liveness::tick(Instant now) {
    Effects effects;
    for (auto& [node, contact] : contacts_) {
        PeerState state = peers_.of(node);
        if (state.is_supported && contact.heard_at + options_.support <= now) {
            state.is_supported = false;
            ++state.support;
            peers_.set(node, state);
            effects.changed.push_back(node);
        }
        if (contact.next_pulse > now) continue;
        contact.next_pulse = now + options_.pulse_interval;
        effects.pulses.push_back({.to = node, .pulse = pulse_for(contact, state, now)});
    }
    return effects;
}

Liveness::Effects Liveness::received(Instant now, NodeId from, const Pulse& pulse) {
    Effects effects;
    const auto at = contacts_.find(from);
    // Of a node that is not ours, or late, from a process that is gone.
    if (at == contacts_.end() || pulse.incarnation < peers_.of(from).incarnation) return effects;
    Contact& contact = at->second;
    const PeerState before = peers_.of(from);
    PeerState state = before;
    if (pulse.incarnation != state.incarnation) begin_anew(contact, state, pulse.incarnation);
    contact.heard_at = now;
    state.is_supported = true;
    // One that was overtaken says only that its sender lives.
    const bool is_latest = contact.echo <= pulse.sent_at;
    contact.echo = std::max(contact.echo, pulse.sent_at);
    if (is_latest && pulse.to_incarnation == incarnation_) {
        const Duration margin{pulse.support_for.ns / options_.clock_drift_divisor};
        state.granted = pulse.support;
        state.granted_until =
            std::max(state.granted_until, pulse.echo + pulse.support_for - margin);
    }
    peers_.set(from, state);
    if (state.incarnation != before.incarnation || state.is_supported != before.is_supported ||
        state.granted != before.granted) {
        effects.changed.push_back(from);
        // Whoever has just come hears at once that it is heard: its leaders wait for that.
        contact.next_pulse = now + options_.pulse_interval;
        effects.pulses.push_back({.to = from, .pulse = pulse_for(contact, state, now)});
    }
    return effects;
}

Liveness::Effects Liveness::met(NodeId from, std::uint64_t incarnation) {
    Effects effects;
    const auto at = contacts_.find(from);
    PeerState state = peers_.of(from);
    if (at == contacts_.end() || incarnation <= state.incarnation) return effects;
    begin_anew(at->second, state, incarnation);
    peers_.set(from, state);
    effects.changed.push_back(from);
    return effects;
}

void Liveness::begin_anew(Contact& contact, PeerState& state, std::uint64_t incarnation) {
    DLOG_ASSERT(incarnation > state.incarnation, incarnation, state.incarnation);
    state = {.incarnation = incarnation, .support = state.support + 1};
    contact.echo = {};
}

Instant Liveness::next_deadline() const {
    Instant next = kNever;
    for (const auto& [node, contact] : contacts_) {
        next = std::min(next, contact.next_pulse);
        if (peers_.of(node).is_supported)
            next = std::min(next, contact.heard_at + options_.support);
    }
    return next;
}

}  // namespace dlog::consensus::raft
