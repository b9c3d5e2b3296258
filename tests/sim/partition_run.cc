#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "bare_node.h"
#include "base/assert.h"
#include "base/random.h"
#include "batches.h"
#include "direct_producer.h"
#include "eager_disk.h"
#include "fault_run.h"
#include "history.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "replication/partition.h"
#include "replication/shard.h"
#include "run.h"
#include "sim/world.h"

namespace dlog::simtest {

namespace {

using port::Task;
using replication::PartitionPtr;
using replication::ReadRequest;

struct PartitionState {
    bool has_deletions = false;  // somebody deletes records now and then
    LogId log = 0;
    replication::PartitionKey key;
    storage::LogConfig config;
    std::string folder;
    std::uint32_t key_count = 0;  ///< above 0: compacted
};

/// Everything about the run that is not in the world.
struct Plan {
    explicit Plan(History& run_history) : history(run_history) {}
    History& history;
    std::vector<PartitionState> partitions;
    std::vector<DirectProducer> producers;
    replication::ShardConfig shard;
    Canary canary = Canary::kNone;
    bool is_producing = true;
    std::size_t readings_missing = 0;
};

/// The node: a shard on its host's only core, with its clients beside it.
class PartitionNode final : public NodeProgram {
  public:
    PartitionNode(sim::Host& host, Plan& plan)
        : host_(host),
          plan_(plan),
          eager_(host.ports().disk, host.ports().spawn),
          ports_(ports_with(host, plan.canary == Canary::kAcknowledgesBeforeFlush
                                      ? static_cast<port::Disk&>(eager_)
                                      : host.ports().disk)),
          shard_(ports_, plan.shard),
          opened_(plan.partitions.size()) {
        ports_.spawn.spawn(open_all(*this));
    }

    [[nodiscard]] bool is_ready() const override { return is_open_; }
    [[nodiscard]] bool has_stopped() const override { return has_stopped_; }
    [[nodiscard]] std::uint64_t compacted_records() const {
        return shard_.metrics().cleaner_removed_records;
    }
    void stop_soon() override { ports_.spawn.spawn(stop_shard(*this)); }
    /// Reads every partition whole and checks it.
    void read_all() {
        plan_.readings_missing = opened_.size();
        for (std::size_t at = 0; at < opened_.size(); ++at) {
            ports_.spawn.spawn(read_whole(*this, at));
        }
    }

  private:
    static Task<void> open_all(PartitionNode& self) {
        while (!co_await make_folder(&self.host_.ports().disk, self.plan_.shard.data_dir)) {
            co_await port::sleep_for(self.ports_.clock, milliseconds(50));
        }
        for (std::size_t at = 0; at < self.opened_.size(); ++at) {
            const PartitionState& state = self.plan_.partitions[at];
            while (self.opened_[at] == nullptr) {
                auto opened = co_await self.shard_.open(
                    state.key, state.config,
                    LeaderEpoch(static_cast<std::int32_t>(self.host_.life())));
                if (opened) {
                    self.opened_[at] = *std::move(opened);
                } else {
                    co_await port::sleep_for(self.ports_.clock, milliseconds(50));
                }
            }
            self.ports_.spawn.spawn(consume(self, at));
            if (state.has_deletions) self.ports_.spawn.spawn(delete_records(self, at));
        }
        self.shard_.start();
        for (DirectProducer& producer : self.plan_.producers) {
            self.ports_.spawn.spawn(produce(self, producer));
        }
        self.is_open_ = true;
    }

    static Task<void> stop_shard(PartitionNode& self) {
        co_await self.shard_.stop();
        self.has_stopped_ = true;
    }

    static Task<void> produce(PartitionNode& self, DirectProducer& producer) {
        port::Clock& clock = self.ports_.clock;
        // Whatever was under way when the node died: without idempotence it is given up.
        if (!producer.is_idempotent) producer.unacknowledged.clear();
        while (true) {
            if (self.plan_.is_producing) producer.fill_window(self.plan_.history, clock.wall_now());
            const bool is_well = co_await send_all(&producer, self.opened_[producer.partition],
                                                   &self.plan_.history, &clock);
            if (!self.plan_.is_producing && producer.unacknowledged.empty()) break;
            const std::int64_t pause_us = is_well ? producer.random.between(0, 3000) : 20'000;
            co_await port::sleep_for(self.ports_.clock, microseconds(pause_us));
        }
    }

