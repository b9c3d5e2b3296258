/// Replicated partitions on several nodes: replication, consensus, storage and the links between
/// nodes, without broker. Whoever leads a partition has its producers beside it; every node reads
/// what it holds.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bare_node.h"
#include "base/assert.h"
#include "base/random.h"
#include "batches.h"
#include "consensus/quorum/configuration.h"
#include "direct_producer.h"
#include "eager_disk.h"
#include "fault_run.h"
#include "history.h"
#include "peers/mesh.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "replication/flusher.h"
#include "replication/group_journal.h"
#include "replication/partition.h"
#include "replication/replicas.h"
#include "replication/shard.h"
#include "run.h"
#include "sim/world.h"

namespace dlog::simtest {

namespace {

namespace raft = consensus::raft;
using port::Task;
using replication::PartitionPtr;
using replication::ReplicaPtr;

constexpr std::uint16_t kPort = 9190;
/// How long a producer waits for the outcome of what it sent.
constexpr Duration kPatience = seconds(2);

struct GroupPlan {
    LogId log = 0;
    replication::PartitionKey key;
    storage::LogConfig config;
    consensus::Configuration voters;
    std::string folder;
};

class ClusterNode;

/// Everything about the run that is not in the world.
struct ClusterPlan {
    explicit ClusterPlan(History& run_history) : history(run_history) {}
    History& history;
    std::vector<GroupPlan> groups;
    std::vector<DirectProducer> producers;
    /// By producer: who works with it now.
    std::vector<const ClusterNode*> held_by;
    replication::ShardConfig shard;
    raft::LivenessOptions liveness;
    raft::GroupOptions options;
    std::map<NodeId, port::Endpoint> nodes;
    Canary canary = Canary::kNone;
    bool is_producing = true;
    std::size_t readings_missing = 0;
    /// Who led which group in which term.
    std::map<std::pair<std::size_t, LeaderEpoch>, NodeId> leaders;
};

class ClusterNode final : public NodeProgram, public peers::Handler, public peers::Owners {
  public:
    ClusterNode(sim::Host& host, ClusterPlan& plan, NodeId id)
        : plan_(plan),
          eager_(host.ports().disk, host.ports().spawn),
          ports_(ports_with(host, plan.canary == Canary::kAcknowledgesBeforeFlush
                                      ? static_cast<port::Disk&>(eager_)
                                      : host.ports().disk)),
          id_(id),
          shard_(ports_, plan.shard),
          flusher_(ports_),
          mesh_(std::span(&ports_, 1), mesh_config(host, plan, id), *this) {
        ports_.spawn.spawn(start(*this));
    }
    ~ClusterNode() override {
        std::ranges::replace(plan_.held_by, static_cast<const ClusterNode*>(this), nullptr);
    }

    [[nodiscard]] bool is_ready() const override { return is_ready_; }
    [[nodiscard]] bool has_stopped() const override { return has_stopped_; }
    void stop_soon() override { ports_.spawn.spawn(stop(*this)); }
    void read_all() {
        for (std::size_t at = 0; at < plan_.groups.size(); ++at) {
            ports_.spawn.spawn(read_whole(*this, at));
        }
    }
    [[nodiscard]] NodeId id() const { return id_; }
    [[nodiscard]] ReplicaPtr replica(std::size_t at) const {
        return at < opened_.size() ? opened_[at] : nullptr;
    }

    // peers::Owners and peers::Handler.
    [[nodiscard]] CoreId owner_of(const raft::GroupId& /*group*/) const override {
        return CoreId{0};
    }
    void received(NodeId from, const raft::GroupId& group, raft::Message message,
                  Buffer records) override {
        if (replicas_) replicas_->received(from, group, std::move(message), std::move(records));
    }
    void link_reset(NodeId node) override {
        if (replicas_) replicas_->link_reset(node);
    }
    void peer_changed(NodeId node) override {
        if (replicas_) replicas_->peer_changed(node);
    }
    Task<std::expected<Buffer, peers::CallError>> answer(NodeId /*from*/, std::uint16_t /*kind*/,
                                                         Buffer /*body*/) override {
        co_return std::unexpected(peers::CallError::kUnknownKind);
    }
    void notified(NodeId /*from*/, std::uint16_t /*kind*/, Buffer /*body*/) override {}

  private:
    class MeshOutbox final : public replication::Outbox {
      public:
        MeshOutbox(peers::Links& links, ClusterNode& node) : links_(links), node_(node) {}
        void send(NodeId to, const raft::GroupId& group, raft::Message message,
                  std::vector<Buffer> records) override {
            const auto* append = std::get_if<raft::Append>(&message);
            const bool has_records = append != nullptr && append->previous.end < append->end.end;
            if (node_.plan_.canary == Canary::kCommitsAlone && has_records) {
                node_.ports_.spawn.spawn(forge_answer(&node_, to, group, *append));
            }
            links_.send(to, group, std::move(message), std::move(records));
        }

