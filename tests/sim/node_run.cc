#include <memory>
#include <utility>

#include "broker/node.h"
#include "clients.h"
#include "eager_disk.h"
#include "fault_run.h"
#include "group_clients.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "run.h"
#include "sim/world.h"

namespace dlog::simtest {

namespace {

using port::Task;

constexpr std::int64_t kFlushMsMost = 2000;
/// More than any flush.ms, with what a slow disk adds.
constexpr Duration kFlushed = milliseconds(5 * kFlushMsMost);

/// The node on all cores of its host. A start that fails is tried again, as a supervisor would.
class BrokerProgram final : public NodeProgram {
  public:
    BrokerProgram(sim::Host& host, broker::NodeConfig config, Canary canary)
        : host_(host), config_(std::move(config)) {
        for (std::uint32_t core = 0; core < host.core_count(); ++core) {
            port::Ports& real = host.ports(CoreId(core));
            eager_.push_back(std::make_unique<EagerDisk>(real.disk, real.spawn));
            const bool is_eager = canary == Canary::kAcknowledgesBeforeFlush;
            ports_.push_back(
                {.clock = real.clock,
                 .disk = is_eager ? static_cast<port::Disk&>(*eager_.back()) : real.disk,
                 .net = real.net,
                 .spawn = real.spawn,
                 .entropy = real.entropy,
                 .log = real.log});
        }
        host.ports().spawn.spawn(start(*this));
    }

    [[nodiscard]] bool is_ready() const override { return node_ != nullptr && node_->is_ready(); }
    [[nodiscard]] bool has_stopped() const override { return has_stopped_; }
    void stop_soon() override { host_.ports().spawn.spawn(stop(*this)); }

  private:
    static Task<void> start(BrokerProgram& self) {
        while (!self.is_stopping_) {
            self.node_ = std::make_unique<broker::Node>(self.ports_, self.config_);
            const auto started = co_await self.node_->start();
            if (started) co_return;
            self.host_.log().warn("the node did not start", {{"reason", started.error()}});
            co_await self.node_->stop();
            self.node_.reset();
            co_await port::sleep_for(self.host_.ports().clock, milliseconds(100));
        }
    }

    static Task<void> stop(BrokerProgram& self) {
        self.is_stopping_ = true;
        if (self.node_ != nullptr) co_await self.node_->stop();
        self.has_stopped_ = true;
    }