    static Task<void> consume(PartitionNode& self, std::size_t at) {
        const LogId log = self.plan_.partitions[at].log;
        Random random(self.ports_.entropy.next());
        std::int64_t offset = 0;
        while (true) {
            const auto bytes = co_await read_bytes(
                &self.host_.ports().disk, self.opened_[at],
                {.from = Offset(offset), .max_bytes = 1 + random.below(8000), .at_least_one = true},
                &self.plan_.history);
            if (bytes) {
                const std::int64_t next = note_batches(self.plan_.history, log, *bytes, offset);
                if (next == offset && !bytes->empty()) {
                    self.plan_.history.fail("a read brought no whole batch");
                }
                offset = next;
                if (random.chance(1, 200)) {
                    offset = static_cast<std::int64_t>(
                        random.below(static_cast<std::uint64_t>(offset) + 1));
                }
            } else if (bytes.error() == replication::Error::kCorrupt) {
                self.plan_.history.refused_as_corrupt(log, offset);
                ++offset;
            } else if (bytes.error() == replication::Error::kOffsetOutOfRange) {
                offset = self.opened_[at]->log_start_offset().value;
            } else if (bytes.error() == replication::Error::kClosed) {
                break;
            }
            co_await port::sleep_for(self.ports_.clock, milliseconds(random.between(1, 20)));
        }
    }

    static Task<void> delete_records(PartitionNode& self, std::size_t at) {
        const LogId log = self.plan_.partitions[at].log;
        const PartitionPtr& partition = self.opened_[at];
        Random random(self.ports_.entropy.next());
        while (self.plan_.is_producing) {
            co_await port::sleep_for(self.ports_.clock, milliseconds(random.between(20, 2000)));
            const Offset start = partition->log_start_offset();
            const Offset end = partition->high_watermark();
            std::optional<Offset> before;
            if (random.chance(7, 8)) before = start + random.between(0, end.since(start));
            self.plan_.history.asked_to_delete(log, before.value_or(end).value);
            const auto deleted = co_await partition->delete_records(before);
            if (deleted) {
                if (*deleted < before.value_or(end)) self.plan_.history.fail("deleted too little");
                self.plan_.history.deleted(log, deleted->value);
            } else if (deleted.error() == replication::Error::kOffsetOutOfRange) {
                self.plan_.history.fail("a deletion up to the high watermark was refused");
            } else if (deleted.error() == replication::Error::kClosed) {
                break;
            }
        }
    }

