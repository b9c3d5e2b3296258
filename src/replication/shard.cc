#include "replication/shard.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "replication/open_log.h"
#include "replication/services.h"
#include "storage/index.h"
#include "storage/log.h"

namespace dlog::replication {

using port::Task;

ShardServices::ShardServices(const port::Ports& shard_ports, ShardConfig shard_config)
    : ports(shard_ports),
      config(std::move(shard_config)),
      flusher(ports),
      files(ports.disk, config.max_open_files),
      indexes(config.index_bytes),
      cleaner_budget(config.cleaner.budget != nullptr
                         ? config.cleaner.budget
                         : std::make_shared<CleanerBudget>(
                               config.cleaner.map_bytes, config.cleaner.io_bytes_per_second, 1)) {}

Shard::Shard(const port::Ports& ports, ShardConfig config)
    : services_(std::make_unique<ShardServices>(ports, std::move(config))) {}

Shard::~Shard() = default;

void Shard::start() {
    port::Spawn& spawn = services_->ports.spawn;
    spawn.spawn(retention_loop(*this));
    spawn.spawn(checkpoint_loop(*this));
    spawn.spawn(eviction_loop(*this));
    spawn.spawn(reopen_loop(*this));
    if (services_->config.cleaner.is_enabled) spawn.spawn(compaction_loop(*this));
}

Task<Result<PartitionPtr>> Shard::open(PartitionKey key, storage::LogConfig config,
                                       LeaderEpoch epoch) {
    DLOG_ASSERT(!is_stopping_);
    auto opened = co_await try_open(key, config, epoch);
    const bool is_mine_to_retry = !opened && epoch != kNoEpoch;
    if (is_mine_to_retry) offline_.push_back({std::move(key), config, epoch});
    co_return opened;
}

Task<Result<PartitionPtr>> Shard::try_open(PartitionKey key, storage::LogConfig config,
                                           LeaderEpoch epoch) {
    const Key id{key.topic_id, key.partition};
    DLOG_ASSERT(!partitions_.contains(id), key.topic, key.partition);
    PartitionFolder folder(*services_, partition_folder(services_->config.data_dir, key));
    DLOG_CO_TRY_ASSIGN(std::unique_ptr<storage::Log> log,
                       co_await open_log(*services_, folder, config));
    auto partition = std::make_shared<Partition>(*services_, std::move(key), std::move(folder),
                                                 std::move(log), epoch);
    partitions_.emplace(id, partition);
    co_return partition;
}

PartitionPtr Shard::find(TopicId topic, PartitionId partition) const {
    const auto found = partitions_.find(Key{topic, partition});
    return found == partitions_.end() ? nullptr : found->second;
}

std::vector<Shard::Closed>::iterator Shard::find_offline(const Key& id) {
    return std::ranges::find_if(offline_, [&](const Closed& closed) {
        return Key{closed.key.topic_id, closed.key.partition} == id;
    });
}

void Shard::set_config(TopicId topic, PartitionId partition, const storage::LogConfig& config) {
    const Key id{topic, partition};
    if (const auto open = partitions_.find(id); open != partitions_.end()) {
        open->second->set_config(config);
    } else if (const auto closed = find_offline(id); closed != offline_.end()) {
        closed->config = config;
    }
}

Task<Result<void>> Shard::remove(TopicId topic, PartitionId partition) {
    const Key id{topic, partition};
    if (const auto closed = find_offline(id); closed != offline_.end()) {
        const PartitionKey key = closed->key;
        offline_.erase(closed);
        while (reopening_ == id) co_await reopened_.wait();
        co_return co_await remove_folder(key);
    }
    const auto found = partitions_.find(id);
    if (found == partitions_.end()) co_return {};
    const PartitionPtr removed = found->second;
    partitions_.erase(found);
    removed->close();
    co_await removed->drain(false);
    co_return co_await remove_folder(removed->key());
}

Task<Result<void>> Shard::remove_folder(PartitionKey key) {
    PartitionFolder folder(*services_, partition_folder(services_->config.data_dir, key));
    const auto done = co_await folder.remove();
    if (done) co_return {};
    services_->ports.log.error(
        "a deleted partition's folder could not be removed",
        {{"folder", folder.path()}, {"error", port::disk_error_name(done.error())}});
    co_return unexpected(Error::kStorageFailed);
}

std::vector<PartitionPtr> Shard::partitions() const {
    std::vector<PartitionPtr> all;
    all.reserve(partitions_.size());
    for (const auto& [id, partition] : partitions_) all.push_back(partition);
    // The map's order is no order: what is done to all of them happens in the same order
    // everywhere.
    std::sort(all.begin(), all.end(), [](const PartitionPtr& a, const PartitionPtr& b) {
        if (a->key().topic != b->key().topic) return a->key().topic < b->key().topic;
        return a->key().partition < b->key().partition;
    });
    return all;
}

namespace {

Task<void> drain_one(PartitionPtr partition, port::Gate& gate) {
    const port::Gate::Hold hold = gate.enter();
    co_await partition->drain(true);
}

}  // namespace

Task<void> Shard::stop() {
    is_stopping_ = true;
    services_->is_stopping = true;
    stopping_.notify_all();
    services_->tail_grew.notify_all();
    while (loops_.held() > 0) co_await loops_.left().wait();
    // Together, so that their last syncs and checkpoints share calls.
    port::Gate draining;
    for (const PartitionPtr& partition : partitions()) {
        partition->close();
        services_->ports.spawn.spawn(drain_one(partition, draining));
    }
    while (draining.held() > 0) co_await draining.left().wait();
    partitions_.clear();
}

Task<void> Shard::retention_loop(Shard& self) {
    const port::Gate::Hold hold = self.loops_.enter();
    port::Clock& clock = self.services_->ports.clock;
    while (!self.is_stopping_) {
        const Instant next = clock.now() + self.services_->config.retention_interval;
        (void)co_await self.stopping_.wait_until(clock, next);
        for (const PartitionPtr& partition : self.partitions()) {
            if (self.is_stopping_) break;
            co_await partition->apply_retention();
        }
    }
}

Task<void> Shard::checkpoint_loop(Shard& self) {
    const port::Gate::Hold hold = self.loops_.enter();
    port::Clock& clock = self.services_->ports.clock;
    while (!self.is_stopping_) {
        const Instant next = clock.now() + self.services_->config.checkpoint_interval;
        (void)co_await self.stopping_.wait_until(clock, next);
        if (self.is_stopping_) break;
        for (const PartitionPtr& partition : self.partitions()) partition->keep_house();
    }
}

Task<void> Shard::reopen_loop(Shard& self) {
    const port::Gate::Hold hold = self.loops_.enter();
    port::Clock& clock = self.services_->ports.clock;
    while (!self.is_stopping_) {
        const Instant next = clock.now() + self.services_->config.reopen_interval;
        (void)co_await self.stopping_.wait_until(clock, next);
        // A copy: while one is tried, others may be removed or join.
        for (const Closed& closed : std::vector<Closed>(self.offline_)) {
            if (self.is_stopping_) break;
            co_await self.reopen({closed.key.topic_id, closed.key.partition});
        }
    }
}

Task<void> Shard::reopen(Key id) {
    const auto closed = find_offline(id);
    if (closed == offline_.end()) co_return;
    reopening_ = id;
    const Closed tried = *closed;
    const auto opened = co_await try_open(tried.key, tried.config, tried.epoch);
    reopening_.reset();
    const auto still = find_offline(id);
    if (opened && still != offline_.end()) {
        (*opened)->set_config(still->config);
        offline_.erase(still);
        services_->ports.log.info(
            "a partition that could not be opened is served again",
            {{"folder", partition_folder(services_->config.data_dir, tried.key)}});
    } else if (opened) {
        // Removed meanwhile: whoever does so goes on when nothing is under way here.
        partitions_.erase(id);
        (*opened)->close();
        co_await (*opened)->drain(false);
    }
    reopened_.notify_all();
}

/// The dirtiest partition first, one at a time.
Task<void> Shard::compaction_loop(Shard& self) {
    const port::Gate::Hold hold = self.loops_.enter();
    port::Clock& clock = self.services_->ports.clock;
    while (!self.is_stopping_) {
        PartitionPtr dirtiest;
        double highest = 0;
        for (const PartitionPtr& partition : self.partitions()) {
            const double urgency = co_await partition->compaction_urgency();
            if (urgency > highest) dirtiest = partition;
            highest = std::max(highest, urgency);
        }
        if (dirtiest != nullptr) {
            // One that fails wants nothing for a while: the others have their turn.
            (void)co_await dirtiest->compact();
            continue;
        }
        const Instant next = clock.now() + self.services_->config.cleaner.backoff;
        (void)co_await self.stopping_.wait_until(clock, next);
    }
}

/// Lets go of old batches when the tails together hold more than they may: first whoever holds more
/// than an even share, then everyone.
Task<void> Shard::eviction_loop(Shard& self) {
    const port::Gate::Hold hold = self.loops_.enter();
    ShardServices& services = *self.services_;
    while (!self.is_stopping_) {
        co_await services.tail_grew.wait();
        if (self.is_stopping_) break;
        // A quarter below the bound, so that not every append starts this again.
        const std::size_t target = services.config.tail_bytes / 4 * 3;
        const std::size_t share = target / std::max<std::size_t>(self.partitions_.size(), 1);
        for (const std::size_t each : {share, std::size_t{0}}) {
            if (services.tail_bytes_held <= target) break;
            for (const auto& [id, partition] : self.partitions_) (void)partition->evict_tail(each);
        }
    }
}

ShardMetrics Shard::metrics() const {
    ShardMetrics metrics = services_->metrics;
    metrics.syncs = services_->flusher.syncs();
    metrics.tail_bytes_held = services_->tail_bytes_held;
    metrics.partitions = partitions_.size();
    for (const auto& [id, partition] : partitions_) {
        metrics.segments += partition->status().segment_count;
        if (partition->is_uncleanable()) ++metrics.uncleanable_partitions;
    }
    return metrics;
}

std::string partition_folder(const std::string& data_dir, const PartitionKey& key) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string id;
    for (int shift = 60; shift >= 32; shift -= 4) id += kDigits[(key.topic_id.high >> shift) & 15];
    return data_dir + "/topics/" + key.topic + "/" + std::to_string(key.partition.value) + "-" + id;
}

}  // namespace dlog::replication
