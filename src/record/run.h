/// A run of batches that one replica of a log sends another: split and checked before any of it is
/// taken.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "record/batch.h"
#include "record/error.h"

namespace dlog::record {

struct RunBatch {
    Buffer bytes;  ///< one whole batch; a slice of what came
    BatchHeader header;
};
/// Batches that continue each other, each with an epoch not below that of the one before.
using BatchRun = std::vector<RunBatch>;

/// The batches of [from, end) that `bytes` are: whole, with a true CRC, without a gap and nothing
/// besides. The first may begin before `from` when it is one that compaction left without records
/// and producer: then one that begins there takes its place. kTruncated, kBadCrc and what
/// read_batch_header refuses; kBadOffsets when the offsets or epochs are others.
[[nodiscard]] Result<BatchRun> split_run(const Buffer& bytes, Offset from, Offset end);

/// Leaves out what lies before `from`, as split_run does: kBadOffsets, and the run is of no use,
/// when records of one batch lie on both sides.
[[nodiscard]] Result<void> trim_run(BatchRun& run, Offset from);

}  // namespace dlog::record
