/// For this room's tests: nodes of a simulated world whose handlers note what they hear.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "consensus/raft/frame.h"
#include "peers/mesh.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "sim/world.h"

namespace dlog::peers::testing {

using port::Task;

inline constexpr std::uint16_t kEcho = 1;
inline constexpr std::uint16_t kNever = 2;
inline constexpr std::uint16_t kBusy = 3;

inline raft::GroupId group_of(std::int32_t partition) {
    return {.topic = {.high = 7, .low = 9}, .partition = PartitionId(partition)};
}

/// A message that bears a number and, with `records`, takes them.
inline raft::Message numbered(std::int64_t number) {
    const raft::LogPosition from{LeaderEpoch(1), Offset(number)};
    return raft::Append{
        .term = LeaderEpoch(1), .previous = from, .end = from, .commit = from, .question = 1};
}
inline std::int64_t number_of(const raft::Message& message) {
    return std::get<raft::Append>(message).previous.end.value;
}

struct ByPartition final : Owners {
    explicit ByPartition(std::uint32_t core_count) : cores(core_count) {}
    [[nodiscard]] CoreId owner_of(const raft::GroupId& group) const override {
        return CoreId(static_cast<std::uint32_t>(group.partition.value) % cores);
    }
    std::uint32_t cores;
};

struct Heard {
    NodeId from;
    std::int32_t partition = 0;
    std::int64_t number = 0;
    Buffer records;
    /// Of the sender's process, as this core knew it.
    std::uint64_t incarnation = 0;
};

struct Noting final : Handler {
    void received(NodeId from, const raft::GroupId& group, raft::Message message,
                  Buffer records) override {
        heard.push_back({.from = from,
                         .partition = group.partition.value,
                         .number = number_of(message),
                         .records = std::move(records),
                         .incarnation = links->peers().of(from).incarnation});
    }
    void link_reset(NodeId node) override { ++resets[node]; }
    void peer_changed(NodeId node) override { changes.push_back(node); }
    Task<std::expected<Buffer, CallError>> answer(NodeId /*from*/, std::uint16_t kind,
                                                  Buffer body) override {
        ++asked;
        if (kind == kEcho) co_return body;
        if (kind == kBusy) co_return std::unexpected(CallError::kOverloaded);
        if (kind != kNever) co_return std::unexpected(CallError::kUnknownKind);
        co_await never.wait();
        co_return std::unexpected(CallError::kStopping);
    }
    void notified(NodeId from, std::uint16_t kind, Buffer body) override {
        notices.emplace_back(from, kind, std::move(body));
    }
    [[nodiscard]] std::vector<std::int64_t> numbers(std::int32_t partition) const {
        std::vector<std::int64_t> list;
        for (const Heard& one : heard) {
            if (one.partition == partition) list.push_back(one.number);
        }
        return list;
    }

    Links* links = nullptr;
    std::vector<Heard> heard;
    std::map<NodeId, int> resets;
    std::vector<NodeId> changes;
    std::vector<std::tuple<NodeId, std::uint16_t, Buffer>> notices;
    int asked = 0;
    port::Notifier never;
};

struct NodeProgram final : sim::Program {
    NodeProgram(sim::Host& host, Config config)
        : owners(host.core_count()), handlers(host.core_count()) {
        std::vector<port::Ports> cores;
        for (std::uint32_t core = 0; core < host.core_count(); ++core) {
            cores.push_back(host.ports(CoreId(core)));
        }
        mesh = std::make_unique<Mesh>(cores, std::move(config), owners);
        for (std::uint32_t core = 0; core < host.core_count(); ++core) {
            handlers[core].links = &mesh->at(CoreId(core));
        }
        host.ports().spawn.spawn(start(this));
    }
    static Task<void> start(NodeProgram* self) {
        std::vector<Handler*> list;
        for (Noting& handler : self->handlers) list.push_back(&handler);
        const auto started = co_await self->mesh->start(std::move(list));
        CHECK_MESSAGE(started.has_value(), (started ? "" : started.error()));
    }

