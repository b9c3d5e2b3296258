/// Reads a whole segment, or its end, batch by batch: checks every CRC, steps over damage, and says
/// which bytes it needs next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "record/batch.h"
#include "storage/index.h"
#include "storage/segment.h"

namespace dlog::storage {

/// Read `size_bytes` (fewer at the end of the file) from `position` of the segment's .log.
struct NeedBytes {
    Offset segment;
    std::uint64_t position = 0;
    std::size_t size_bytes = 0;
    bool operator==(const NeedBytes&) const = default;
};

/// Usage: while (need()) { feed(bytes); while (next()) ... }. The bytes fed must live until next()
/// has returned nothing. Asks for more than 1 MiB at a time only while a batch needs it, doubling,
/// so that a length that lies costs no more than the file's size.
class SegmentScanner {
  public:
    /// From `from`, where a batch begins, to the end of the file or, if that comes first, to
    /// `end.position`. Offsets stay below `end.offset`.
    SegmentScanner(Offset segment, IndexEntry from, IndexEntry end);

    struct Batch {
        IndexedBatch place;
        record::BatchHeader header;
    };
    /// Batches in order, and the damage between them. Damage that reaches to the end has
    /// next_offset = first_offset when the end's offset is not known (INT64_MAX).
    using Event = std::variant<Batch, Damage>;

    /// Nothing when the end is reached.
    [[nodiscard]] std::optional<NeedBytes> need() const;
    void feed(ByteView bytes);
    /// Nothing when more bytes are needed or the end is reached.
    [[nodiscard]] std::optional<Event> next();

    /// Where the last intact batch ends: the position in the file and the offset after it.
    [[nodiscard]] IndexEntry intact_to() const { return intact_to_; }
    /// The file's size, once the end is reached.
    [[nodiscard]] std::uint64_t end_position() const { return end_.position; }
    [[nodiscard]] std::uint64_t scanned_bytes() const { return position_ - begin_; }

  private:
    [[nodiscard]] std::optional<Event> next_batch();
    [[nodiscard]] std::optional<Event> next_after_damage();
    [[nodiscard]] ByteView rest() const;
    [[nodiscard]] std::optional<Event> ask(std::size_t size_bytes);
    [[nodiscard]] Damage damage_to(std::uint64_t position, Offset next_offset) const;

    Offset segment_;
    IndexEntry end_;
    bool is_end_known_;
    std::uint64_t begin_;
    std::uint64_t position_;
    Offset expected_;
    IndexEntry intact_to_;
    std::optional<NeedBytes> need_;
    ByteView bytes_;  ///< from bytes_at_ on
    std::uint64_t bytes_at_ = 0;
    bool is_at_end_ = false;
    bool is_done_ = false;

    bool is_damaged_ = false;
    std::uint64_t damage_position_ = 0;
    DamageReason damage_reason_ = DamageReason::kBadHeader;
};

/// Builds the index of a segment anew by reading its batches.
class IndexBuilder {
  public:
    /// Goes on from where `index` ends, to `end`.
    IndexBuilder(SegmentIndex index, IndexEntry end, std::int64_t interval_bytes);

    /// Nothing when the index is complete.
    [[nodiscard]] std::optional<NeedBytes> need() const { return scanner_.need(); }
    void feed(ByteView bytes);
    [[nodiscard]] SegmentIndex take() { return std::move(index_); }
    /// What was found on the way, and is to be noted in the log's VerifiedRanges.
    [[nodiscard]] const std::vector<Damage>& damages() const { return damages_; }

  private:
    SegmentIndex index_;
    IndexEntry end_;
    std::int64_t interval_bytes_;
    SegmentScanner scanner_;
    std::vector<Damage> damages_;
};

}  // namespace dlog::storage
