#include "peers/pulses.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "peers/desk.h"
#include "port/spawn.h"

namespace dlog::peers {

namespace {

/// Whoever comes back is to be heard soon, however long it was away.
constexpr Duration kBackoffMost = milliseconds(200);

}  // namespace

Cargo::Load Pulses::Next::take() {
    DLOG_ASSERT(pulse_.has_value());
    Load load{.frames = 1};
    load.parts.emplace_back(raft::encode_pulse_frame(*std::exchange(pulse_, std::nullopt)));
    ++metrics_.pulses_sent;
    return load;
}

Pulses::Beat::Beat(Desk& home, NodeId to)
    : next(home.metrics.nodes[to]),
      link(home, to, raft::Purpose::kPulses, next,
           std::min(kBackoffMost, home.shared.config.backoff_most)) {}

Pulses::Pulses(Desk& home)
    : home_(home), liveness_(home.shared.config.incarnation, home.shared.config.liveness) {
    std::vector<NodeId> nodes;
    for (const auto& [node, endpoint] : home.shared.config.nodes) {
        nodes.push_back(node);
        beats_.emplace(node, std::make_unique<Beat>(home, node));
    }
    liveness_.set_nodes(nodes);
}

port::Task<void> Pulses::begin_step() {
    while (is_stepping_) co_await stepped_.wait();
    is_stepping_ = true;
}

void Pulses::end_step() {
    DLOG_ASSERT(is_stepping_);
    is_stepping_ = false;
    stepped_.notify_all();
}

port::Task<void> Pulses::run() {
    const port::Gate::Hold hold = home_.gate.enter();
    port::Clock& clock = home_.ports.clock;
    while (!is_closed_) {
        if (clock.now() < liveness_.next_deadline()) {
            co_await closed_.wait_until(clock, liveness_.next_deadline());
            continue;
        }
        co_await begin_step();
        co_await apply(liveness_.tick(clock.now()));
        end_step();
    }
}

port::Task<void> Pulses::received(NodeId from, raft::Pulse pulse) {
    co_await begin_step();
    const Instant now = home_.ports.clock.now();
    NodeMetrics& metrics = home_.metrics.nodes[from];
    ++metrics.pulses_received;
    const bool has_echo =
        pulse.to_incarnation == home_.shared.config.incarnation && pulse.echo > Instant{};
    if (has_echo && pulse.echo <= now) metrics.pulse_round_trip = now - pulse.echo;
    beats_.at(from)->heard_at = now;
    raft::Liveness::Effects effects = liveness_.received(now, from, pulse);
    // Until when we are supported moves with every pulse, which is nothing to wait for.
    if (effects.changed.empty()) {
        for (Desk* const desk : home_.shared.desks) {
            home_.ports.spawn.spawn(tell(&home_, desk, from, liveness_.peers().of(from), nullptr));
        }
    }
    co_await apply(std::move(effects));
    end_step();
}

port::Task<void> Pulses::met(NodeId from, std::uint64_t incarnation) {
    co_await begin_step();
    co_await apply(liveness_.met(from, incarnation));
    end_step();
}

port::Task<void> Pulses::apply(raft::Liveness::Effects effects) {
    for (const NodeId node : effects.changed) co_await announce(node);
    for (const raft::Liveness::Outgoing& outgoing : effects.pulses) {
        Beat& beat = *beats_.at(outgoing.to);
        beat.next.set(outgoing.pulse);
        beat.link.wake();
    }
}

port::Task<void> Pulses::announce(NodeId node) {
    const raft::PeerState state = liveness_.peers().of(node);
    log_change(node);
    Telling telling{.left = static_cast<std::uint32_t>(home_.shared.desks.size())};
    for (Desk* const desk : home_.shared.desks) {
        home_.ports.spawn.spawn(tell(&home_, desk, node, state, &telling));
    }
    while (telling.left > 0) co_await telling.done.wait();
    Beat& beat = *beats_.at(node);
    beat.incarnation = state.incarnation;
    if (state.is_supported) {
        beat.link.reset(state.incarnation);
        beat.link.hear();
    } else {
        beat.link.reset(UINT64_MAX);
    }
}

port::Task<void> Pulses::tell(Desk* home, Desk* desk, NodeId node, raft::PeerState state,
                              Telling* telling) {
    const port::Gate::Hold hold = home->gate.enter();
    port::Spawn* const there = &desk->ports.spawn;
    co_await port::hop(home->ports.spawn, there->core());
    desk->learn(node, state, telling != nullptr);
    co_await port::hop(*there, home->id());
    if (telling != nullptr && --telling->left == 0) telling->done.notify_all();
}

void Pulses::log_change(NodeId node) {
    const bool is_heard = liveness_.peers().of(node).is_supported;
    if (std::exchange(is_heard_[node], is_heard) == is_heard) return;
    if (is_heard) {
        home_.ports.log.info("a node is heard", {{"node", node}});
    } else {
        home_.ports.log.warn("a node is silent: it counts as lost", {{"node", node}});
    }
}

void Pulses::close() {
    is_closed_ = true;
    for (const auto& [node, beat] : beats_) beat->link.close();
    closed_.notify_all();
}

void Pulses::measure(Metrics& metrics) const {
    const Instant now = home_.ports.clock.now();
    for (const auto& [node, beat] : beats_) {
        if (beat->heard_at) metrics.nodes[node].pulse_age = now - *beat->heard_at;
    }
}

}  // namespace dlog::peers
