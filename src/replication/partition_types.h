/// What a partition is asked and answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "port/disk.h"
#include "port/net.h"

namespace dlog::replication {

/// Why an operation on a partition failed.
enum class Error : std::uint8_t {
    kClosed,         ///< The partition was removed, or the node is stopping.
    kStorageFull,    ///< No space: nothing of this append is kept. Served again when space returns.
    kStorageFailed,  ///< The device failed; the log says where.
    kOffsetOutOfRange,    ///< Below the log start or above the log's end.
    kCorrupt,             ///< The bytes at this offset are damaged on disk.
    kOutOfOrderSequence,  ///< KIP-98: a gap in the producer's sequence numbers.
    kFencedProducer,      ///< KIP-98: a newer epoch of this producer id has written.
    kBatchTooLarge,       ///< Larger than segment.bytes.
    kEpochTooNew,         ///< The asker knows a later leader epoch than this replica.
    kTimedOut,            ///< Not decided by the caller's deadline.
    kNotLeader,           ///< Another replica leads, or led when the append came.
    kReplaced,            ///< Compaction rewrote the segment meanwhile: plan again. Never leaves.
};

[[nodiscard]] std::string_view error_name(Error error);
[[nodiscard]] Error error_of(port::DiskError error);

template <class T>
using Result = std::expected<T, Error>;

/// What names a partition and places its folder.
struct PartitionKey {
    std::string topic;
    TopicId topic_id;
    PartitionId partition;
};

/// An append that has its offsets but is not committed yet. `partition.committed(admitted)` waits
/// for that.
struct Admitted {
    Offset base_offset;
    Offset next_offset;                        ///< One past the batch's last record.
    Timestamp log_append_time = kNoTimestamp;  ///< Set under message.timestamp.type=LogAppendTime.
    Offset log_start_offset;
    std::uint64_t generation = 0;  ///< Which of the log's histories the offsets belong to.
    LeaderEpoch leader_epoch = kNoEpoch;
};

struct ReadRequest {
    Offset from;
    std::size_t max_bytes = 0;
    /// Serve the first batch whole even when it is larger than max_bytes (KIP-74).
    bool at_least_one = false;
    /// Only what ends at or before it; nothing: the high watermark. A replica reads further, and
    /// from the log's first segment on.
    std::optional<Offset> limit = {};
};

/// Whole batches (the last may be cut short when it comes from a file), ready to be written to a
/// connection.
struct ReadResult {
    std::vector<port::OutPart> parts;
    std::size_t size_bytes = 0;
    Offset next_offset = kNoOffset;  ///< Where the batches end, when there are any.
    Offset high_watermark;
    Offset log_start_offset;
};

struct TimestampOffset {
    Offset offset = kNoOffset;
    Timestamp timestamp = kNoTimestamp;
    LeaderEpoch leader_epoch = kNoEpoch;
};

struct EpochEnd {
    LeaderEpoch epoch = kNoEpoch;
    Offset end_offset = kNoOffset;
};

/// What an idempotent producer last did here (KIP-98).
struct ProducerStatus {
    ProducerId id;
    ProducerEpoch epoch;
    std::int32_t last_sequence = -1;
    Timestamp last_timestamp = kNoTimestamp;  ///< The largest of its last batch.
};

struct PartitionStatus {
    Offset log_start_offset;
    Offset high_watermark;
    Offset log_end_offset;
    std::uint64_t size_bytes = 0;
    std::uint64_t segment_count = 0;
    LeaderEpoch leader_epoch;
};

}  // namespace dlog::replication
