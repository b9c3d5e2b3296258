#include "storage/segment.h"

#include "base/assert.h"
#include "storage/error.h"

namespace dlog::storage {
namespace {

constexpr std::size_t kDigits = 20;
constexpr std::string_view kCleanedSuffix = ".log.cleaned";
constexpr std::string_view kSwapSuffix = ".swap";

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

std::string digits_of(Offset offset) {
    DLOG_ASSERT(offset.value >= 0, offset);
    const std::string digits = std::to_string(offset.value);
    return std::string(kDigits - digits.size(), '0') + digits;
}

/// The offset that `name` begins with.
std::optional<Offset> read_digits(std::string_view name) {
    if (name.size() <= kDigits) return std::nullopt;
    std::uint64_t value = 0;
    for (const char digit : name.substr(0, kDigits)) {
        if (digit < '0' || digit > '9') return std::nullopt;
        value = value * 10 + static_cast<std::uint64_t>(digit - '0');
        if (value > static_cast<std::uint64_t>(kOffsetMax.value)) return std::nullopt;
    }
    return Offset{static_cast<std::int64_t>(value)};
}

}  // namespace

std::string segment_file_name(Offset base_offset, FileKind kind) {
    std::string name = digits_of(base_offset);
    name += suffix(kind);
    return name;
}

std::string cleaned_file_name(Offset base_offset) {
    return digits_of(base_offset) + std::string(kCleanedSuffix);
}

bool is_cleaned_file_name(std::string_view name) {
    const auto base_offset = read_digits(name);
    return base_offset && name == cleaned_file_name(*base_offset);
}

std::string swap_file_name(Offset base_offset, Offset end_offset) {
    return digits_of(base_offset) + "." + digits_of(end_offset) + std::string(kSwapSuffix);
}

std::optional<SegmentFileName> parse_segment_file_name(std::string_view name) {
    const auto base_offset = read_digits(name);
    if (!base_offset) return std::nullopt;
    for (const FileKind kind : {FileKind::kLog, FileKind::kIndex, FileKind::kTimeIndex}) {
        if (name.substr(kDigits) == suffix(kind)) return SegmentFileName{*base_offset, kind};
    }
    return std::nullopt;
}

std::optional<SwapFileName> parse_swap_file_name(std::string_view name) {
    if (name.size() != 2 * kDigits + 1 + kSwapSuffix.size() || name[kDigits] != '.' ||
        !name.ends_with(kSwapSuffix)) {
        return std::nullopt;
    }
    const auto base_offset = read_digits(name);
    const auto end_offset = read_digits(name.substr(kDigits + 1));
    if (!base_offset || !end_offset || *end_offset <= *base_offset) return std::nullopt;
    return SwapFileName{*base_offset, *end_offset};
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
