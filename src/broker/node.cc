#include "broker/node.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/connection.h"
#include "broker/controller.h"
#include "broker/core.h"
#include "broker/data_folder.h"
#include "broker/groups.h"
#include "broker/leftovers.h"
#include "broker/metrics.h"
#include "broker/peer_address.h"
#include "port/entropy.h"
#include "replication/cleaner_budget.h"

namespace dlog::broker {

struct Node::Impl {
    NodeConfig config;
    NodeShared shared;
    std::vector<std::unique_ptr<Core>> cores;
    std::unique_ptr<Controller> controller;
    /// By core.
    std::vector<std::unique_ptr<Groups>> groups;
    DataFolder folder;
    /// By core; each is touched on its own.
    std::vector<port::ListenerPtr> listeners;
    std::atomic<bool> is_ready{false};
    bool is_started = false;

    [[nodiscard]] Core& controller_core() { return *cores[kControllerCore.value]; }
};

namespace {

/// Kinds of meters beside those of client_throttle.cc.
constexpr std::uint64_t kAddressMeters = 1001;
constexpr std::uint64_t kNodeMeter = 1002;

/// Serves a connection on `core` as long as it stays there, then hands it to the next one.
port::Task<void> serve_connection(Core* core, Arrival arrival) {
    const port::Gate::Hold hold = core->connection_gate.enter();
    std::optional<CoreId> next_home;
    std::optional<Arrival> departure;
    {
        ClientConnection connection(*core, std::move(arrival));
        const std::uint64_t number = core->next_connection++;
        core->connections.emplace(number, &connection);
        ++core->metrics.connections_open;
        next_home = co_await connection.run();
        --core->metrics.connections_open;
        core->connections.erase(number);
        if (next_home && !core->is_stopping) departure = connection.depart();
    }
    if (departure) {
        ++core->metrics.connections_moved;
        Core* const next = &core->other(*next_home);
        co_await port::hop(core->ports.spawn, next->id());
        const bool is_there = !next->is_stopping && next->ports.net.adopt(*departure->connection);
        if (is_there) {
            next->ports.spawn.spawn(serve_connection(next, std::move(*departure)));
        } else {
            departure.reset();
        }
        // This core's stop waits for the hand-over, so that it finds the connection on the other.
        co_await port::hop(next->ports.spawn, core->id());
    }
}

/// A connection that came too soon after others of its address is kept waiting, then closed, as
/// Kafka does: one that is closed at once would be back at once.
port::Task<void> close_later(Core* core, port::ConnectionPtr connection, Admission admission,
                             Duration wait) {
    const port::Gate::Hold hold = core->connection_gate.enter();
    // Held meanwhile, and counted.
    const Admission place = std::move(admission);
    const port::ConnectionPtr open = std::move(connection);
    port::Clock& clock = core->ports.clock;
    const Instant deadline = clock.now() + std::min(wait, seconds(1));
    if (!core->is_stopping) co_await core->stopping.wait_until(clock, deadline);
}

void note_refused(Core& core, std::uint64_t& counter, std::string_view peer,
                  std::string_view limit) {
    if (counter++ % 100 != 0) return;
    core.ports.log.warn("refused connections: a limit is reached",
                        {{"peer", peer}, {"limit", limit}, {"refused", counter}});
}

/// Nothing when the connection meets a limit; it is then taken care of.
std::optional<Admission> admit(Core& core, port::ConnectionPtr& connection) {
    const std::string& peer = connection->peer();
    std::optional<Admission> admission = core.shared.connections.enter(core.config);
    if (!admission) {
        note_refused(core, core.metrics.connections_over_max, peer, "max.connections");
        return std::nullopt;
    }
    const std::string address = address_of_peer(peer);
    if (!core.shared.connections.count_address(*admission, address, core.config)) {
        note_refused(core, core.metrics.connections_over_ip_max, peer, "max.connections.per.ip");
        return std::nullopt;
    }
    const metadata::ClientQuotas* quotas = core.view->state().client_quotas().get();
    const auto rate = quotas == nullptr ? std::nullopt : quotas->connection_rate(address);
    if (!rate) return admission;
    QuotaMeters& meters = *core.shared.meters;
    const Duration wait = meters.try_charge(meters.key_of(kAddressMeters, address, {}),
                                            cost_of(1, *rate), core.ports.clock.now());
    if (wait == Duration{}) return admission;
    note_refused(core, core.metrics.connections_over_ip_rate, peer, "connection_creation_rate");
    core.ports.spawn.spawn(close_later(&core, std::move(connection), *std::move(admission), wait));
    return std::nullopt;
}

/// Waits as long as max.connection.creation.rate asks. False when the node stops.
port::Task<bool> await_creation_rate(Core* core) {
    const std::uint32_t rate = core->config.connection_creation_rate_max;
    if (rate == kNoConnectionLimit) co_return true;
    QuotaMeters& meters = *core->shared.meters;
    port::Clock& clock = core->ports.clock;
    const Instant now = clock.now();
    const Duration wait = meters.charge(meters.key_of(kNodeMeter, {}, {}), cost_of(1, rate), now);
    if (wait.ns > 0) {
        ++core->metrics.connections_delayed;
        co_await core->stopping.wait_until(clock, now + wait);
    }
    co_return !core->is_stopping;
}

port::Task<void> accept_connections(Core* core, port::Listener* listener) {
    const port::Gate::Hold hold = core->connection_gate.enter();
    while (!core->is_stopping) {
        auto accepted = co_await listener->accept();
        if (!accepted) {
            if (core->is_stopping || accepted.error() == port::NetError::kClosed) break;
            core->ports.log.warn("a connection could not be accepted",
                                 {{"error", port::net_error_name(accepted.error())}});
            // Too many open files, most likely: it gets no better by asking again at once.
            co_await port::sleep_for(core->ports.clock, milliseconds(100));
            continue;
        }
        if (!co_await await_creation_rate(core)) break;
        auto admission = admit(*core, *accepted);
        if (!admission) continue;
        ++core->metrics.connections_accepted;
        core->ports.spawn.spawn(serve_connection(
            core, {.connection = *std::move(accepted), .admission = *std::move(admission)}));
    }
}

/// Starts the shard of one core.
port::Task<void> start_shard(Core* home, Core* core) {
    co_await port::hop(home->ports.spawn, core->id());
    core->shard.start();
    co_await port::hop(core->ports.spawn, home->id());
}

port::Task<port::NetResult<port::Endpoint>> listen_on(Core* home, Core* core,
                                                      port::ListenerPtr* listener,
                                                      port::Endpoint endpoint) {
    co_await port::hop(home->ports.spawn, core->id());
    auto listening = co_await core->ports.net.listen(std::move(endpoint));
    port::NetResult<port::Endpoint> bound;
    if (listening) {
        *listener = *std::move(listening);
        bound = (*listener)->endpoint();
    } else {
        bound = std::unexpected(listening.error());
    }
    co_await port::hop(core->ports.spawn, home->id());
    co_return bound;
}

port::Task<void> begin_accepting(Core* home, Core* core, port::ListenerPtr* listener) {
    co_await port::hop(home->ports.spawn, core->id());
    core->ports.spawn.spawn(accept_connections(core, listener->get()));
    co_await port::hop(core->ports.spawn, home->id());
}

/// Lets go of everyone who waits for a group of this core, on whichever core they came.
port::Task<void> stop_groups(Core* home, Core* core) {
    co_await port::hop(home->ports.spawn, core->id());
    co_await core->groups->stop();
    co_await port::hop(core->ports.spawn, home->id());
}

/// Ends one core's connections and waits until nothing of them is under way.
port::Task<void> stop_serving(Core* home, Core* core, port::ListenerPtr* listener) {
    co_await port::hop(home->ports.spawn, core->id());
    core->is_stopping = true;
    if (*listener != nullptr) (*listener)->close();
    core->budget.close();
    core->stopping.notify_all();
    // Closing one may end it, and others, at once.
    for (auto at = core->connections.begin(); at != core->connections.end();) {
        const std::uint64_t number = at->first;
        at->second->close();
        at = core->connections.upper_bound(number);
    }
    while (core->connection_gate.held() > 0) co_await core->connection_gate.left().wait();
    listener->reset();
    co_await port::hop(core->ports.spawn, home->id());
}

port::Task<void> stop_shard(Core* home, Core* core) {
    co_await port::hop(home->ports.spawn, core->id());
    core->view.reset();
    co_await core->shard.stop();
    co_await port::hop(core->ports.spawn, home->id());
}

port::Task<CoreMetrics> metrics_of(Core* home, Core* core) {
    co_await port::hop(home->ports.spawn, core->id());
    CoreMetrics metrics = core->metrics;
    const replication::ShardMetrics shard = core->shard.metrics();
    metrics.appended_batches = shard.appended_batches;
    metrics.syncs = shard.syncs;
    metrics.synced_partitions = shard.synced_partitions;
    metrics.write_failures = shard.write_failures;
    metrics.tail_bytes = shard.tail_bytes_held;
    metrics.partitions = shard.partitions;
    metrics.segments = shard.segments;
    metrics.damaged_ranges = shard.damaged_ranges;
    metrics.deleted_segments = shard.deleted_segments;
    const coordination::GroupCounts groups = core->groups->counts();
    metrics.groups = groups.groups;
    metrics.group_members = groups.members;
    metrics.group_offsets = groups.offsets;
    metrics.group_rebalances = groups.rebalances;
    metrics.cleaner_read_bytes = shard.cleaner_read_bytes;
    metrics.cleaner_written_bytes = shard.cleaner_written_bytes;
    metrics.cleaner_removed_records = shard.cleaner_removed_records;
    metrics.cleaner_rounds = shard.cleaner_rounds;
    metrics.cleaner_failures = shard.cleaner_failures;
    metrics.uncleanable_partitions = shard.uncleanable_partitions;
    metrics.fetch_sessions = core->sessions.size();
    metrics.fetch_session_evictions = core->sessions.evictions();
    co_await port::hop(core->ports.spawn, home->id());
    co_return metrics;
}

}  // namespace

Node::Node(std::span<const port::Ports> cores, NodeConfig config)
    : impl_(std::make_unique<Impl>()) {
    DLOG_ASSERT(!cores.empty());
    impl_->config = std::move(config);
    impl_->shared.cleaner_budget = std::make_shared<replication::CleanerBudget>(
        impl_->config.cleaner_map_bytes, impl_->config.cleaner_bytes_per_second,
        static_cast<std::uint32_t>(cores.size()));
    for (const port::Ports& ports : cores) {
        impl_->cores.push_back(std::make_unique<Core>(ports, impl_->config, impl_->shared));
        Core& core = *impl_->cores.back();
        impl_->shared.cores.push_back(&core);
        impl_->groups.push_back(std::make_unique<Groups>(core));
        core.groups = impl_->groups.back().get();
    }
    impl_->listeners.resize(cores.size());
    impl_->controller = std::make_unique<Controller>(impl_->controller_core());
    impl_->shared.controller = impl_->controller.get();
}

Node::~Node() = default;

port::Task<std::expected<void, std::string>> Node::start() {
    Impl& self = *impl_;
    Core& home = self.controller_core();
    DLOG_ASSERT(!self.is_started);
    DLOG_CO_TRY_ASSIGN(self.folder,
                       co_await open_data_folder(home.ports, self.config.data_dir,
                                                 self.config.node_id, self.config.process_id));
    self.is_started = true;
    self.shared.meters = std::make_unique<QuotaMeters>(home.ports.entropy.next());
    self.shared.cluster_id = self.folder.meta.cluster_id;
    self.shared.epoch = self.folder.meta.epoch;
    for (const auto& core : self.cores) co_await start_shard(&home, core.get());
    DLOG_CO_TRY(co_await self.controller->open(self.shared.epoch));
    co_await remove_leftovers(home.ports, self.config.data_dir, self.controller->take_deleted());

    port::Endpoint endpoint = self.config.listen;
    for (std::size_t i = 0; i < self.cores.size(); ++i) {
        const auto bound =
            co_await listen_on(&home, self.cores[i].get(), &self.listeners[i], endpoint);
        if (!bound) {
            co_return std::unexpected("Cannot listen on " + endpoint.text() + ": " +
                                      std::string(port::net_error_name(bound.error())) + ".");
        }
        endpoint.port = bound->port;  // All cores listen on the port that the first one got.
    }
    self.config.listen.port = endpoint.port;
    self.shared.advertised = self.config.advertised;
    if (self.shared.advertised.port == 0) self.shared.advertised.port = endpoint.port;

    metadata::RegisterNode registration{.node = self.config.node_id,
                                        .epoch = self.shared.epoch,
                                        .host = self.shared.advertised.host,
                                        .port = self.shared.advertised.port,
                                        .cluster_id = self.shared.cluster_id};
    DLOG_CO_TRY(co_await self.controller->register_node(std::move(registration)));
    for (std::size_t i = 0; i < self.cores.size(); ++i) {
        co_await begin_accepting(&home, self.cores[i].get(), &self.listeners[i]);
    }
    self.is_ready = true;
    home.ports.log.info("serving", {{"node", self.config.node_id},
                                    {"listen", endpoint.text()},
                                    {"advertised", self.shared.advertised.text()},
                                    {"epoch", self.shared.epoch},
                                    {"cores", self.cores.size()},
                                    {"topics", self.controller->state().topics().size()},
                                    {"partitions", self.controller->state().partition_count()}});
    co_return {};
}

port::Task<void> Node::stop() {
    Impl& self = *impl_;
    Core& home = self.controller_core();
    self.is_ready = false;
    if (!self.is_started) co_return;
    for (const auto& core : self.cores) co_await stop_groups(&home, core.get());
    for (std::size_t i = 0; i < self.cores.size(); ++i) {
        co_await stop_serving(&home, self.cores[i].get(), &self.listeners[i]);
    }
    self.controller->close();
    for (const auto& core : self.cores) co_await stop_shard(&home, core.get());
    self.folder.lock.reset();
    self.is_started = false;
    home.ports.log.info("stopped", {{"node", self.config.node_id}});
}

bool Node::is_ready() const {
    return impl_->is_ready;
}

port::Endpoint Node::endpoint() const {
    return impl_->config.listen;
}

port::Task<std::string> Node::metrics_text() {
    Impl& self = *impl_;
    CoreMetrics sum;
    for (const auto& core : self.cores) {
        const CoreMetrics metrics = co_await metrics_of(&self.controller_core(), core.get());
        sum.add(metrics);
    }
    co_return render_metrics(sum);
}

}  // namespace dlog::broker
