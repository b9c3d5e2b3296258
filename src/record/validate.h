/// What a broker must check before it appends a client's batch.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/time.h"
#include "codec/compression.h"
#include "record/batch.h"
#include "record/error.h"

namespace dlog::record {

struct ProduceLimits {
    /// Kafka's default of max.message.bytes.
    std::size_t batch_bytes_max = 1'048'588;
    /// Compressed records may not grow beyond this. It bounds time; memory is bounded by
    /// codec::Decompressor.
    std::size_t decompressed_bytes_max = std::size_t{128} << 20;
    /// Compacted topics refuse records without a key.
    bool needs_keys = false;
};

/// A batch that passed, and what its records really say.
struct CheckedBatch {
    BatchHeader header;
    /// Lowest and highest timestamp of the records; kNoTimestamp when no record has one. The caller
    /// compares them with message.timestamp.before.max.ms and after.max.ms, and corrects an untrue
    /// header by set_max_timestamp as Kafka does (LogValidator.assignOffsetsNonCompressed).
    Timestamp min_timestamp;
    Timestamp max_timestamp;
    /// The size of the records, decompressed.
    std::size_t records_bytes = 0;
};

/// Checks one whole batch: `batch` ends where it ends. Magic, CRC, the attributes a client may set,
/// the producer's fields, and a walk over every record: lengths within bounds, offset deltas dense
/// from 0, a true count, headers that end with their record. Compressed records are decompressed in
/// pieces and never held whole.
[[nodiscard]] Result<CheckedBatch> validate_for_produce(ByteView batch, const ProduceLimits& limits,
                                                        codec::Decompressor& decompressor);

}  // namespace dlog::record
