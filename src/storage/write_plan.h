/// What a driver has to do in a partition's folder, step by step.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "storage/index.h"

namespace dlog::storage {

/// Make the segment's .log file; empty it when it is there already.
struct CreateSegment {
    Offset segment;
};
/// Write the parts one after the other from `position` of the segment's .log on.
struct WriteBytes {
    Offset segment;
    std::uint64_t position = 0;
    std::vector<Buffer> parts;
    std::uint64_t size_bytes = 0;
};
/// The segment is full: write its .index and .timeindex. They need no sync, and a failure here
/// fails nothing: an index that is missing or damaged is built anew when it is wanted. One that is
/// not complete (`is_complete`) may be left out.
struct SealSegment {
    Offset segment;
    std::shared_ptr<const SegmentIndex> index;
};
/// Cut the segment's .log to this size.
struct TruncateSegment {
    Offset segment;
    std::uint64_t size_bytes = 0;
};
/// Remove the segment's files, those that exist.
struct RemoveSegment {
    Offset segment;
};
/// Remove the segment's .index and .timeindex, those that exist: they may tell of bytes that are
/// no longer there.
struct RemoveIndexes {
    Offset segment;
};
/// Rename the segment's .log to <name>.aside: it cannot be part of the log, but a human may want
/// it.
struct SetAsideSegment {
    Offset segment;
};
using WriteStep = std::variant<CreateSegment, WriteBytes, SealSegment, TruncateSegment,
                               RemoveSegment, RemoveIndexes, SetAsideSegment>;

/// Steps to be performed in order. `written` or `write_failed` answers it before the next one.
struct WritePlan {
    std::vector<WriteStep> steps;
    std::uint64_t size_bytes = 0;
    [[nodiscard]] bool empty() const { return steps.empty(); }
};

/// A point up to which a driver is going to sync.
struct SyncTarget {
    Offset end_offset;
    std::vector<Offset> segments;  ///< The .log files to sync, none when there is nothing to do.
    bool changes_folder = false;   ///< Sync the partition's folder too.
    std::uint64_t folder_changes = 0;
    std::uint64_t cuts = 0;
    std::uint64_t mark_id = 0;
};

/// Appends that are gone: their offsets will be given to other records.
struct LostRange {
    Offset begin_offset;
    Offset end_offset;
};

}  // namespace dlog::storage