      private:
        peers::Links& links_;
        ClusterNode& node_;
    };

    /// As if the other node had stored everything at once.
    static Task<void> forge_answer(ClusterNode* self, NodeId from, raft::GroupId group,
                                   raft::Append append) {
        co_await port::yield(self->ports_.spawn);
        self->received(from, group,
                       raft::AppendReply{.term = append.term,
                                         .is_accepted = true,
                                         .question = append.question,
                                         .received = append.end,
                                         .persisted = append.end,
                                         .support = self->services_->peers.of(from).granted},
                       {});
    }

    static peers::Config mesh_config(sim::Host& host, const ClusterPlan& plan, NodeId id) {
        peers::Config config;
        config.cluster_id = "simulated";
        config.self = id;
        config.incarnation = host.life();
        config.listen = {.host = "0.0.0.0", .port = kPort};
        config.nodes = plan.nodes;
        config.liveness = plan.liveness;
        return config;
    }

    static Task<void> retry_pause(ClusterNode& self) {
        co_await port::sleep_for(self.ports_.clock, milliseconds(50));
    }

    static CoreId only_core(const raft::GroupId& /*group*/) { return CoreId{0}; }

    static Task<void> start(ClusterNode& self) {
        while (!co_await make_folder(&self.ports_.disk, self.plan_.shard.data_dir))
            co_await retry_pause(self);
        while (self.journal_ == nullptr) {
            auto parts = co_await replication::open_group_journals(
                self.ports_, self.plan_.shard.data_dir, 1, only_core);
            if (parts) {
                self.journal_ = std::make_unique<replication::GroupJournal>(
                    self.ports_, self.flusher_, std::move(parts->front()));
            } else {
                co_await retry_pause(self);
            }
        }
        peers::Links& links = self.mesh_.at(CoreId{0});
        self.outbox_ = std::make_unique<MeshOutbox>(links, self);
        self.services_ = std::make_unique<replication::GroupServices>(
            replication::GroupServices{.ports = self.ports_,
                                       .self = self.id_,
                                       .options = self.plan_.options,
                                       .silence = self.plan_.liveness.support * 2,
                                       .outbox = *self.outbox_,
                                       .peers = links.peers(),
                                       .journal = *self.journal_});
        self.replicas_ = std::make_unique<replication::Replicas>(self.shard_, *self.services_);
        while (!co_await self.mesh_.start({&self})) co_await retry_pause(self);
        self.shard_.start();
        for (std::size_t at = 0; at < self.plan_.groups.size(); ++at) {
            const GroupPlan& group = self.plan_.groups[at];
            while (true) {
                auto opened = co_await self.replicas_->open(group.key, group.config, group.voters);
                if (opened) {
                    self.opened_.push_back(*std::move(opened));
                    break;
                }
                co_await retry_pause(self);
            }
            self.ports_.spawn.spawn(consume(self, at));
            self.ports_.spawn.spawn(hand_over(self, at));
        }
        for (std::size_t one = 0; one < self.plan_.producers.size(); ++one) {
            self.ports_.spawn.spawn(produce(self, one));
        }
        self.is_ready_ = true;
    }

    static Task<void> stop(ClusterNode& self) {
        self.is_ready_ = false;
        self.opened_.clear();
        co_await self.replicas_->stop();
        co_await self.mesh_.stop();
        co_await self.shard_.stop();
        co_await self.journal_->stop();
        self.has_stopped_ = true;
    }

    /// Works with the producer while its partition is led here and nobody else does.
    static Task<void> produce(ClusterNode& self, std::size_t one) {
        ClusterPlan& plan = self.plan_;
        DirectProducer& producer = plan.producers[one];
        port::Clock& clock = self.ports_.clock;
        while (self.is_open()) {
            const PartitionPtr partition = self.opened_[producer.partition]->partition();
            if (!partition->leadership().accepts_appends || plan.held_by[one] != nullptr) {
                co_await port::sleep_for(clock, milliseconds(5));
                continue;
            }
            plan.held_by[one] = &self;
            if (!producer.is_idempotent) producer.unacknowledged.clear();
            if (plan.is_producing) producer.fill_window(plan.history, clock.wall_now());
            const bool is_well =
                co_await send_all(&producer, partition, &plan.history, &clock, kPatience);
            plan.held_by[one] = nullptr;
            const std::int64_t pause_us = is_well ? producer.random.between(0, 3000) : 20'000;
            co_await port::sleep_for(clock, microseconds(pause_us));
        }
    }