    sim::Host& host_;
    broker::NodeConfig config_;
    std::vector<std::unique_ptr<EagerDisk>> eager_;
    std::vector<port::Ports> ports_;
    std::unique_ptr<broker::Node> node_;
    bool is_stopping_ = false;
    bool has_stopped_ = false;
};

struct PlannedTopic {
    TopicToMake topic;
    History::LogRules rules;
};

broker::NodeConfig random_node_config(Random& random, const std::string& host_name) {
    broker::NodeConfig config;
    config.listen = {"0.0.0.0", 9092};
    config.advertised = {host_name, 9092};
    config.data_dir = "data";
    config.auto_create_topics = false;
    config.tail_bytes = static_cast<std::size_t>(random.between(0, 64)) * 1024;
    config.open_files_max = static_cast<std::size_t>(random.between(4, 60));
    config.retention_interval = milliseconds(random.between(50, 2000));
    config.checkpoint_interval = milliseconds(random.between(20, 3000));
    config.produce_in_flight_max = static_cast<std::uint32_t>(random.between(1, 8));
    config.groups.initial_rebalance_delay = milliseconds(random.between(0, 300));
    config.groups.session_timeout_min = milliseconds(100);
    config.groups.consumer_session_timeout = milliseconds(kSessionTimeoutMs);
    config.cleaner_backoff = milliseconds(random.between(10, 2000));
    config.offsets_topic_partitions = static_cast<std::int32_t>(random.between(1, 4));
    config.fetch_session_slots_max = static_cast<std::uint32_t>(random.between(0, 3));
    return config;
}

/// Keys that are written often and seldom; some logs have so few that whole batches go.
void make_compacted(PlannedTopic& planned, Random& random) {
    constexpr std::int64_t kNever = 3600'000;
    const std::int64_t delete_retention_ms = random.chance(1, 2) ? kNever : random.between(0, 300);
    const auto set = [&planned](std::string name, std::string value) {
        planned.topic.configs.emplace_back(std::move(name), std::move(value));
    };
    set("delete.retention.ms", std::to_string(delete_retention_ms));
    set("min.cleanable.dirty.ratio", random.chance(1, 2) ? "0.01" : "0.5");
    if (random.chance(1, 4)) set("min.compaction.lag.ms", std::to_string(random.between(1, 300)));
    if (random.chance(1, 3)) {
        set("max.compaction.lag.ms", std::to_string(random.between(300, 2000)));
    }
    planned.rules.key_count =
        static_cast<std::uint32_t>(random.between(1, 4) * random.between(1, 60));
    planned.rules.drops_tombstones = delete_retention_ms < kNever;
}

PlannedTopic random_topic(Random& random, std::uint64_t number) {
    PlannedTopic planned;
    TopicToMake& topic = planned.topic;
    topic.name = "t" + std::to_string(number);
    topic.partitions = static_cast<std::int32_t>(random.between(1, 3));
    const auto set = [&topic](std::string name, std::int64_t value) {
        topic.configs.emplace_back(std::move(name), std::to_string(value));
    };
    set("internal.segment.bytes", random.between(16, 64) * 1024);
    set("index.interval.bytes", random.between(1, 4096));
    if (random.chance(1, 2)) set("segment.ms", random.between(50, 5000));
    const bool is_compacted = random.chance(1, 3);
    if (is_compacted) make_compacted(planned, random);
    const bool keeps_old = is_compacted && random.chance(2, 3);
    if (is_compacted) {
        topic.configs.emplace_back("cleanup.policy", keeps_old ? "compact" : "compact,delete");
    }
    if (random.chance(1, 3)) {
        set("retention.bytes", random.between(8, 200) * 1024);
        planned.rules.may_drop_old = !keeps_old;
    }
    if (random.chance(1, 4)) {
        set("retention.ms", random.between(500, 60'000));
        planned.rules.may_drop_old = !keeps_old;
    }
    if (random.chance(1, 4)) {
        planned.rules.is_cached = true;
        topic.configs.emplace_back("write.caching", "true");
        set("flush.ms", random.between(1, kFlushMsMost));
        if (random.chance(1, 3)) set("flush.messages", random.between(1, 200));
        if (random.chance(1, 3)) set("flush.bytes", random.between(1, 20'000));
    }
    return planned;
}

class NodeLevel final : public Level {
  public:
    explicit NodeLevel(const RunOptions& options) : Level(options.seed ^ 0x40de5eedULL) {
        quiet_least = milliseconds(20);
        quiet_most = milliseconds(900);
        off_most = milliseconds(300);
        flush_most = kFlushed;
    }

    Stage set_up(sim::World& world, const RunOptions& options) override {
        sim::Host& node = world.add_host("node", static_cast<std::uint32_t>(random.between(1, 3)));
        client_host_ = &world.add_host("clients");
        clients_ = std::make_unique<Clients>(client_host_->ports(), history,
                                             port::Endpoint{node.name(), 9092});
        clients_->canary = options.canary;
        const broker::NodeConfig config = random_node_config(random, node.name());
        node.boot([config, canary = options.canary](sim::Host& host) {
            return std::make_unique<BrokerProgram>(host, config, canary);
        });
        return {.nodes = {&node}, .others = {client_host_}};
    }

    void start() override {
        const std::uint64_t topics = 1 + random.below(3);
        for (std::uint64_t at = 0; at < topics; ++at) {
            PlannedTopic planned = random_topic(random, at);
            if (clients_->canary == Canary::kDropsTombstones) {
                planned.rules.drops_tombstones = false;
            }
            client_spawn().spawn(
                make_and_use(*clients_, std::move(planned), random.next(), targets_));
        }
        start_groups();
        if (random.chance(1, 2)) client_spawn().spawn(churn(*clients_, "churn", random.next()));
    }

    void stop_writing() override { clients_->is_producing = false; }
    [[nodiscard]] bool is_quiet() const override { return clients_->busy_producers == 0; }

    void begin_readings() override {
        clients_->readings_missing =
            static_cast<std::uint32_t>(targets_.size() + groups_made_.size());
        for (const GroupPlan& plan : groups_made_) {
            client_spawn().spawn(check_offsets(*clients_, groups_, plan));
        }
        for (const Target& target : targets_) {
            client_spawn().spawn(read_whole(*clients_, target));
        }
    }
    [[nodiscard]] bool are_readings_done() const override {
        return clients_->readings_missing == 0;
    }

    std::pair<std::string, LogId> any_partition(sim::Host& node) override {
        if (targets_.empty()) return {};
        const Target& target = targets_[random.below(targets_.size())];
        const std::string prefix =
            "data/topics/" + target.topic + "/" + std::to_string(target.partition) + "-";
        for (const std::string& path : node.disk().image.files_under("data/topics")) {
            if (path.starts_with(prefix)) return {port::parent_path(path), target.log};
        }
        return {};
    }

    [[nodiscard]] const GroupHistory& groups() const { return groups_; }

  private:
    [[nodiscard]] port::Spawn& client_spawn() { return client_host_->ports().spawn; }

    static Task<void> make_and_use(Clients& clients, PlannedTopic planned, std::uint64_t seed,
                                   std::vector<Target>& targets) {
        Random random(seed);
        ++clients.busy_producers;
        co_await make_topic(clients, planned.topic);
        for (std::int32_t at = 0; at < planned.topic.partitions; ++at) {
            Target target{.topic = planned.topic.name, .partition = at};
            target.log =
                clients.history.add_log(target.topic + "-" + std::to_string(at), planned.rules);
            targets.push_back(target);
            const std::uint64_t producers = 1 + random.below(2);
            for (std::uint64_t one = 0; one < producers; ++one) {
                clients.ports.spawn.spawn(produce(
                    clients, {.target = target,
                              // A loss of power takes back what the sequence numbers stand on.
                              .is_idempotent = !planned.rules.is_cached && random.chance(3, 4),
                              .codec = random.chance(1, 4) ? static_cast<int>(random.below(5)) : 0,
                              .key_count = planned.rules.key_count,
                              .seed = random.next()}));
            }
            clients.ports.spawn.spawn(consume(clients, target, random.next()));
            const bool may_lack = planned.rules.key_count > 0 || planned.rules.is_cached;
            if (may_lack || random.chance(1, 4)) {
                clients.ports.spawn.spawn(audit(clients, target, random.next()));
            }
        }
        --clients.busy_producers;
    }

    /// The groups' own topic, in segments so small that compaction has to do with them.
    static Task<void> make_small_offsets_topic(Clients& clients, std::uint64_t seed) {
        Random random(seed);
        const std::string segment_bytes = std::to_string(random.between(4000, 8000));
        co_await make_topic(clients, {.name = "__consumer_offsets",
                                      .partitions = static_cast<std::int32_t>(random.between(1, 3)),
                                      .configs = {{"cleanup.policy", "compact"},
                                                  {"internal.segment.bytes", segment_bytes},
                                                  {"min.cleanable.dirty.ratio", "0.01"}}});
    }

    /// A topic with members of a group on it.
    static Task<void> make_and_share(Clients& clients, GroupHistory& groups, GroupPlan plan,
                                     std::vector<GroupPlan>& plans) {
        Random random(plan.seed);
        ++clients.busy_producers;
        co_await make_topic(clients, {.name = plan.topic, .partitions = plan.partitions});
        plan.topic_id = co_await find_topic_id(clients, plan.topic);
        if (random.chance(2, 3)) co_await make_small_offsets_topic(clients, random.next());
        plans.push_back(plan);
        const std::uint64_t members = 1 + random.below(4);
        for (std::uint64_t at = 0; at < members; ++at) {
            plan.seed = random.next();
            plan.name = plan.group + "-" + std::to_string(at);
            plan.instance_id = random.chance(1, 3) ? "i" + std::to_string(at) : "";
            clients.ports.spawn.spawn(be_member(clients, groups, plan));
        }
        --clients.busy_producers;
    }

    void start_groups() {
        for (const GroupKind kind :
             {GroupKind::kClassic, GroupKind::kConsumer, GroupKind::kMixed}) {
            if (!random.chance(1, 3)) continue;
            const std::string name =
                "cnm"[static_cast<int>(kind)] + std::to_string(random.below(1000));
            GroupPlan plan{.group = name,
                           .kind = kind,
                           .topic = "shared-" + name,
                           .partitions = static_cast<std::int32_t>(random.between(1, 5)),
                           .seed = random.next()};
            client_spawn().spawn(make_and_share(*clients_, groups_, std::move(plan), groups_made_));
        }
    }

    std::unique_ptr<Clients> clients_;
    std::vector<Target> targets_;
    GroupHistory groups_{history};
    std::vector<GroupPlan> groups_made_;
    sim::Host* client_host_ = nullptr;
};

}  // namespace

RunResult run_node(const RunOptions& options) {
    NodeLevel level(options);
    FaultRun run(options, level);
    RunResult result = run.run();
    result.commits = level.groups().commits();
    result.migrations = level.groups().migrations();
    return result;
}

}  // namespace dlog::simtest
