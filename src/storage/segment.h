/// A segment: one file of record batches, named by the offset of its first record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"

namespace dlog::storage {

/// No batch begins above this, so that arithmetic on offsets cannot overflow whatever a file says.
inline constexpr Offset kOffsetMax{INT64_MAX - (std::int64_t{1} << 33)};

/// What the log knows of one segment without touching its file. 100,000 of them fit in 6 MB.
struct Segment {
    Offset base_offset;
    Offset end_offset;  ///< one past the last record; base_offset while the segment is empty
    std::uint64_t size_bytes = 0;
    Timestamp max_timestamp = kNoTimestamp;
    /// The first record of the batch in which max_timestamp occurs first.
    Offset max_timestamp_offset = kNoOffset;
    /// When the last batch was appended, by this node's clock. Stands in for max_timestamp where
    /// the records have none.
    Timestamp last_append = kNoTimestamp;

    bool operator==(const Segment&) const = default;
    [[nodiscard]] bool is_empty() const { return size_bytes == 0; }
};

/// A place in the log: everything before `offset` lies before `position` of the segment.
struct LogPosition {
    Offset offset;
    Offset segment;
    std::uint64_t position = 0;
    bool operator==(const LogPosition&) const = default;
};

enum class FileKind : std::uint8_t { kLog, kIndex, kTimeIndex };

/// "00000000000000004711.log": 20 digits of base offset and the kind's suffix.
[[nodiscard]] std::string segment_file_name(Offset base_offset, FileKind kind);

struct SegmentFileName {
    Offset base_offset;
    FileKind kind = FileKind::kLog;
    bool operator==(const SegmentFileName&) const = default;
};
/// Nothing when `name` is not one that segment_file_name makes.
[[nodiscard]] std::optional<SegmentFileName> parse_segment_file_name(std::string_view name);

/// Compaction writes a segment's new file under the first of these names, and gives it the second
/// when it is whole and synced: "<base offset>.<end offset>.swap".
[[nodiscard]] std::string cleaned_file_name(Offset base_offset);
[[nodiscard]] std::string swap_file_name(Offset base_offset, Offset end_offset);
struct SwapFileName {
    Offset base_offset;
    Offset end_offset;
    bool operator==(const SwapFileName&) const = default;
};
/// Nothing when `name` is not one that swap_file_name makes.
[[nodiscard]] std::optional<SwapFileName> parse_swap_file_name(std::string_view name);
[[nodiscard]] bool is_cleaned_file_name(std::string_view name);

inline constexpr std::string_view kCheckpointFileName = "log.checkpoint";

/// Why bytes of a segment cannot be served.
enum class DamageReason : std::uint8_t {
    kTruncated,    ///< the file ends inside a batch
    kBadHeader,    ///< no batch header can look like this
    kBadCrc,       ///< the batch's bytes do not fit its checksum
    kBadOffset,    ///< the batch does not continue the one before it
    kMissingFile,  ///< the segment's file is not there
    kUnreadable,   ///< the device refuses to read it
};
[[nodiscard]] std::string_view damage_reason_text(DamageReason reason);

/// A stretch of a segment that cannot be served. Offsets [first_offset, next_offset) are lost.
struct Damage {
    Offset segment;
    std::uint64_t position = 0;
    std::uint64_t end_position = 0;
    Offset first_offset;
    Offset next_offset;
    DamageReason reason = DamageReason::kBadCrc;
    bool operator==(const Damage&) const = default;
};

}  // namespace dlog::storage
