#include "storage/index.h"

#include <algorithm>

#include "base/assert.h"
#include "storage/file_crc.h"

namespace dlog::storage {
namespace {

// docs/formats/index.md and time-index.md: both files begin with the same 64 bytes.
constexpr std::uint32_t kOffsetMagic = 0x49'4f'4c'44;  // "DLOI"
constexpr std::uint32_t kTimeMagic = 0x49'54'4c'44;    // "DLTI"
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHeaderSize = 64;
constexpr std::size_t kOffsetEntrySize = 8;
constexpr std::size_t kTimeEntrySize = 12;

constexpr std::size_t kMagicAt = 0;
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kEntrySizeAt = 6;
constexpr std::size_t kEntryCountAt = 12;
constexpr std::size_t kBaseOffsetAt = 16;
constexpr std::size_t kCoveredOffsetAt = 24;
constexpr std::size_t kCoveredBytesAt = 32;
constexpr std::size_t kMaxTimestampAt = 40;
constexpr std::size_t kMaxTimestampOffsetAt = 48;
constexpr std::size_t kReservedAt = 56;

/// What both headers say, beside their kind.
struct Header {
    std::uint32_t entry_count = 0;
    std::int64_t base_offset = 0;
    std::int64_t covered_offset = 0;
    std::uint64_t covered_bytes = 0;
    std::int64_t max_timestamp_ms = -1;
    std::int64_t max_timestamp_offset = -1;
};

Buffer make_file(std::uint32_t magic, std::size_t entry_size, const Header& header) {
    Buffer file = Buffer::allocate(kHeaderSize + header.entry_count * entry_size);
    std::uint8_t* at = file.mutable_data();
    store_little_endian(at + kMagicAt, magic);
    store_little_endian(at + kVersionAt, kVersion);
    store_little_endian(at + kEntrySizeAt, static_cast<std::uint16_t>(entry_size));
    store_little_endian(at + kEntryCountAt, header.entry_count);
    store_little_endian(at + kBaseOffsetAt, header.base_offset);
    store_little_endian(at + kCoveredOffsetAt, header.covered_offset);
    store_little_endian(at + kCoveredBytesAt, header.covered_bytes);
    store_little_endian(at + kMaxTimestampAt, header.max_timestamp_ms);
    store_little_endian(at + kMaxTimestampOffsetAt, header.max_timestamp_offset);
    store_little_endian(at + kReservedAt, std::uint64_t{0});
    return file;
}

Result<Header> read_header(ByteView file, std::uint32_t magic, std::size_t entry_size) {
    if (file.size() < kHeaderSize) return unexpected(Error::kBadLength);
    const std::uint8_t* at = file.data();
    if (load_little_endian<std::uint32_t>(at + kMagicAt) != magic) {
        return unexpected(Error::kBadMagic);
    }
    if (load_little_endian<std::uint16_t>(at + kVersionAt) != kVersion) {
        return unexpected(Error::kBadVersion);
    }
    const Header header{
        .entry_count = load_little_endian<std::uint32_t>(at + kEntryCountAt),
        .base_offset = load_little_endian<std::int64_t>(at + kBaseOffsetAt),
        .covered_offset = load_little_endian<std::int64_t>(at + kCoveredOffsetAt),
        .covered_bytes = load_little_endian<std::uint64_t>(at + kCoveredBytesAt),
        .max_timestamp_ms = load_little_endian<std::int64_t>(at + kMaxTimestampAt),
        .max_timestamp_offset = load_little_endian<std::int64_t>(at + kMaxTimestampOffsetAt),
    };
    if (file.size() != kHeaderSize + header.entry_count * entry_size) {
        return unexpected(Error::kBadLength);
    }
    if (load_little_endian<std::uint32_t>(at + kCrcAt) != file_crc(file)) {
        return unexpected(Error::kBadChecksum);
    }
    if (load_little_endian<std::uint16_t>(at + kEntrySizeAt) != entry_size ||
        header.base_offset < 0 || header.covered_offset < header.base_offset ||
        header.covered_bytes > UINT32_MAX) {
        return unexpected(Error::kBadContent);
    }
    return header;
}

}  // namespace

SegmentIndex::SegmentIndex(Offset base_offset)
    : base_offset_(base_offset), covers_from_{base_offset, 0}, covers_to_{base_offset, 0} {}

SegmentIndex::SegmentIndex(const Segment& segment)
    : base_offset_(segment.base_offset),
      covers_from_{segment.end_offset, segment.size_bytes},
      covers_to_(covers_from_),
      max_timestamp_(segment.max_timestamp),
      max_timestamp_offset_(segment.max_timestamp_offset) {
    DLOG_ASSERT(segment.end_offset >= segment.base_offset, segment.end_offset, base_offset_);
}

void SegmentIndex::add(const IndexedBatch& batch, std::int64_t interval_bytes) {
    DLOG_ASSERT(batch.position == covers_to_.position && batch.base_offset == covers_to_.offset,
                batch.position, covers_to_.position, batch.base_offset, covers_to_.offset);
    const bool is_later = batch.max_timestamp > max_timestamp_;
    if (is_later) {
        max_timestamp_ = batch.max_timestamp;
        max_timestamp_offset_ = batch.base_offset;
    }
    if (bytes_since_entry_ >
        static_cast<std::uint64_t>(std::max<std::int64_t>(interval_bytes, 0))) {
        const auto relative = static_cast<std::uint64_t>(batch.base_offset.since(base_offset_));
        DLOG_ASSERT(relative <= UINT32_MAX && batch.position <= UINT32_MAX, relative,
                    batch.position);
        offsets_.push_back(
            {static_cast<std::uint32_t>(relative), static_cast<std::uint32_t>(batch.position)});
        bytes_since_entry_ = 0;
        if (max_timestamp_offset_ != kNoOffset &&
            (times_.empty() || max_timestamp_.ms > times_.back().timestamp_ms)) {
            times_.push_back({max_timestamp_.ms, static_cast<std::uint32_t>(
                                                     max_timestamp_offset_.since(base_offset_))});
        }
    }
    bytes_since_entry_ += batch.size_bytes;
    covers_to_ = {batch.next_offset, batch.position + batch.size_bytes};
}

void SegmentIndex::skip_to(IndexEntry to) {
    DLOG_ASSERT(to.position >= covers_to_.position && to.offset >= covers_to_.offset, to.position,
                covers_to_.position);
    // The batch after damage gets an entry, so that readers of it need not cross the damage.
    bytes_since_entry_ = UINT32_MAX;
    covers_to_ = to;
}

void SegmentIndex::truncate(const Segment& segment) {
    const IndexEntry end{segment.end_offset, segment.size_bytes};
    DLOG_ASSERT(end.position >= covers_from_.position && end.position <= covers_to_.position,
                end.position, covers_to_.position);
    while (!offsets_.empty() && offsets_.back().position >= end.position) offsets_.pop_back();
    while (!times_.empty() && base_offset_ + times_.back().relative_offset >= end.offset) {
        times_.pop_back();
    }
    const std::uint64_t last = offsets_.empty() ? covers_from_.position : offsets_.back().position;
    bytes_since_entry_ = end.position - last;
    max_timestamp_ = segment.max_timestamp;
    max_timestamp_offset_ = segment.max_timestamp_offset;
    covers_to_ = end;
}

void SegmentIndex::prepend(const SegmentIndex& prefix) {
    DLOG_ASSERT(prefix.base_offset_ == base_offset_ && prefix.is_complete(), base_offset_);
    DLOG_ASSERT(prefix.covers_to_.position >= covers_from_.position, prefix.covers_to_.position);
    std::vector<OffsetEntry> offsets;
    for (const OffsetEntry& entry : prefix.offsets_) {
        if (entry.position < covers_from_.position) offsets.push_back(entry);
    }
    std::vector<TimeEntry> times;
    std::int64_t latest_ms = -1;
    for (const TimeEntry& entry : prefix.times_) {
        if (base_offset_ + entry.relative_offset >= covers_from_.offset) break;
        times.push_back(entry);
        latest_ms = entry.timestamp_ms;
    }
    // The seam is a batch's beginning too.
    if (covers_from_.position > 0) {
        offsets.push_back({static_cast<std::uint32_t>(covers_from_.offset.since(base_offset_)),
                           static_cast<std::uint32_t>(covers_from_.position)});
    }
    offsets.insert(offsets.end(), offsets_.begin(), offsets_.end());
    for (const TimeEntry& entry : times_) {
        if (entry.timestamp_ms > latest_ms) times.push_back(entry);
    }
    offsets_ = std::move(offsets);
    times_ = std::move(times);
    covers_from_ = {base_offset_, 0};
}

std::size_t SegmentIndex::file_bytes() const {
    return kHeaderSize +
           std::max(offsets_.size() * kOffsetEntrySize, times_.size() * kTimeEntrySize);
}

std::size_t SegmentIndex::memory_bytes() const {
    return sizeof(*this) + offsets_.capacity() * sizeof(OffsetEntry) +
           times_.capacity() * sizeof(TimeEntry);
}

IndexEntry SegmentIndex::floor(Offset offset) const {
    const auto after = std::ranges::upper_bound(offsets_, offset, {}, [&](const OffsetEntry& e) {
        return base_offset_ + e.relative_offset;
    });
    if (after == offsets_.begin()) return covers_from_;
    return {base_offset_ + (after - 1)->relative_offset, (after - 1)->position};
}

IndexEntry SegmentIndex::floor_position(std::uint64_t position) const {
    const auto after = std::ranges::upper_bound(offsets_, position, {}, &OffsetEntry::position);
    if (after == offsets_.begin()) return covers_from_;
    return {base_offset_ + (after - 1)->relative_offset, (after - 1)->position};
}

IndexEntry SegmentIndex::ceiling_position(std::uint64_t position) const {
    const auto after = std::ranges::upper_bound(offsets_, position, {}, &OffsetEntry::position);
    if (after == offsets_.end()) return covers_to_;
    return {base_offset_ + after->relative_offset, after->position};
}

Offset SegmentIndex::time_floor(Timestamp time) const {
    // The first record at `time` or later cannot lie before a batch that everything earlier is
    // older than.
    const auto after = std::ranges::upper_bound(times_, time.ms, {}, &TimeEntry::timestamp_ms);
    if (after == times_.begin()) return covers_from_.offset;
    return base_offset_ + (after - 1)->relative_offset;
}

Buffer SegmentIndex::start_file(std::uint32_t magic, std::size_t entry_size,
                                std::size_t entry_count) const {
    DLOG_ASSERT(is_complete(), covers_from_.position);
    return make_file(magic, entry_size,
                     {.entry_count = static_cast<std::uint32_t>(entry_count),
                      .base_offset = base_offset_.value,
                      .covered_offset = covers_to_.offset.value,
                      .covered_bytes = covers_to_.position,
                      .max_timestamp_ms = max_timestamp_.ms,
                      .max_timestamp_offset = max_timestamp_offset_.value});
}

Buffer SegmentIndex::encode_offsets() const {
    Buffer file = start_file(kOffsetMagic, kOffsetEntrySize, offsets_.size());
    std::uint8_t* at = file.mutable_data() + kHeaderSize;
    for (const OffsetEntry& entry : offsets_) {
        store_little_endian(at, entry.relative_offset);
        store_little_endian(at + 4, entry.position);
        at += kOffsetEntrySize;
    }
    store_little_endian(file.mutable_data() + kCrcAt, file_crc(file.view()));
    return file;
}

Buffer SegmentIndex::encode_times() const {
    Buffer file = start_file(kTimeMagic, kTimeEntrySize, times_.size());
    std::uint8_t* at = file.mutable_data() + kHeaderSize;
    for (const TimeEntry& entry : times_) {
        store_little_endian(at, entry.timestamp_ms);
        store_little_endian(at + 8, entry.relative_offset);
        at += kTimeEntrySize;
    }
    store_little_endian(file.mutable_data() + kCrcAt, file_crc(file.view()));
    return file;
}

Result<SegmentIndex> SegmentIndex::decode(ByteView offset_file, ByteView time_file) {
    DLOG_TRY_ASSIGN(const Header header, read_header(offset_file, kOffsetMagic, kOffsetEntrySize));
    DLOG_TRY_ASSIGN(const Header times, read_header(time_file, kTimeMagic, kTimeEntrySize));
    if (times.base_offset != header.base_offset || times.covered_offset != header.covered_offset ||
        times.covered_bytes != header.covered_bytes ||
        times.max_timestamp_ms != header.max_timestamp_ms ||
        times.max_timestamp_offset != header.max_timestamp_offset) {
        return unexpected(Error::kBadContent);
    }
    SegmentIndex index(Offset{header.base_offset});
    index.covers_to_ = {Offset{header.covered_offset}, header.covered_bytes};
    index.max_timestamp_ = Timestamp{header.max_timestamp_ms};
    index.max_timestamp_offset_ = Offset{header.max_timestamp_offset};

    // Entries ascend and lie within what is covered, or a bug wrote them.
    index.offsets_.reserve(header.entry_count);
    std::uint32_t last_offset = 0;
    std::uint32_t last_position = 0;
    for (std::uint32_t i = 0; i < header.entry_count; ++i) {
        const std::uint8_t* at = offset_file.data() + kHeaderSize + i * kOffsetEntrySize;
        const OffsetEntry entry{load_little_endian<std::uint32_t>(at),
                                load_little_endian<std::uint32_t>(at + 4)};
        if (entry.relative_offset <= last_offset || entry.position <= last_position ||
            entry.position >= header.covered_bytes ||
            entry.relative_offset >= header.covered_offset - header.base_offset) {
            return unexpected(Error::kBadContent);
        }
        last_offset = entry.relative_offset;
        last_position = entry.position;
        index.offsets_.push_back(entry);
    }
    index.times_.reserve(times.entry_count);
    for (std::uint32_t i = 0; i < times.entry_count; ++i) {
        const std::uint8_t* at = time_file.data() + kHeaderSize + i * kTimeEntrySize;
        const TimeEntry entry{load_little_endian<std::int64_t>(at),
                              load_little_endian<std::uint32_t>(at + 8)};
        if (!index.times_.empty() &&
            (entry.timestamp_ms <= index.times_.back().timestamp_ms ||
             entry.relative_offset <= index.times_.back().relative_offset)) {
            return unexpected(Error::kBadContent);
        }
        if (entry.relative_offset >= header.covered_offset - header.base_offset) {
            return unexpected(Error::kBadContent);
        }
        index.times_.push_back(entry);
    }
    index.bytes_since_entry_ = header.covered_bytes - last_position;
    return index;
}

}  // namespace dlog::storage
