#include "storage/segment.h"

#include "base/assert.h"
#include "storage/error.h"

namespace dlog::storage {
namespace {

constexpr std::size_t kDigits = 20;

constexpr std::string_view suffix(FileKind kind) {
    switch (kind) {
        case FileKind::kLog:
            return ".log";
        case FileKind::kIndex:
            return ".index";
        case FileKind::kTimeIndex:
            return ".timeindex";
    }
    DLOG_UNREACHABLE();
}

}  // namespace

std::string segment_file_name(Offset base_offset, FileKind kind) {
    DLOG_ASSERT(base_offset.value >= 0, base_offset);
    const std::string digits = std::to_string(base_offset.value);
    std::string name(kDigits - digits.size(), '0');
    name += digits;
    name += suffix(kind);
    return name;
}

std::optional<SegmentFileName> parse_segment_file_name(std::string_view name) {
    if (name.size() <= kDigits) return std::nullopt;
    std::uint64_t value = 0;
    for (const char digit : name.substr(0, kDigits)) {
        if (digit < '0' || digit > '9') return std::nullopt;
        value = value * 10 + static_cast<std::uint64_t>(digit - '0');
        if (value > static_cast<std::uint64_t>(kOffsetMax.value)) return std::nullopt;
    }
    const Offset base_offset{static_cast<std::int64_t>(value)};
    for (const FileKind kind : {FileKind::kLog, FileKind::kIndex, FileKind::kTimeIndex}) {
        if (name.substr(kDigits) == suffix(kind)) return SegmentFileName{base_offset, kind};
    }
    return std::nullopt;
}

std::string_view damage_reason_text(DamageReason reason) {
    switch (reason) {
        case DamageReason::kTruncated:
            return "the file ends inside a batch";
        case DamageReason::kBadHeader:
            return "not a record batch";
        case DamageReason::kBadCrc:
            return "checksum mismatch";
        case DamageReason::kBadOffset:
            return "offsets do not continue";
        case DamageReason::kMissingFile:
            return "the file is missing";
        case DamageReason::kUnreadable:
            return "the device cannot read the file";
    }
    DLOG_UNREACHABLE();
}

std::string_view error_text(Error error) {
    switch (error) {
        case Error::kOffsetOutOfRange:
            return "offset out of range";
        case Error::kOutOfOrderSequence:
            return "out of order sequence number";
        case Error::kInvalidProducerEpoch:
            return "a newer epoch of the producer has written";
        case Error::kBatchTooLarge:
            return "the batch is larger than a segment";
        case Error::kBadBatch:
            return "not one whole record batch";
        case Error::kBadMagic:
            return "not a file of this kind";
        case Error::kBadVersion:
            return "written by a newer version";
        case Error::kBadChecksum:
            return "checksum mismatch";
        case Error::kBadLength:
            return "wrong length";
        case Error::kBadContent:
            return "contradictory fields";
    }
    DLOG_UNREACHABLE();
}

}  // namespace dlog::storage
