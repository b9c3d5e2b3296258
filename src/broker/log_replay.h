/// Folding a partition's log into a state: the metadata log, and the logs of groups.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "port/task.h"
#include "record/reader.h"
#include "replication/partition.h"

namespace dlog::broker {

struct Core;

/// Takes one record; the reason in words when it cannot be folded.
using RecordFolder = std::function<std::expected<void, std::string>(const record::Record&)>;

/// Calls `fold` for every committed record of `log` in order, from its start to the high watermark,
/// letting others run in between. The reason in words when the log cannot be read or folded.
[[nodiscard]] port::Task<std::expected<void, std::string>> replay_log(Core& core,
                                                                      replication::PartitionPtr log,
                                                                      RecordFolder fold);

}  // namespace dlog::broker