    static Task<void> read_whole(PartitionNode& self, std::size_t at) {
        const LogId log = self.plan_.partitions[at].log;
        History::Reading reading = self.plan_.history.begin_reading(log);
        reading.log_start_offset = self.opened_[at]->log_start_offset().value;
        reading.end_offset = self.opened_[at]->high_watermark().value;
        std::int64_t offset = reading.log_start_offset;
        while (offset < reading.end_offset) {
            const auto bytes = co_await read_bytes(
                &self.host_.ports().disk, self.opened_[at],
                {.from = Offset(offset), .max_bytes = 20'000, .at_least_one = true},
                &self.plan_.history);
            if (bytes) {
                const std::int64_t next =
                    note_batches(self.plan_.history, log, *bytes, offset, &reading);
                if (next == offset) {
                    self.plan_.history.fail("the last reading stops at offset " +
                                            std::to_string(offset));
                    break;
                }
                offset = next;
            } else if (bytes.error() == replication::Error::kCorrupt) {
                self.plan_.history.refused_as_corrupt(log, offset);
                ++offset;
            } else if (bytes.error() == replication::Error::kOffsetOutOfRange) {
                // Retention came by.
                reading.log_start_offset = self.opened_[at]->log_start_offset().value;
                offset = std::max(offset, reading.log_start_offset);
            } else {
                self.plan_.history.fail("the last reading failed: " +
                                        std::string(error_name(bytes.error())));
                break;
            }
        }
        self.plan_.history.check_reading(log, reading);
        --self.plan_.readings_missing;
    }

    sim::Host& host_;
    Plan& plan_;
    EagerDisk eager_;
    port::Ports ports_;
    replication::Shard shard_;
    std::vector<PartitionPtr> opened_;
    bool is_open_ = false;
    bool has_stopped_ = false;
};

storage::LogConfig random_config(Random& random) {
    storage::LogConfig config;
    config.segment_bytes = random.between(16, 64) * 1024;
    config.index_interval_bytes = random.between(1, 4096);
    if (random.chance(1, 2)) config.segment_ms = random.between(50, 5000);
    if (random.chance(1, 3)) config.retention_bytes = random.between(8, 200) * 1024;
    if (random.chance(1, 4)) config.retention_ms = random.between(500, 60'000);
    return config;
}

/// Every second log is compacted, some of these with few keys, so that whole batches go.
void make_compacted(PartitionState& state, Random& random) {
    storage::LogConfig& config = state.config;
    config.compacts = true;
    config.deletes_old = random.chance(1, 4);
    config.min_cleanable_dirty_ratio = random.chance(1, 2) ? 0.01 : 0.5;
    config.delete_retention_ms = random.chance(1, 2) ? 3600'000 : random.between(0, 300);
    if (random.chance(1, 4)) config.min_compaction_lag_ms = random.between(1, 300);
    if (random.chance(1, 3)) config.max_compaction_lag_ms = random.between(300, 2000);
    state.key_count = static_cast<std::uint32_t>(random.between(1, 4) * random.between(1, 60));
}

void make_plan(Plan& plan, Random& random) {
    plan.shard.data_dir = "data";
    plan.shard.tail_bytes = static_cast<std::size_t>(random.between(0, 64)) * 1024;
    plan.shard.index_bytes = static_cast<std::size_t>(random.between(0, 64)) * 1024;
    plan.shard.max_open_files = static_cast<std::size_t>(random.between(2, 40));
    plan.shard.retention_interval = milliseconds(random.between(50, 2000));
    plan.shard.checkpoint_interval = milliseconds(random.between(20, 3000));
    plan.shard.cleaner.backoff = milliseconds(random.between(5, 500));
    // So few keys that a round does not cover them all, or room for all.
    plan.shard.cleaner.map_bytes = static_cast<std::size_t>(random.between(2, 4000)) * 24;
    if (random.chance(1, 3)) {
        plan.shard.cleaner.io_bytes_per_second =
            static_cast<double>(random.between(50, 5000)) * 1e3;
    }
    const std::uint64_t partitions = 1 + random.below(4);
    for (std::uint64_t at = 0; at < partitions; ++at) {
        PartitionState state;
        state.key = {.topic = "t" + std::to_string(at),
                     .topic_id = {.high = 7, .low = at + 1},
                     .partition = PartitionId(static_cast<std::int32_t>(at))};
        state.config = random_config(random);
        state.has_deletions = random.chance(1, 3);
        if (random.chance(1, 2)) make_compacted(state, random);
        state.folder = replication::partition_folder(plan.shard.data_dir, state.key);
        const bool drops_old = state.config.deletes_old && (state.config.retention_bytes >= 0 ||
                                                            state.config.retention_ms < 3600'000);
        state.log = plan.history.add_log(
            state.key.topic, {.may_drop_old = drops_old,
                              .key_count = state.key_count,
                              .drops_tombstones = state.config.delete_retention_ms < 3600'000});
        const LogId state_log = state.log;
        const std::uint32_t key_count = state.key_count;
        plan.partitions.push_back(std::move(state));
        const std::uint64_t producers = 1 + random.below(3);
        for (std::uint64_t one = 0; one < producers; ++one) {
            DirectProducer producer;
            producer.number = static_cast<std::uint32_t>(plan.producers.size() + 1);
            producer.partition = at;
            producer.log = state_log;
            producer.key_count = key_count;
            producer.keys_collide = plan.canary == Canary::kKeysCollide;
            producer.is_idempotent = random.chance(3, 4);
            producer.random = random.fork();
            plan.producers.push_back(std::move(producer));
        }
    }
}

class PartitionLevel final : public Level {
  public:
    explicit PartitionLevel(const RunOptions& options) : Level(options.seed ^ 0x9a7717104ULL) {
        plan_.canary = options.canary;
        make_plan(plan_, random);
    }

    Stage set_up(sim::World& world, const RunOptions& /*options*/) override {
        host_ = &world.add_host("node");
        host_->boot(
            [this](sim::Host& host) { return std::make_unique<PartitionNode>(host, plan_); });
        return {.nodes = {host_}, .others = {}};
    }

    void stop_writing() override { plan_.is_producing = false; }
    [[nodiscard]] bool is_quiet() const override {
        return std::ranges::all_of(plan_.producers, [](const DirectProducer& producer) {
            return producer.unacknowledged.empty();
        });
    }

    void begin_readings() override { static_cast<PartitionNode&>(*host_->program()).read_all(); }
    [[nodiscard]] bool are_readings_done() const override { return plan_.readings_missing == 0; }

    void node_ends(NodeProgram& node) override {
        compacted_records_ += static_cast<PartitionNode&>(node).compacted_records();
    }
    std::pair<std::string, LogId> any_partition(sim::Host& /*node*/) override {
        const PartitionState& state = plan_.partitions[random.below(plan_.partitions.size())];
        return {state.folder, state.log};
    }

    [[nodiscard]] std::uint64_t compacted_records() const { return compacted_records_; }

  private:
    Plan plan_{history};
    sim::Host* host_ = nullptr;
    std::uint64_t compacted_records_ = 0;
};

}  // namespace

RunResult run_partitions(const RunOptions& options) {
    PartitionLevel level(options);
    FaultRun run(options, level);
    RunResult result = run.run();
    result.compacted_records = level.compacted_records();
    return result;
}

}  // namespace dlog::simtest
