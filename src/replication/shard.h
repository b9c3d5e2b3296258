/// All partitions of one core: opening with recovery, flushing together, retention, checkpoints,
/// removal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "port/ports.h"
#include "port/sync.h"
#include "port/task.h"
#include "replication/partition.h"

namespace dlog::replication {

class CleanerBudget;
struct ShardServices;

/// Compaction of one core's partitions.
struct CleanerConfig {
    bool is_enabled = true;  ///< log.cleaner.enable
    /// What it shares with other cores; null: these two for this core alone.
    std::shared_ptr<CleanerBudget> budget;
    std::size_t map_bytes = 128 << 20;   ///< log.cleaner.dedupe.buffer.size
    double io_bytes_per_second = 1e300;  ///< log.cleaner.io.max.bytes.per.second
    Duration backoff = seconds(15);      ///< log.cleaner.backoff.ms
};

struct ShardConfig {
    std::string data_dir;               ///< Partitions live in data_dir/topics.
    std::size_t tail_bytes = 64 << 20;  ///< Recent batches kept in memory, all partitions together.
    std::size_t index_bytes = 32 << 20;  ///< Indexes of sealed segments kept in memory.
    std::size_t max_open_files = 4096;
    Duration retention_interval = seconds(300);  ///< log.retention.check.interval.ms
    Duration checkpoint_interval =
        seconds(5);  ///< How stale a recovery point may get while data comes in.
    Duration reopen_interval = seconds(10);  ///< Between attempts at what could not be opened.
    CleanerConfig cleaner;
};

/// Counted since the start; the caller renders them.
struct ShardMetrics {
    std::uint64_t appended_batches = 0;
    std::uint64_t appended_bytes = 0;
    std::uint64_t syncs = 0;              ///< Calls of Disk::sync by the flusher.
    std::uint64_t synced_partitions = 0;  ///< Partitions these calls covered, summed.
    std::uint64_t write_failures = 0;
    std::uint64_t tail_bytes_held = 0;
    std::uint64_t partitions = 0;
    std::uint64_t segments = 0;
    std::uint64_t damaged_ranges = 0;
    std::uint64_t deleted_segments = 0;
    std::uint64_t cleaner_read_bytes = 0;
    std::uint64_t cleaner_written_bytes = 0;
    std::uint64_t cleaner_removed_records = 0;
    std::uint64_t cleaner_rounds = 0;  ///< Partitions that were cleaned, summed.
    std::uint64_t cleaner_failures = 0;
    std::uint64_t uncleanable_partitions = 0;
};

/// Belongs to one core.
class Shard {
  public:
    Shard(const port::Ports& ports, ShardConfig config);
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;
    ~Shard();

    /// Starts the flusher, retention and checkpoint loops.
    void start();
    /// Flushes and checkpoints everything, closes all partitions and waits until nothing is under
    /// way.
    [[nodiscard]] port::Task<void> stop();

    /// Opens the partition, recovering what is on disk; a partition that has no folder yet is
    /// empty, and its folder is made with its first append. Offsets appended from now on bear
    /// `epoch`. One that cannot be opened is tried again by itself until it can or is removed. By
    /// kNoEpoch it is led nowhere until its consensus says where, and the caller tries again.
    [[nodiscard]] port::Task<Result<PartitionPtr>> open(PartitionKey key, storage::LogConfig config,
                                                        LeaderEpoch epoch);
    /// nullptr when this core does not hold it.
    [[nodiscard]] PartitionPtr find(TopicId topic, PartitionId partition) const;
    /// Of an open partition, or of one that waits to be opened.
    void set_config(TopicId topic, PartitionId partition, const storage::LogConfig& config);
    /// Closes the partition and deletes its folder.
    [[nodiscard]] port::Task<Result<void>> remove(TopicId topic, PartitionId partition);

    /// All partitions of this core, in no order.
    [[nodiscard]] std::vector<PartitionPtr> partitions() const;
    [[nodiscard]] ShardMetrics metrics() const;

  private:
    struct Key {
        TopicId topic;
        PartitionId partition;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const {
            return IdHash{}(key.topic) ^ (IdHash{}(key.partition) << 1);
        }
    };

    static port::Task<void> retention_loop(Shard& self);
    static port::Task<void> checkpoint_loop(Shard& self);
    static port::Task<void> eviction_loop(Shard& self);
    static port::Task<void> reopen_loop(Shard& self);
    static port::Task<void> compaction_loop(Shard& self);
    /// What is needed to open a partition.
    struct Closed {
        PartitionKey key;
        storage::LogConfig config;
        LeaderEpoch epoch;
    };
    [[nodiscard]] port::Task<Result<PartitionPtr>> try_open(PartitionKey key,
                                                            storage::LogConfig config,
                                                            LeaderEpoch epoch);
    [[nodiscard]] port::Task<void> reopen(Key id);
    [[nodiscard]] std::vector<Closed>::iterator find_offline(const Key& id);
    [[nodiscard]] port::Task<Result<void>> remove_folder(PartitionKey key);
    std::unique_ptr<ShardServices> services_;
    std::unordered_map<Key, PartitionPtr, KeyHash> partitions_;
    std::vector<Closed> offline_;   ///< What could not be opened.
    std::optional<Key> reopening_;  ///< The one that is being tried again.
    port::Notifier reopened_;
    port::Notifier stopping_;
    port::Gate loops_;
    bool is_stopping_ = false;
};

/// The folder of a partition under the data folder: topics/<topic>/<partition>-<first 8 hex digits
/// of the topic id>.
[[nodiscard]] std::string partition_folder(const std::string& data_dir, const PartitionKey& key);

}  // namespace dlog::replication
