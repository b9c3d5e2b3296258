/// Opens a partition's log: reads the checkpoint and what may be torn behind it, repairs, syncs.
#pragma once

#include <memory>

#include "port/task.h"
#include "replication/partition.h"
#include "replication/partition_folder.h"
#include "storage/log_config.h"

namespace dlog::storage {
class Log;
}

namespace dlog::replication {

struct ShardServices;

/// What recovery found is logged with file and position. kStorageFailed when the device refuses;
/// nothing on the disk is deleted but a torn tail, and that is said.
[[nodiscard]] port::Task<Result<std::unique_ptr<storage::Log>>> open_log(ShardServices& services,
                                                                         PartitionFolder& folder,
                                                                         storage::LogConfig config);

}  // namespace dlog::replication
