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

}  // namespace dlog::storage
