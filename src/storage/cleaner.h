/// Compaction as Kafka has it (log.cleaner): what of a log may be cleaned, which offset of each key
/// is the latest, and a group of segments rewritten without what is out of date.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "record/reader.h"
#include "storage/batches.h"
#include "storage/index.h"
#include "storage/offset_map.h"
#include "storage/producers.h"
#include "storage/scanner.h"
#include "storage/segment.h"

namespace dlog::storage {

/// What of a log may be cleaned: its first `segment_count` segments. The offsets before
/// `dirty_from` have been cleaned before.
struct Cleanable {
    std::size_t segment_count = 0;
    Offset dirty_from;
    Offset dirty_to;
    std::uint64_t clean_bytes = 0;
    std::uint64_t dirty_bytes = 0;
    [[nodiscard]] bool is_empty() const { return dirty_bytes == 0; }
    /// Of all that may be cleaned, how much was not yet.
    [[nodiscard]] double dirty_ratio() const;
};
/// `sealed` are segments in order; those that have records younger than `min_lag_ms` at `now`, and
/// all behind the first such one, are left alone.
[[nodiscard]] Cleanable find_cleanable(std::span<const Segment> sealed, Offset cleaned_to,
                                       Timestamp now, std::int64_t min_lag_ms);

/// How many of `segments`, from the first on, become one segment: neighbours that together stay
/// within `bytes_max` and can be indexed as one. At least one.
[[nodiscard]] std::size_t group_size(std::span<const Segment> segments, std::int64_t bytes_max);

/// The batches of one sealed segment, each checked. Stops at damage.
class SegmentStream {
  public:
    explicit SegmentStream(const Segment& segment);

    /// Nothing at the end, or after damage.
    [[nodiscard]] std::optional<NeedBytes> need() const;
    /// The bytes asked for, which live until next() has returned nothing.
    void feed(ByteView bytes);
    [[nodiscard]] std::optional<BatchWalker::Item> next();
    [[nodiscard]] const std::optional<Damage>& damage() const { return damage_; }
    /// What is in the batch cannot be read, though its CRC is right.
    void note_damage(const record::BatchHeader& header, DamageReason reason);

  private:
    void stop_at(DamageReason reason);

    Segment segment_;
    std::uint64_t position_ = 0;  ///< up to here all is done
    Offset expected_;
    std::size_t want_;
    bool is_short_ = false;
    std::optional<BatchWalker> walker_;
    std::optional<Damage> damage_;
};

/// The records of one batch in blocks, with what an OffsetMap knows their keys by: while a block is
/// gone through, the slots of all its keys are on their way from memory. Views live as those of a
/// BatchReader do.
class KeyedRecords {
  public:
    struct Item {
        record::Record record;
        KeyHash key;  ///< of a record that has one
    };

    KeyedRecords(ByteView batch, const OffsetMap& map, record::ReaderScratch& scratch);
    /// The next record, nullptr after the last, or where the batch cannot be read.
    [[nodiscard]] const Item* next();
    [[nodiscard]] bool is_corrupt() const { return is_corrupt_; }

  private:
    void fill();

    static constexpr std::size_t kBlock = 32;
    const OffsetMap& map_;
    std::optional<record::BatchReader> reader_;
    std::array<Item, kBlock> items_;
    std::size_t at_ = 0;
    std::size_t count_ = 0;
    bool is_corrupt_ = false;
};

/// Fills an OffsetMap with the keys of the offsets from `from` on. Usage: while (need()) feed.
class DirtyScan {
  public:
    /// `segments` continue each other; `map` outlives this.
    DirtyScan(std::vector<Segment> segments, Offset from, OffsetMap& map);

    [[nodiscard]] std::optional<NeedBytes> need() const;
    void feed(ByteView bytes);
    [[nodiscard]] const std::optional<Damage>& damage() const { return stream_.damage(); }
    /// The map knows every record before this offset: the end, or where the map was full.
    [[nodiscard]] Offset end() const { return end_; }

  private:
    void next_segment();
    /// False when the map is full.
    [[nodiscard]] bool add(const BatchWalker::Item& batch);

    std::vector<Segment> segments_;
    std::size_t at_ = 0;
    Offset from_;
    OffsetMap& map_;
    SegmentStream stream_;
    Offset end_;
    bool is_done_ = false;
    record::ReaderScratch scratch_;
};

/// Of each producer, the last offset it wrote.
using ProducerEnds = std::unordered_map<ProducerId, Offset, IdHash>;

struct CleaningRules {
    Offset map_end;  ///< The map knows every record before this one.
    Timestamp now;
    std::int64_t delete_retention_ms = 0;  ///< delete.retention.ms
    std::int64_t index_interval_bytes = 0;
    /// The last batch of each producer stays, if only as a header, so that its sequence can be read
    /// from the log. Never null.
    std::shared_ptr<const ProducerEnds> producer_ends;
};

[[nodiscard]] std::shared_ptr<const ProducerEnds> producer_ends(const ProducerMap& producers);

/// Rewrites neighbouring segments as one. Records keep their offsets, batches their first and last
/// offset, their producer, epoch and codec; where batches go, an empty one covers their offsets, so
/// that the batches of a segment go on continuing each other. Control batches and those of
/// transactions stay as they are. Usage: while (need()) { feed; write take_output }.
class GroupCleaner {
  public:
    /// `map` outlives this.
    GroupCleaner(std::vector<Segment> group, CleaningRules rules, const OffsetMap& map);

    [[nodiscard]] std::optional<NeedBytes> need() const;
    void feed(ByteView bytes);
    /// What is to be written next to the new file.
    [[nodiscard]] std::vector<std::uint8_t> take_output() { return std::exchange(output_, {}); }
    /// The group must be left as it is.
    [[nodiscard]] const std::optional<Damage>& damage() const { return stream_.damage(); }

    // At the end:

    /// False when the one segment would be written again as it is.
    [[nodiscard]] bool has_changed() const { return has_changed_; }
    [[nodiscard]] const Segment& segment() const { return cleaned_; }
    [[nodiscard]] SegmentIndex take_index() { return std::move(index_); }
    [[nodiscard]] std::uint64_t removed_records() const { return removed_records_; }

  private:
    void next_segment();
    void clean(const BatchWalker::Item& batch);
    [[nodiscard]] bool is_kept(const KeyedRecords::Item& item, bool keeps_tombstones) const;
    void keep(const record::BatchHeader& header, ByteView bytes);
    void drop(const record::BatchHeader& header);
    void fill_gap(Offset to);
    void put(const record::BatchHeader& header, ByteView bytes);

    std::vector<Segment> group_;
    CleaningRules rules_;
    const OffsetMap& map_;
    std::size_t at_ = 0;
    SegmentStream stream_;
    record::ReaderScratch scratch_;
    std::vector<record::Record> kept_;
    std::vector<std::uint8_t> output_;
    Segment cleaned_;
    SegmentIndex index_;
    /// Where the offsets begin that an empty batch has yet to cover, and who led then.
    std::optional<Offset> gap_from_;
    LeaderEpoch gap_epoch_;
    bool has_changed_ = false;
    std::uint64_t removed_records_ = 0;
};

}  // namespace dlog::storage
