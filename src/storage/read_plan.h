/// Where the bytes of a read are: what `Log::read` and its searches by time answer.
#pragma once

#include <memory>
#include <variant>

#include "base/ids.h"
#include "base/time.h"
#include "storage/index.h"
#include "storage/segment.h"
#include "storage/tail.h"

namespace dlog::storage {

/// There is nothing between `from` and `limit`.
struct NothingToRead {};
using MemoryRead = Tail::Read;
/// The bytes are in a file: give this to a FileFetch (file_fetch.h).
struct FileRead {
    ReadRequest request;
    Segment segment;  ///< size_bytes is what may be read: what has been written.
    /// A batch begins at `scan_from`, at or before the one wanted.
    IndexEntry scan_from;
    /// The segment's index, which goes on growing with an active segment. Null when what the read
    /// needs of it is not in memory: load or rebuild it up to segment.size_bytes (of the active
    /// segment: up to `Log::active_index()->covers_from()`, then call `adopt_index_prefix`).
    std::shared_ptr<const SegmentIndex> index;
};
/// The wanted offset is damaged on disk.
struct DamagedRead {
    Damage damage;
};
using ReadPlan = std::variant<NothingToRead, MemoryRead, FileRead, DamagedRead>;

/// Where to look for a timestamp: read from `from` on (in `segment`) for the first record at or
/// after `time`. Refine `from` by SegmentIndex::time_floor when `needs_index`.
struct TimeScan {
    Offset segment;
    Offset from;
    Timestamp time;
    bool needs_index = false;
};

}  // namespace dlog::storage