    ByPartition owners;
    std::vector<Noting> handlers;
    std::unique_ptr<Mesh> mesh;
};

/// Hosts n1, n2, … are nodes 1, 2, …; every start of one is a new process.
struct Nodes {
    Nodes(std::uint64_t seed, std::int32_t count, std::uint32_t cores = 1,
          std::function<void(Config&)> change = nullptr)
        : world(seed) {
        Config config{.cluster_id = "c", .listen = {.host = "0.0.0.0", .port = 9100}};
        for (std::int32_t node = 1; node <= count; ++node) {
            config.nodes[NodeId(node)] = {"n" + std::to_string(node), 9100};
        }
        for (std::int32_t node = 1; node <= count; ++node) {
            sim::Host& host = world.add_host("n" + std::to_string(node), cores);
            hosts.push_back(&host);
            Config own = config;
            own.self = NodeId(node);
            if (change) change(own);
            host.boot([own](sim::Host& booting) {
                Config mine = own;
                mine.incarnation = booting.life();
                return std::make_unique<NodeProgram>(booting, std::move(mine));
            });
        }
    }
    [[nodiscard]] sim::Host& host(std::int32_t node) {
        return *hosts[static_cast<std::size_t>(node - 1)];
    }
    [[nodiscard]] NodeProgram& program(std::int32_t node) {
        return static_cast<NodeProgram&>(*host(node).program());
    }
    [[nodiscard]] Noting& on(std::int32_t node, std::uint32_t core = 0) {
        return program(node).handlers[core];
    }
    [[nodiscard]] bool hears(std::int32_t node, std::int32_t other) {
        return on(node).links->peers().of(NodeId(other)).is_supported;
    }
    [[nodiscard]] bool all_hear() {
        const auto count = static_cast<std::int32_t>(hosts.size());
        for (std::int32_t a = 1; a <= count; ++a) {
            for (std::int32_t b = 1; b <= count; ++b) {
                if (a != b && !hears(a, b)) return false;
            }
        }
        return true;
    }
    bool meet() {
        return world.run_until([this] { return all_hear(); }, seconds(5));
    }
    void cut(std::int32_t a, std::int32_t b, bool is_cut) {
        world.network().set_blocked(host(a).number(), host(b).number(), is_cut);
        world.network().set_blocked(host(b).number(), host(a).number(), is_cut);
    }
    /// On that core, as an event of the world.
    void run_on(std::int32_t node, std::uint32_t core, std::function<void()> work) {
        host(node).ports(CoreId(core)).spawn.spawn(run(std::move(work)));
    }
    void send(std::int32_t from, std::int32_t to, std::int64_t number, std::int32_t partition = 0,
              std::vector<Buffer> records = {}, std::uint32_t core = 0) {
        run_on(from, core, [this, from, to, number, partition, core, &records] {
            on(from, core)
                .links->send(NodeId(to), group_of(partition), numbered(number), std::move(records));
        });
    }
    Metrics metrics(std::int32_t node) {
        Metrics metrics;
        bool is_done = false;
        host(node).ports().spawn.spawn(measure(program(node).mesh.get(), &metrics, &is_done));
        CHECK(world.run_until([&] { return is_done; }, seconds(60)));
        return metrics;
    }
    bool stop(std::int32_t node) {
        bool is_done = false;
        host(node).ports().spawn.spawn(stop_mesh(program(node).mesh.get(), &is_done));
        return world.run_until([&] { return is_done; }, seconds(60));
    }

    sim::World world;
    std::vector<sim::Host*> hosts;

  private:
    static Task<void> run(std::function<void()> work) {
        work();
        co_return;
    }
    static Task<void> measure(Mesh* mesh, Metrics* metrics, bool* is_done) {
        *metrics = co_await mesh->metrics();
        *is_done = true;
    }
    static Task<void> stop_mesh(Mesh* mesh, bool* is_done) {
        co_await mesh->stop();
        *is_done = true;
    }
};

}  // namespace dlog::peers::testing
