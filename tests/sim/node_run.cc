#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "broker/node.h"
#include "clients.h"
#include "disk_faults.h"
#include "eager_disk.h"
#include "group_clients.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "run.h"
#include "sim/world.h"

namespace dlog::simtest {

namespace {

using port::Task;

constexpr Duration kConvergeLimit = seconds(900);
constexpr Duration kInFlight = milliseconds(50);
constexpr std::int64_t kFlushMsMost = 2000;
/// More than any flush.ms, with what a slow disk adds.
constexpr Duration kFlushed = milliseconds(5 * kFlushMsMost);

/// The node on all cores of its host. A start that fails is tried again, as a supervisor would.
class NodeProgram final : public sim::Program {
  public:
    NodeProgram(sim::Host& host, broker::NodeConfig config, Canary canary)
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

    [[nodiscard]] bool is_ready() const { return node_ != nullptr && node_->is_ready(); }
    [[nodiscard]] bool has_stopped() const { return has_stopped_; }
    void stop_soon() { host_.ports().spawn.spawn(stop(*this)); }

  private:
    static Task<void> start(NodeProgram& self) {
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

    static Task<void> stop(NodeProgram& self) {
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

broker::NodeConfig random_node_config(Random& random) {
    broker::NodeConfig config;
    config.listen = {"0.0.0.0", 9092};
    config.advertised = {"node", 9092};
    config.data_dir = "data";
    config.auto_create_topics = false;
    config.tail_bytes = static_cast<std::size_t>(random.between(0, 64)) * 1024;
    config.open_files_max = static_cast<std::size_t>(random.between(4, 60));
    config.retention_interval = milliseconds(random.between(50, 2000));
    config.checkpoint_interval = milliseconds(random.between(20, 3000));
    config.produce_in_flight_max = static_cast<std::uint32_t>(random.between(1, 8));
    config.groups.initial_rebalance_delay = milliseconds(random.between(0, 300));
    config.groups.session_timeout_min = milliseconds(100);
    config.cleaner_backoff = milliseconds(random.between(10, 2000));
    config.offsets_topic_partitions = static_cast<std::int32_t>(random.between(1, 4));
    config.fetch_session_slots_max = static_cast<std::uint32_t>(random.between(0, 3));
    return config;
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
    if (random.chance(1, 3)) {
        set("retention.bytes", random.between(8, 200) * 1024);
        planned.rules.may_drop_old = true;
    }
    if (random.chance(1, 4)) {
        set("retention.ms", random.between(500, 60'000));
        planned.rules.may_drop_old = true;
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

class NodeRun {
  public:
    explicit NodeRun(const RunOptions& options)
        : random_(options.seed ^ 0x40de5eedULL), world_(options.seed, world_options(options)) {
        node_host_ = &world_.add_host("node", static_cast<std::uint32_t>(random_.between(1, 3)));
        client_host_ = &world_.add_host("clients");
        node_host_->disk().is_traced = options.is_traced;
        clients_ = std::make_unique<Clients>(client_host_->ports(), history_,
                                             port::Endpoint{"node", 9092});
        const broker::NodeConfig config = random_node_config(random_);
        const Canary canary = options.canary;
        node_host_->boot([config, canary](sim::Host& host) {
            return std::make_unique<NodeProgram>(host, config, canary);
        });
    }

    RunResult run() {
        start_clients();
        const std::uint64_t rounds = 3 + random_.below(6);
        for (std::uint64_t round = 0; round < rounds && history_.failures().empty(); ++round) {
            world_.run_for(milliseconds(random_.between(20, 900)));
            disturb();
        }
        converge();
        RunResult result;
        result.hash = world_.hash();
        result.effects = world_.effects();
        result.failures = history_.failures();
        if (!result.failures.empty()) result.last_lines = world_.last_lines(20);
        result.acknowledged_records = history_.acknowledged_records();
        result.seen_records = history_.seen_records();
        result.corrupt_refusals = history_.corrupt_refusals();
        result.crashes = crashes_;
        return result;
    }

  private:
    static sim::Options world_options(const RunOptions& options) {
        sim::Options world;
        world.is_traced = options.is_traced;
        return world;
    }
    [[nodiscard]] NodeProgram& node() { return static_cast<NodeProgram&>(*node_host_->program()); }
    [[nodiscard]] port::Spawn& client_spawn() { return client_host_->ports().spawn; }
    void tell(std::string_view what) { node_host_->log().info(what); }

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
                              .seed = random.next()}));
            }
            clients.ports.spawn.spawn(consume(clients, target, random.next()));
        }
        --clients.busy_producers;
    }

    /// The groups' own topic, in segments so small that compaction has to do with them.
    static Task<void> make_small_offsets_topic(Clients& clients, std::uint64_t seed) {
        Random random(seed);
        const std::string segment_bytes = std::to_string(random.between(2000, 6000));
        co_await make_topic(clients, {.name = "__consumer_offsets",
                                      .partitions = static_cast<std::int32_t>(random.between(1, 3)),
                                      .configs = {{"cleanup.policy", "compact"},
                                                  {"internal.segment.bytes", segment_bytes},
                                                  {"min.cleanable.dirty.ratio", "0.01"}}});
    }

    /// A topic with members of a group on it.
    static Task<void> make_and_share(Clients& clients, GroupHistory& groups, std::uint64_t seed,
                                     std::vector<GroupPlan>& plans) {
        Random random(seed);
        GroupPlan plan{.group = "g" + std::to_string(random.below(1000)), .topic = "shared"};
        plan.partitions = static_cast<std::int32_t>(random.between(1, 5));
        ++clients.busy_producers;
        co_await make_topic(clients, {.name = plan.topic, .partitions = plan.partitions});
        if (random.chance(2, 3)) co_await make_small_offsets_topic(clients, random.next());
        plans.push_back(plan);
        const std::uint64_t members = 1 + random.below(4);
        for (std::uint64_t at = 0; at < members; ++at) {
            plan.seed = random.next();
            plan.instance_id = random.chance(1, 3) ? "i" + std::to_string(at) : "";
            clients.ports.spawn.spawn(be_member(clients, groups, plan));
        }
        --clients.busy_producers;
    }

    void start_clients() {
        const std::uint64_t topics = 1 + random_.below(3);
        for (std::uint64_t at = 0; at < topics; ++at) {
            client_spawn().spawn(
                make_and_use(*clients_, random_topic(random_, at), random_.next(), targets_));
        }
        if (random_.chance(1, 2)) {
            client_spawn().spawn(make_and_share(*clients_, groups_, random_.next(), groups_made_));
        }
        if (random_.chance(1, 2)) client_spawn().spawn(churn(*clients_, "churn", random_.next()));
    }

    /// What is on its way to the clients still reaches them, and later where the way is blocked.
    void lose_unsynced() {
        world_.run_for(kInFlight);
        history_.unsynced_lost();
        if (are_answers_blocked_) history_.set_unsynced_at_risk(true);
    }

    void restart_after(bool is_power_loss, bool is_flushed = false) {
        ++crashes_;
        tell(is_power_loss ? "FAULT: the power goes" : "FAULT: the process is killed");
        if (is_power_loss) {
            world_.crash(*node_host_);
        } else {
            world_.kill(*node_host_);
        }
        // At rest: what was read before would still be right in the system's cache.
        if (is_power_loss && random_.chance(1, 3)) flip();
        world_.run_for(milliseconds(random_.between(0, 300)));
        if (is_power_loss && !is_flushed) lose_unsynced();
        world_.restart(*node_host_);
    }

    void flip() {
        if (targets_.empty()) return;
        const Target& target = targets_[random_.below(targets_.size())];
        const std::string prefix =
            "data/topics/" + target.topic + "/" + std::to_string(target.partition) + "-";
        for (const std::string& path : node_host_->disk().image.files_under("data/topics")) {
            if (!path.starts_with(prefix)) continue;
            const std::string folder = port::parent_path(path);
            const BatchAt batch = flip_in_sealed_segment(*node_host_, random_, folder);
            if (batch.size_bytes == 0) return;
            node_host_->log().info("FAULT: a bit flips", {{"folder", folder},
                                                          {"from_offset", batch.first_offset},
                                                          {"to_offset", batch.last_offset}});
            history_.damaged(target.log, batch.first_offset, batch.last_offset);
            return;
        }
    }

    void stop_cleanly() {
        if (!node().is_ready()) return;
        tell("FAULT: a clean stop");
        node().stop_soon();
        if (!world_.run_until([this] { return node().has_stopped(); }, kConvergeLimit)) {
            history_.fail("a clean stop did not end");
        }
        world_.kill(*node_host_);
        world_.restart(*node_host_);
    }

    void inflict_network_fault() {
        const std::uint32_t node_number = node_host_->number();
        const std::uint32_t client_number = client_host_->number();
        switch (random_.below(4)) {
            case 0:
                tell("FAULT: a connection is reset");
                (void)world_.network().reset_one();
                break;
            case 1:
                tell("FAULT: connections are reset now and then");
                world_.options().net.reset = {static_cast<std::uint32_t>(random_.between(20, 400))};
                break;
            case 2:
                tell("FAULT: the node's answers do not get through");
                world_.network().set_blocked(node_number, client_number, true);
                are_answers_blocked_ = true;
                break;
            default:
                tell("FAULT: the clients' requests do not get through");
                world_.network().set_blocked(client_number, node_number, true);
                break;
        }
    }

    void heal() {
        tell("FAULT: all faults end");
        world_.heal();
        are_answers_blocked_ = false;
        node_host_->disk().options.sync = sim::DiskOptions().sync;
    }

    void disturb() {
        switch (random_.below(12)) {
            case 0:
            case 1:
            case 2:
            case 3:
                restart_after(true);
                break;
            case 4:
            case 5:
                restart_after(false);
                break;
            case 6:
                heal();
                stop_cleanly();
                break;
            case 7:
                heal();
                break;
            case 8:
            case 9:
                inflict_network_fault();
                break;
            default:
                tell(inflict_disk_fault(world_, *node_host_, random_));
                if (node_host_->disk().options.sync_error.one_in > 0) {
                    history_.set_unsynced_at_risk(true);
                }
                break;
        }
    }

    void read_all_whole() {
        clients_->readings_missing =
            static_cast<std::uint32_t>(targets_.size() + groups_made_.size());
        for (const GroupPlan& plan : groups_made_) {
            client_spawn().spawn(check_offsets(*clients_, groups_, plan));
        }
        for (const Target& target : targets_) {
            client_spawn().spawn(read_whole(*clients_, target));
        }
        if (!world_.run_until([this] { return clients_->readings_missing == 0; }, kConvergeLimit)) {
            history_.fail("the last reading did not end");
        }
    }

    void converge() {
        heal();
        clients_->is_producing = false;
        if (!world_.run_until([this] { return node().is_ready(); }, kConvergeLimit)) {
            history_.fail("the healed node did not start");
            return;
        }
        const auto is_quiet = [this] { return clients_->busy_producers == 0; };
        const bool is_converged = world_.run_until(is_quiet, kConvergeLimit);
        if (!is_converged) {
            history_.fail("the healed node did not acknowledge everything");
            return;
        }
        // From here on flush.ms keeps its promise: the last loss of power takes nothing.
        world_.run_for(kFlushed);
        history_.set_unsynced_at_risk(false);
        read_all_whole();
        restart_after(true, true);
        read_all_whole();
        stop_cleanly();
        read_all_whole();
    }

    Random random_;
    History history_;
    std::unique_ptr<Clients> clients_;
    std::vector<Target> targets_;
    GroupHistory groups_{history_};
    std::vector<GroupPlan> groups_made_;
    sim::World world_;
    sim::Host* node_host_ = nullptr;
    sim::Host* client_host_ = nullptr;
    std::uint64_t crashes_ = 0;
    bool are_answers_blocked_ = false;
};

}  // namespace

RunResult run_node(const RunOptions& options) {
    NodeRun run(options);
    return run.run();
}

}  // namespace dlog::simtest
