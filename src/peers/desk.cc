#include "peers/desk.h"

#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "port/clock.h"

namespace dlog::peers {

namespace {

constexpr Duration kBetweenComplaints = seconds(10);

}  // namespace

Route::Route(Desk& desk, NodeId to)
    : outbox({.queue_bytes = desk.shared.config.queue_bytes_max,
              .frame_bytes = desk.shared.config.frame_bytes},
             *this, desk.metrics.nodes[to]),
      calls({.calls = desk.shared.config.calls_max,
             .queue_bytes = desk.shared.config.queue_bytes_max,
             .write_bytes = desk.shared.config.frame_bytes},
            desk.ports.clock, desk.metrics.nodes[to]),
      desk_(desk),
      to_(to),
      messages_link_(desk, to, raft::Purpose::kMessages, outbox, desk.shared.config.backoff_most),
      calls_link_(desk, to, raft::Purpose::kCalls, calls, desk.shared.config.backoff_most) {}

void Route::flush() {
    outbox.report();
    if (!outbox.is_empty()) messages_link_.wake();
    if (!calls.is_empty()) calls_link_.wake();
}

void Route::hear() {
    messages_link_.hear();
    calls_link_.hear();
}

void Route::reset(std::uint64_t incarnation) {
    messages_link_.reset(incarnation);
    calls_link_.reset(incarnation);
}

void Route::close() {
    messages_link_.close();
    calls_link_.close();
}

void Route::link_reset() {
    if (!desk_.is_stopping) desk_.handler->link_reset(to_);
}

Desk::Desk(const port::Ports& core_ports, Shared& node) : ports(core_ports), shared(node) {
    for (const auto& [to, endpoint] : shared.config.nodes) {
        routes.emplace(to, std::make_unique<Route>(*this, to));
    }
}

raft::Greeting Desk::greeting_to(NodeId node, raft::Purpose purpose, CoreId core) const {
    return {.cluster_id = shared.config.cluster_id,
            .from = shared.config.self,
            .to = node,
            .incarnation = shared.config.incarnation,
            .purpose = purpose,
            .core = core};
}

Route* Desk::route_to(NodeId node) {
    const auto at = routes.find(node);
    return at == routes.end() ? nullptr : at->second.get();
}

void Desk::flush_soon() {
    if (std::exchange(is_flush_due_, true)) return;
    ports.spawn.spawn(flush(this));
}

port::Task<void> Desk::flush(Desk* self) {
    const port::Gate::Hold hold = self->gate.enter();
    co_await port::yield(self->ports.spawn);
    self->is_flush_due_ = false;
    if (self->is_stopping) co_return;
    for (const auto& [to, route] : self->routes) route->flush();
}

void Desk::learn(NodeId node, const raft::PeerState& state, bool is_change) {
    const raft::PeerState before = peers.of(node);
    peers.set(node, state);
    if (!is_change || is_stopping) return;
    handler->peer_changed(node);
    Route& route = *routes.at(node);
    // A connection to a process that is gone, or that no longer hears us, may take minutes to say
    // so.
    if (before.is_supported && !state.is_supported) route.reset(UINT64_MAX);
    if (state.incarnation != before.incarnation) route.reset(state.incarnation);
    if (state.is_supported) route.hear();
}

void Desk::complain(std::string_view what, NodeId node, std::string_view address,
                    std::string_view reason) {
    ++complaints_;
    const Instant now = ports.clock.now();
    if (now < next_complaint_) return;
    next_complaint_ = now + kBetweenComplaints;
    ports.log.warn(what, {{"node", node},
                          {"address", address},
                          {"reason", reason},
                          {"times", std::exchange(complaints_, 0)}});
}

void Desk::note_end(NodeId from, FrameFault fault) {
    if (fault == FrameFault::kFinished || fault == FrameFault::kBroken) return;
    ++metrics.nodes[from].bad_frames;
    complain("closed a connection between nodes", from, "", frame_fault_name(fault));
}

void Desk::close() {
    is_open = false;
    is_stopping = true;
    if (listener != nullptr) listener->close();
    stopping.notify_all();
    for (const auto& [to, route] : routes) route->close();
    for (const auto& [number, connection] : guests) connection->close();
}

}  // namespace dlog::peers
