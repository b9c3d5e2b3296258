/// What the partitions of one core share.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/lru.h"
#include "port/ports.h"
#include "replication/cleaner_budget.h"
#include "replication/flusher.h"
#include "replication/open_files.h"
#include "replication/shard.h"

namespace dlog::storage {
class SegmentIndex;
}

namespace dlog::replication {

/// Belongs to one core. Outlives its partitions.
struct ShardServices {
    ShardServices(const port::Ports& shard_ports, ShardConfig shard_config);

    const port::Ports& ports;
    ShardConfig config;
    Flusher flusher;
    OpenFiles files;
    /// Indexes of sealed segments by the path of their .log, in bytes of memory.
    Lru<std::shared_ptr<const storage::SegmentIndex>> indexes;
    ShardMetrics metrics;
    std::shared_ptr<CleanerBudget> cleaner_budget;
    /// A round of compaction under way breaks off.
    bool is_stopping = false;
    /// Bytes that the tails of all partitions hold; the shard evicts when it is above the
    /// configured bound.
    std::size_t tail_bytes_held = 0;
    port::Notifier tail_grew;
    /// The names of the data folder and of topics/ in it are on stable storage.
    bool is_data_dir_synced = false;
};

}  // namespace dlog::replication