    static Task<void> consume(ClusterNode& self, std::size_t at) {
        const LogId log = self.plan_.groups[at].log;
        Random random(self.ports_.entropy.next());
        std::int64_t offset = 0;
        while (self.is_open(at)) {
            const PartitionPtr partition = self.opened_[at]->partition();
            const auto bytes = co_await read_bytes(
                &self.ports_.disk, partition,
                {.from = Offset(offset), .max_bytes = 1 + random.below(8000), .at_least_one = true},
                &self.plan_.history);
            if (bytes) {
                offset = note_batches(self.plan_.history, log, *bytes, offset);
                if (random.chance(1, 100)) {
                    offset = static_cast<std::int64_t>(
                        random.below(static_cast<std::uint64_t>(offset) + 1));
                }
            } else if (bytes.error() == replication::Error::kOffsetOutOfRange) {
                offset = partition->log_start_offset().value;
            } else if (bytes.error() == replication::Error::kClosed) {
                break;
            }
            co_await port::sleep_for(self.ports_.clock, milliseconds(random.between(1, 20)));
        }
    }

    /// As before a node is restarted, or for the sake of balance.
    static Task<void> hand_over(ClusterNode& self, std::size_t at) {
        Random random(self.ports_.entropy.next());
        const auto nodes = static_cast<std::int64_t>(self.plan_.nodes.size());
        while (self.is_open(at) && self.plan_.is_producing) {
            const ReplicaPtr replica = self.opened_[at];
            const NodeId to(static_cast<std::int32_t>(random.between(1, nodes)));
            if (replica->partition()->leadership().is_here) replica->hand_over(to);
            co_await port::sleep_for(self.ports_.clock, milliseconds(random.between(50, 4000)));
        }
    }

    /// Waits until this replica knows all that is known, then reads it.
    static Task<void> read_whole(ClusterNode& self, std::size_t at) {
        const LogId log = self.plan_.groups[at].log;
        const PartitionPtr partition = self.opened_[at]->partition();
        History::Reading reading = self.plan_.history.begin_reading(log);
        while (partition->high_watermark().value < reading.known_end) {
            co_await port::sleep_for(self.ports_.clock, milliseconds(10));
        }
        reading.log_start_offset = partition->log_start_offset().value;
        reading.end_offset = partition->high_watermark().value;
        std::int64_t offset = reading.log_start_offset;
        while (offset < reading.end_offset) {
            const auto bytes = co_await read_bytes(
                &self.ports_.disk, partition,
                {.from = Offset(offset), .max_bytes = 20'000, .at_least_one = true},
                &self.plan_.history);
            if (!bytes && bytes.error() == replication::Error::kOffsetOutOfRange) {
                // Retention came by.
                reading.log_start_offset = partition->log_start_offset().value;
                offset = std::max(offset, reading.log_start_offset);
                continue;
            }
            const std::int64_t next =
                bytes ? note_batches(self.plan_.history, log, *bytes, offset, &reading) : offset;
            if (next == offset) {
                self.plan_.history.fail("the last reading stops at offset " +
                                        std::to_string(offset));
                break;
            }
            offset = next;
        }
        self.plan_.history.check_reading(log, reading);
        --self.plan_.readings_missing;
    }

    [[nodiscard]] bool is_open(std::size_t at = 0) const { return at < opened_.size(); }

    ClusterPlan& plan_;
    EagerDisk eager_;
    port::Ports ports_;
    NodeId id_;
    replication::Shard shard_;
    replication::Flusher flusher_;
    peers::Mesh mesh_;
    std::unique_ptr<replication::GroupJournal> journal_;
    std::unique_ptr<MeshOutbox> outbox_;
    std::unique_ptr<replication::GroupServices> services_;
    std::unique_ptr<replication::Replicas> replicas_;
    std::vector<ReplicaPtr> opened_;
    bool is_ready_ = false;
    bool has_stopped_ = false;
};

void make_plan(ClusterPlan& plan, Random& random, int nodes) {
    plan.shard.data_dir = "data";
    plan.shard.tail_bytes = static_cast<std::size_t>(random.between(0, 64)) * 1024;
    plan.shard.index_bytes = static_cast<std::size_t>(random.between(0, 64)) * 1024;
    plan.shard.max_open_files = static_cast<std::size_t>(random.between(4, 40));
    plan.shard.retention_interval = milliseconds(random.between(50, 2000));
    plan.shard.checkpoint_interval = milliseconds(random.between(20, 3000));
    plan.options.flow.message_bytes = static_cast<std::uint64_t>(random.between(1, 64)) * 512;
    for (int node = 1; node <= nodes; ++node) {
        plan.nodes[NodeId(node)] = {.host = "n" + std::to_string(node), .port = kPort};
    }
    const std::uint64_t groups = 1 + random.below(3);
    for (std::uint64_t at = 0; at < groups; ++at) {
        GroupPlan group;
        group.key = {.topic = "t" + std::to_string(at),
                     .topic_id = {.high = 7, .low = at + 1},
                     .partition = PartitionId(static_cast<std::int32_t>(at))};
        group.config.segment_bytes = random.between(16, 64) * 1024;
        group.config.index_interval_bytes = random.between(1, 4096);
        std::vector<NodeId> voters;
        for (const auto& [node, endpoint] : plan.nodes) voters.push_back(node);
        // A quorum of writes other than the majority now and then.
        const std::size_t quorum = random.chance(2, 3) ? 0 : 1 + random.below(voters.size());
        group.voters = consensus::make_configuration(voters, quorum);
        group.folder = replication::partition_folder(plan.shard.data_dir, group.key);
        const bool drops_old = random.chance(1, 2);
        if (drops_old) group.config.retention_bytes = random.between(30, 200) * 1024;
        group.log = plan.history.add_log(group.key.topic,
                                         {.may_drop_old = drops_old, .has_replicas = true});
        const std::uint64_t producers = 1 + random.below(2);
        for (std::uint64_t one = 0; one < producers; ++one) {
            DirectProducer producer;
            producer.number = static_cast<std::uint32_t>(plan.producers.size() + 1);
            producer.partition = at;
            producer.log = group.log;
            producer.is_idempotent = random.chance(3, 4);
            producer.random = random.fork();
            plan.producers.push_back(std::move(producer));
        }
        plan.groups.push_back(std::move(group));
    }
    plan.held_by.resize(plan.producers.size());
}

class ClusterLevel final : public Level {
  public:
    explicit ClusterLevel(const RunOptions& options) : Level(options.seed ^ 0xc105733ULL) {
        quiet_most = milliseconds(1500);
        off_most = milliseconds(1200);
        plan_.canary = options.canary;
        make_plan(plan_, random, static_cast<int>(3 + 2 * random.below(2)));
    }

