/// A look at the whole cluster: where every log begins and ends, how large it is. What cannot be
/// asked at the moment is left out, for the next look.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/time.h"
#include "client/cluster.h"
#include "client/error.h"
#include "port/task.h"

namespace dlog::client {

/// A topic's name and a partition's number.
using PartitionName = std::pair<std::string, std::int32_t>;

/// The first offset at or after `time`, or one of ListOffsets' special timestamps, of every
/// partition of `topics` whose leader answers: one request a leader, sent once.
[[nodiscard]] port::Task<std::map<PartitionName, Offset>> offsets_everywhere(
    Cluster& cluster, std::span<const TopicInfoPtr> topics, Timestamp time, Instant deadline);

/// What one broker keeps on its disks.
struct StoredLogs {
    std::map<PartitionName, std::int64_t> sizes;  ///< bytes of each replica
    /// Of the disks, and what is free of them; -1 when the broker is too old to tell (KIP-827).
    std::int64_t total_bytes = -1;
    std::int64_t free_bytes = -1;
};

[[nodiscard]] port::Task<Result<StoredLogs>> stored_logs(Cluster& cluster, NodeId node,
                                                         Instant deadline);

}  // namespace dlog::client
