/// The sparse offset and time indexes of one segment: in memory while it grows, as two small files
/// once it is sealed. docs/formats/index.md and time-index.md describe the files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/error.h"
#include "storage/segment.h"

namespace dlog::storage {

/// A batch of a segment as an index needs it.
struct IndexedBatch {
    Offset base_offset;
    Offset next_offset;
    std::uint64_t position = 0;
    std::uint64_t size_bytes = 0;
    Timestamp max_timestamp = kNoTimestamp;
};

/// The first record of a batch and the file position of that batch.
struct IndexEntry {
    Offset offset;
    std::uint64_t position = 0;
    bool operator==(const IndexEntry&) const = default;
};

/// One segment's entries, in ascending order, for the bytes [covers_from, covers_to) of its file.
/// An offset entry points at a batch about every index.interval.bytes. A time entry (t, o) says: of
/// all records before the batch at o none is later than t, and the batch at o has one at t. Owned
/// by one core; sealed indexes are shared as const.
class SegmentIndex {
  public:
    explicit SegmentIndex(Offset base_offset);
    /// An index of what is appended to `segment` from its present end on.
    explicit SegmentIndex(const Segment& segment);

    /// Batches come in file order, without gaps in the positions unless skip_to was called.
    void add(const IndexedBatch& batch, std::int64_t interval_bytes);
    /// Leaves out the damaged bytes before `to`, which is a batch's beginning.
    void skip_to(IndexEntry to);
    /// Forgets everything behind the end of `segment`, which lies within what is covered.
    void truncate(const Segment& segment);
    /// Puts the entries of `prefix`, which covers [0, covers_from) at least, before this one's.
    void prepend(const SegmentIndex& prefix);

    [[nodiscard]] Offset base_offset() const { return base_offset_; }
    [[nodiscard]] IndexEntry covers_from() const { return covers_from_; }
    [[nodiscard]] IndexEntry covers_to() const { return covers_to_; }
    [[nodiscard]] bool is_complete() const { return covers_from_.position == 0; }
    /// As bytes of the larger of the two files, for segment.index.bytes.
    [[nodiscard]] std::size_t file_bytes() const;
    [[nodiscard]] std::size_t memory_bytes() const;
    [[nodiscard]] std::size_t entry_count() const { return offsets_.size(); }

    /// The last entry at or before `offset`, covers_from when there is none.
    [[nodiscard]] IndexEntry floor(Offset offset) const;
    /// The last entry at or before `position`, covers_from when there is none.
    [[nodiscard]] IndexEntry floor_position(std::uint64_t position) const;
    /// The first entry after `position`, covers_to when there is none.
    [[nodiscard]] IndexEntry ceiling_position(std::uint64_t position) const;
    /// The first record that may be at `time` or later lies at or after this offset.
    [[nodiscard]] Offset time_floor(Timestamp time) const;

    [[nodiscard]] Buffer encode_offsets() const;
    [[nodiscard]] Buffer encode_times() const;
    /// Both files of one segment. Any changed or missing byte is an error; so are two files that do
    /// not belong together.
    [[nodiscard]] static Result<SegmentIndex> decode(ByteView offset_file, ByteView time_file);

  private:
    /// A file of one kind with its header, room for the entries, and no checksum yet.
    [[nodiscard]] Buffer start_file(std::uint32_t magic, std::size_t entry_size,
                                    std::size_t entry_count) const;

    struct OffsetEntry {
        std::uint32_t relative_offset;
        std::uint32_t position;
    };
    struct TimeEntry {
        std::int64_t timestamp_ms;
        std::uint32_t relative_offset;
    };

    Offset base_offset_;
    IndexEntry covers_from_;
    IndexEntry covers_to_;
    std::uint64_t bytes_since_entry_ = 0;
    /// The largest timestamp so far and the batch where it occurs first.
    Timestamp max_timestamp_ = kNoTimestamp;
    Offset max_timestamp_offset_ = kNoOffset;
    std::vector<OffsetEntry> offsets_;
    std::vector<TimeEntry> times_;
};

}  // namespace dlog::storage