    Stage set_up(sim::World& world, const RunOptions& /*options*/) override {
        for (const auto& [id, endpoint] : plan_.nodes) {
            sim::Host& host = world.add_host(endpoint.host);
            hosts_.push_back(&host);
            host.boot([this, id](sim::Host& self) {
                return std::make_unique<ClusterNode>(self, plan_, id);
            });
        }
        return {.nodes = hosts_, .others = {}};
    }

    void stop_writing() override { plan_.is_producing = false; }
    [[nodiscard]] bool is_quiet() const override {
        return std::ranges::all_of(plan_.producers, [](const DirectProducer& producer) {
            return producer.unacknowledged.empty();
        });
    }

    void check() override {
        for (sim::Host* host : hosts_) {
            if (host->program() == nullptr) continue;
            const auto& node = static_cast<ClusterNode&>(*host->program());
            for (std::size_t at = 0; at < plan_.groups.size(); ++at) {
                if (const ReplicaPtr replica = node.replica(at)) check_leader(node, at, *replica);
            }
        }
    }

    void begin_readings() override {
        plan_.readings_missing = hosts_.size() * plan_.groups.size();
        for (sim::Host* host : hosts_) static_cast<ClusterNode&>(*host->program()).read_all();
    }
    [[nodiscard]] bool are_readings_done() const override { return plan_.readings_missing == 0; }

    std::pair<std::string, LogId> any_partition(sim::Host& /*node*/) override { return {}; }

  private:
    void check_leader(const ClusterNode& node, std::size_t at,
                      const replication::Replica& replica) {
        if (replica.group().role() != raft::Role::kLeader) return;
        const auto [leader, is_new] =
            plan_.leaders.try_emplace({at, replica.group().term()}, node.id());
        if (leader->second != node.id()) history.fail("a term has two leaders");
        if (!replica.may_serve_reads()) return;
        const std::int64_t known = history.begin_reading(plan_.groups[at].log).known_end;
        if (replica.group().commit().end.value < known) {
            history.fail("who serves reads does not know all that is committed");
        }
    }

    ClusterPlan plan_{history};
    std::vector<sim::Host*> hosts_;
};

}  // namespace

RunResult run_cluster(const RunOptions& options) {
    ClusterLevel level(options);
    FaultRun run(options, level);
    return run.run();
}

}  // namespace dlog::simtest
