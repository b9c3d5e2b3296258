/// A read of batches from a segment file, as a machine: it says which bytes it needs, and ends with
/// a stretch of the file that is known to be intact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/buffer.h"
#include "base/ids.h"
#include "storage/index.h"
#include "storage/log.h"
#include "storage/segment.h"
#include "storage/verified.h"

namespace dlog::storage {

/// Read `size_bytes` (fewer at the end of the file) from `position` of the segment's .log.
struct NeedBytes {
    Offset segment;
    std::uint64_t position = 0;
    std::size_t size_bytes = 0;
    bool operator==(const NeedBytes&) const = default;
};

/// Whole intact batches. Empty when the first one ends after the limit, or is larger than max_bytes
/// and need not be served.
struct FileSlice {
    Offset segment;
    std::uint64_t position = 0;
    std::uint64_t size_bytes = 0;
    Offset first_offset;
    Offset next_offset;
    /// The same bytes when they had to be read; otherwise empty, and they go from file to socket.
    Buffer bytes;
};

/// Belongs to the partition's core. Keeps verified ranges, damage and boundaries that it learns in
/// the log's VerifiedRanges, which may change between the calls.
class FileFetch {
  public:
    /// `index` is needed when `plan.needs_index`, and of use otherwise too (the log's active_index
    /// for the active segment).
    FileFetch(const FileRead& plan, std::shared_ptr<const SegmentIndex> index);

    using Step = std::variant<NeedBytes, FileSlice, Damage>;
    /// What to do next: read bytes and `feed` them, or the end of the read.
    [[nodiscard]] Step next(VerifiedRanges& verified);
    /// The bytes asked for.
    void feed(Buffer bytes, VerifiedRanges& verified);

  private:
    void choose_start(const VerifiedRanges& verified);
    [[nodiscard]] std::optional<FileSlice> whole_from_file(VerifiedRanges& verified) const;
    void locate(VerifiedRanges& verified);
    void take(VerifiedRanges& verified);
    void found_damage(std::uint64_t position, DamageReason reason, VerifiedRanges& verified);

    FileRead plan_;
    std::shared_ptr<const SegmentIndex> index_;
    IndexEntry at_;  ///< A batch begins here, at or before the wanted one.
    bool is_exact_ = false;
    std::size_t read_bytes_ = 0;
    Buffer chunk_;  ///< From at_.position on.
    bool chunk_reaches_end_ = false;
    std::optional<Step> result_;
};

/// Builds the index of a segment's bytes [from, to) anew by reading its batches.
class IndexBuilder {
  public:
    /// Goes on from `index`, which may be empty. `end_position` is the segment's size, `end_offset`
    /// one past its last record.
    IndexBuilder(SegmentIndex index, IndexEntry end, std::int64_t interval_bytes);

    /// Nothing when the index is complete.
    [[nodiscard]] std::optional<NeedBytes> need() const;
    void feed(ByteView bytes);
    [[nodiscard]] SegmentIndex take() { return std::move(index_); }

  private:
    SegmentIndex index_;
    IndexEntry end_;
    std::int64_t interval_bytes_;
    std::uint64_t position_ = 0;
    Offset expected_;
    std::size_t read_bytes_;
    bool is_done_ = false;
};

}  // namespace dlog::storage
