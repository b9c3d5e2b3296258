#include "broker/node.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/connection.h"
#include "broker/controller.h"
#include "broker/core.h"
#include "broker/data_folder.h"
#include "broker/leftovers.h"
#include "broker/metrics.h"
#include "port/entropy.h"

namespace dlog::broker {

struct Node::Impl {
    NodeConfig config;
    NodeShared shared;
    std::vector<std::unique_ptr<Core>> cores;
    std::unique_ptr<Controller> controller;
    DataFolder folder;
    /// By core; each is touched on its own.
    std::vector<port::ListenerPtr> listeners;
    std::atomic<bool> is_ready{false};
    bool is_started = false;

    [[nodiscard]] Core& controller_core() { return *cores[kControllerCore.value]; }
};

namespace {

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
        if (is_there) co_return;
    }
    core->shared.connections.fetch_sub(1, std::memory_order_relaxed);
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
        const std::uint32_t open = core->shared.connections.fetch_add(1, std::memory_order_relaxed);
        if (open >= core->config.connections_max) {
            core->shared.connections.fetch_sub(1, std::memory_order_relaxed);
            if (core->metrics.connections_refused++ % 100 == 0) {
                core->ports.log.warn("refused a connection: max.connections are open",
                                     {{"peer", (*accepted)->peer()},
                                      {"max.connections", core->config.connections_max},
                                      {"refused", core->metrics.connections_refused}});
            }
            continue;
        }
        ++core->metrics.connections_accepted;
        core->ports.spawn.spawn(serve_connection(core, {.connection = *std::move(accepted)}));
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
    for (const port::Ports& ports : cores) {
        impl_->cores.push_back(std::make_unique<Core>(ports, impl_->config, impl_->shared));
        impl_->shared.cores.push_back(impl_->cores.back().get());
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
