#include "peers/mesh.h"

#include <string_view>
#include <utility>

#include "base/assert.h"
#include "peers/arrivals.h"
#include "peers/desk.h"
#include "peers/pulses.h"

namespace dlog::peers {

struct Mesh::Impl {
    Shared shared;
    std::vector<std::unique_ptr<Desk>> desks;
    std::unique_ptr<Pulses> pulses;
    port::Endpoint endpoint;
    bool is_started = false;

    [[nodiscard]] Desk& home() { return *desks[kPulseCore.value]; }
};

namespace {

port::Task<port::NetResult<port::Endpoint>> listen(Desk* home, Desk* desk,
                                                   port::Endpoint endpoint) {
    co_await port::hop(home->ports.spawn, desk->id());
    auto listening = co_await desk->ports.net.listen(std::move(endpoint));
    port::NetResult<port::Endpoint> bound;
    if (listening) {
        desk->listener = *std::move(listening);
        bound = desk->listener->endpoint();
    } else {
        bound = std::unexpected(listening.error());
    }
    co_await port::hop(desk->ports.spawn, home->id());
    co_return bound;
}

port::Task<void> open(Desk* home, Desk* desk, Handler* handler) {
    co_await port::hop(home->ports.spawn, desk->id());
    desk->handler = handler;
    desk->is_open = true;
    co_await port::hop(desk->ports.spawn, home->id());
}

port::Task<void> begin_accepting(Desk* home, Desk* desk) {
    co_await port::hop(home->ports.spawn, desk->id());
    desk->ports.spawn.spawn(accept_nodes(desk));
    co_await port::hop(desk->ports.spawn, home->id());
}

port::Task<void> close(Desk* home, Desk* desk) {
    co_await port::hop(home->ports.spawn, desk->id());
    desk->close();
    co_await port::hop(desk->ports.spawn, home->id());
}

port::Task<void> await_quiet(Desk* home, Desk* desk) {
    co_await port::hop(home->ports.spawn, desk->id());
    while (desk->gate.held() > 0) co_await desk->gate.left().wait();
    desk->listener.reset();
    co_await port::hop(desk->ports.spawn, home->id());
}

port::Task<Metrics> metrics_of(Desk* home, Desk* desk) {
    co_await port::hop(home->ports.spawn, desk->id());
    Metrics metrics = desk->links.metrics();
    co_await port::hop(desk->ports.spawn, home->id());
    co_return metrics;
}

}  // namespace

Mesh::Mesh(std::span<const port::Ports> cores, Config config, const Owners& owners)
    : impl_(std::make_unique<Impl>()) {
    DLOG_ASSERT(!cores.empty() && config.incarnation != 0, cores.size(), config.incarnation);
    config.nodes.erase(config.self);
    impl_->shared.config = std::move(config);
    impl_->shared.owners = &owners;
    for (const port::Ports& ports : cores) {
        impl_->desks.push_back(std::make_unique<Desk>(ports, impl_->shared));
        impl_->shared.desks.push_back(impl_->desks.back().get());
    }
    impl_->pulses = std::make_unique<Pulses>(impl_->home());
    impl_->shared.pulses = impl_->pulses.get();
    impl_->endpoint = impl_->shared.config.listen;
}

Mesh::~Mesh() = default;

port::Task<std::expected<void, std::string>> Mesh::start(std::vector<Handler*> handlers) {
    Impl& self = *impl_;
    DLOG_ASSERT(!self.is_started && handlers.size() == self.desks.size(), handlers.size());
    self.is_started = true;
    for (const auto& desk : self.desks) {
        const auto bound = co_await listen(&self.home(), desk.get(), self.endpoint);
        if (!bound) {
            co_return std::unexpected(
                "Cannot listen on " + self.endpoint.text() +
                " for the other nodes: " + std::string(port::net_error_name(bound.error())) + ".");
        }
        self.endpoint.port = bound->port;  // All cores listen on the port that the first one got.
    }
    for (std::size_t core = 0; core < self.desks.size(); ++core) {
        DLOG_ASSERT(handlers[core] != nullptr, core);
        co_await open(&self.home(), self.desks[core].get(), handlers[core]);
    }
    // Only now: what comes in on one core may be for another.
    for (const auto& desk : self.desks) co_await begin_accepting(&self.home(), desk.get());
    self.home().ports.spawn.spawn(self.pulses->run());
    co_return {};
}

port::Task<void> Mesh::stop() {
    Impl& self = *impl_;
    if (!self.is_started) co_return;
    self.is_started = false;
    // Two rounds: what is under way on one core may wait for another.
    self.pulses->close();
    for (const auto& desk : self.desks) co_await close(&self.home(), desk.get());
    self.shared.seats_changed.notify_all();
    for (const auto& desk : self.desks) co_await await_quiet(&self.home(), desk.get());
}

Links& Mesh::at(CoreId core) {
    return impl_->desks.at(core.value)->links;
}

port::Endpoint Mesh::endpoint() const {
    return impl_->endpoint;
}

port::Task<Metrics> Mesh::metrics() {
    Impl& self = *impl_;
    Metrics sum;
    for (const auto& desk : self.desks) {
        const Metrics metrics = co_await metrics_of(&self.home(), desk.get());
        sum.add(metrics);
    }
    self.pulses->measure(sum);
    co_return sum;
}

}  // namespace dlog::peers
