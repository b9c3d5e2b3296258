#include "storage/cleaner.h"

#include <algorithm>

#include "base/assert.h"
#include "record/batch.h"
#include "record/builder.h"

namespace dlog::storage {
namespace {

/// What is read and worked on in one piece: each costs some switches of threads.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

/// A little below 2^32, for the fillers.
constexpr std::uint64_t kFileBytesMax = UINT32_MAX - (std::uint64_t{1} << 20);

Timestamp newest_of(const Segment& segment) {
    return segment.max_timestamp.ms >= 0 ? segment.max_timestamp : segment.last_append;
}

bool is_filler(const record::BatchHeader& header) {
    return header.record_count == 0 && !header.has_producer();
}

}  // namespace

// --- What may be cleaned

double Cleanable::dirty_ratio() const {
    const std::uint64_t all = clean_bytes + dirty_bytes;
    return all == 0 ? 0 : static_cast<double>(dirty_bytes) / static_cast<double>(all);
}

Cleanable find_cleanable(std::span<const Segment> sealed, Offset cleaned_to, Timestamp now,
                         std::int64_t min_lag_ms) {
    Cleanable cleanable;
    if (sealed.empty()) return cleanable;
    cleanable.dirty_from = std::max(cleaned_to, sealed.front().base_offset);
    cleanable.dirty_to = cleanable.dirty_from;
    for (const Segment& segment : sealed) {
        const bool is_dirty = segment.end_offset > cleanable.dirty_from;
        // Kafka's LogCleanerManager.cleanableOffsets.
        if (is_dirty && min_lag_ms > 0 && newest_of(segment).ms > now.ms - min_lag_ms) break;
        ++cleanable.segment_count;
        (is_dirty ? cleanable.dirty_bytes : cleanable.clean_bytes) += segment.size_bytes;
        if (is_dirty) cleanable.dirty_to = segment.end_offset;
    }
    return cleanable;
}

std::size_t group_size(std::span<const Segment> segments, std::int64_t bytes_max) {
    DLOG_ASSERT(!segments.empty());
    std::uint64_t size_bytes = segments.front().size_bytes;
    std::size_t count = 1;
    for (; count < segments.size(); ++count) {
        const Segment& next = segments[count];
        size_bytes += next.size_bytes;
        if (static_cast<std::int64_t>(size_bytes) > bytes_max) break;
        // As in Log::must_roll.
        if (next.end_offset.since(segments.front().base_offset) > INT32_MAX) break;
        if (next.base_offset != segments[count - 1].end_offset) break;
    }
    return count;
}

// --- Reading

SegmentStream::SegmentStream(const Segment& segment)
    : segment_(segment), expected_(segment.base_offset), want_(kPieceBytes) {}

std::optional<NeedBytes> SegmentStream::need() const {
    const std::uint64_t left = segment_.size_bytes - position_;
    if (damage_ || left == 0) return std::nullopt;
    return NeedBytes{.segment = segment_.base_offset,
                     .position = position_,
                     .size_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(want_, left))};
}

void SegmentStream::feed(ByteView bytes) {
    const auto asked = need();
    DLOG_ASSERT(asked && bytes.size() <= asked->size_bytes, bytes.size());
    is_short_ = bytes.size() < asked->size_bytes;
    walker_.emplace(bytes, expected_, CrcCheck::kYes);
    want_ = kPieceBytes;
}

std::optional<BatchWalker::Item> SegmentStream::next() {
    if (!walker_ || damage_) return std::nullopt;
    if (const auto item = walker_->next()) {
        if (item->header.next_offset() <= segment_.end_offset) return item;
        position_ += item->position;
        expected_ = item->header.base_offset;
        stop_at(DamageReason::kBadOffset);
        return std::nullopt;
    }
    position_ += walker_->position();
    expected_ = walker_->expected();
    const std::uint64_t left = segment_.size_bytes - position_;
    if (walker_->stop() == BatchWalker::Stop::kDamaged) {
        stop_at(walker_->damage_reason());
    } else if (walker_->stop() == BatchWalker::Stop::kMoreBytes) {
        want_ = std::max(want_, walker_->bytes_needed());
        if (is_short_ || walker_->bytes_needed() > left) stop_at(DamageReason::kTruncated);
    } else if (is_short_) {
        stop_at(DamageReason::kTruncated);
    } else if (left == 0 && expected_ != segment_.end_offset) {
        stop_at(DamageReason::kBadOffset);
    }
    walker_.reset();
    return std::nullopt;
}

void SegmentStream::stop_at(DamageReason reason) {
    damage_ = {.segment = segment_.base_offset,
               .position = position_,
               .end_position = segment_.size_bytes,
               .first_offset = expected_,
               .next_offset = segment_.end_offset,
               .reason = reason};
}

void SegmentStream::note_damage(const record::BatchHeader& header, DamageReason reason) {
    expected_ = header.base_offset;
    stop_at(reason);
}

// --- The latest offset of each key

KeyedRecords::KeyedRecords(ByteView batch, const OffsetMap& map, record::ReaderScratch& scratch)
    : map_(map) {
    if (auto reader = record::BatchReader::open(batch, scratch)) {
        reader_ = *reader;
    } else {
        is_corrupt_ = true;
    }
}

const KeyedRecords::Item* KeyedRecords::next() {
    if (at_ == count_) fill();
    return at_ == count_ ? nullptr : &items_[at_++];
}

void KeyedRecords::fill() {
    at_ = count_ = 0;
    while (reader_ && count_ < kBlock) {
        Item& item = items_[count_];
        const auto more = reader_->next(item.record);
        if (!more || !*more) {
            is_corrupt_ = !more;
            reader_.reset();
            return;
        }
        if (item.record.key) item.key = map_.hash(*item.record.key);
        ++count_;
    }
}

DirtyScan::DirtyScan(std::vector<Segment> segments, Offset from, OffsetMap& map)
    : segments_(std::move(segments)),
      from_(from),
      map_(map),
      stream_(segments_.front()),
      end_(segments_.back().end_offset) {
    next_segment();
}

/// Goes on to the next segment when one has been read.
void DirtyScan::next_segment() {
    while (!stream_.need() && !stream_.damage() && !is_done_) {
        if (++at_ == segments_.size()) {
            is_done_ = true;
        } else {
            stream_ = SegmentStream(segments_[at_]);
        }
    }
}

std::optional<NeedBytes> DirtyScan::need() const {
    return is_done_ ? std::nullopt : stream_.need();
}

void DirtyScan::feed(ByteView bytes) {
    stream_.feed(bytes);
    while (const auto batch = stream_.next()) {
        if (add(*batch)) continue;
        is_done_ = true;
        return;
    }
    next_segment();
}

bool DirtyScan::add(const BatchWalker::Item& batch) {
    const record::BatchHeader& header = batch.header;
    if (header.next_offset() <= from_ || header.is_control() || header.is_transactional()) {
        return true;
    }
    KeyedRecords records(batch.bytes, map_, scratch_);
    while (const KeyedRecords::Item* const item = records.next()) {
        const record::Record& record = item->record;
        if (record.offset < from_ || !record.key) continue;
        if (map_.put(item->key, record.offset)) continue;
        end_ = record.offset;
        return false;
    }
    if (records.is_corrupt()) stream_.note_damage(header, DamageReason::kBadHeader);
    return true;
}

// --- Rewriting

std::shared_ptr<const ProducerEnds> producer_ends(const ProducerMap& producers) {
    auto ends = std::make_shared<ProducerEnds>();
    for (const auto& [id, state] : producers) {
        if (state.batch_count == 0) continue;
        (*ends)[id] = state.batches[state.batch_count - 1U].last_offset;
    }
    return ends;
}

GroupCleaner::GroupCleaner(std::vector<Segment> group, CleaningRules rules, const OffsetMap& map)
    : group_(std::move(group)),
      rules_(std::move(rules)),
      map_(map),
      stream_(group_.front()),
      cleaned_{.base_offset = group_.front().base_offset,
               .end_offset = group_.front().base_offset,
               .last_append = group_.back().last_append},
      index_(group_.front().base_offset),
      has_changed_(group_.size() > 1) {
    for (std::size_t i = 1; i < group_.size(); ++i) {
        DLOG_ASSERT(group_[i].base_offset == group_[i - 1].end_offset, group_[i].base_offset);
        cleaned_.last_append = std::max(cleaned_.last_append, group_[i - 1].last_append);
    }
}

std::optional<NeedBytes> GroupCleaner::need() const {
    return stream_.need();
}

void GroupCleaner::feed(ByteView bytes) {
    stream_.feed(bytes);
    while (const auto batch = stream_.next()) clean(*batch);
    while (!stream_.need() && !stream_.damage()) {
        if (at_ + 1 == group_.size()) {
            fill_gap(group_.back().end_offset);
            DLOG_ASSERT(cleaned_.end_offset == group_.back().end_offset, cleaned_.end_offset);
            return;
        }
        stream_ = SegmentStream(group_[++at_]);
    }
}

bool GroupCleaner::is_kept(const KeyedRecords::Item& item, bool keeps_tombstones) const {
    const record::Record& record = item.record;
    // What the map has not seen may be the latest.
    if (record.offset >= rules_.map_end) return true;
    // Written before the topic was compacted: Kafka drops it too.
    if (!record.key) return false;
    const auto latest = map_.find(item.key);
    if (latest && record.offset < *latest) return false;
    return record.value.has_value() || keeps_tombstones;
}

void GroupCleaner::clean(const BatchWalker::Item& batch) {
    const record::BatchHeader& header = batch.header;
    if (header.is_control() || header.is_transactional() || header.base_offset >= rules_.map_end) {
        return keep(header, batch.bytes);
    }
    const auto end = rules_.producer_ends->find(header.producer_id);
    const bool is_last = end != rules_.producer_ends->end() && end->second == header.last_offset();
    // KIP-534: a batch with tombstones that was cleaned once says when they may go.
    const bool keeps_tombstones =
        !header.has_delete_horizon() || rules_.now < header.base_timestamp;
    KeyedRecords records(batch.bytes, map_, scratch_);
    bool has_tombstones = false;
    kept_.clear();
    while (const KeyedRecords::Item* const item = records.next()) {
        if (!is_kept(*item, keeps_tombstones)) continue;
        kept_.push_back(item->record);
        has_tombstones |= !item->record.value.has_value();
    }
    if (records.is_corrupt()) return stream_.note_damage(header, DamageReason::kBadHeader);
    const auto count = static_cast<std::size_t>(header.record_count);
    removed_records_ += count - kept_.size();
    if (kept_.empty() && !is_last) return drop(header);
    std::optional<Timestamp> horizon;
    if (header.has_delete_horizon()) {
        horizon = header.base_timestamp;
    } else if (has_tombstones) {
        const std::int64_t left = INT64_MAX - std::max<std::int64_t>(rules_.now.ms, 0);
        horizon = Timestamp{rules_.now.ms + std::min(left, rules_.delete_retention_ms)};
    }
    if (kept_.size() == count && horizon.has_value() == header.has_delete_horizon()) {
        return keep(header, batch.bytes);
    }
    const auto rebuilt = record::rebuild(header, kept_, horizon);
    if (!rebuilt) return stream_.note_damage(header, DamageReason::kBadHeader);
    has_changed_ = true;
    keep(*record::read_batch_header(rebuilt->view()), rebuilt->view());
}

void GroupCleaner::keep(const record::BatchHeader& header, ByteView bytes) {
    // Records may compress worse than they came. Positions in an index have 32 bits.
    if (cleaned_.size_bytes + bytes.size() > kFileBytesMax) {
        return stream_.note_damage(header, DamageReason::kBadHeader);
    }
    fill_gap(header.base_offset);
    put(header, bytes);
}

/// Empty batches never cover offsets of two epochs: which epoch wrote what can be read from the
/// log.
void GroupCleaner::drop(const record::BatchHeader& header) {
    const bool is_gap_open = gap_from_.has_value();
    if (is_gap_open && gap_epoch_ != header.leader_epoch) fill_gap(header.base_offset);
    // A filler between two batches that stay comes back as it was.
    has_changed_ |= is_gap_open || !is_filler(header);
    if (gap_from_) return;
    gap_from_ = header.base_offset;
    gap_epoch_ = header.leader_epoch;
}

void GroupCleaner::fill_gap(Offset to) {
    if (!gap_from_) return;
    const Buffer filler = record::make_empty_batch(*gap_from_, to, gap_epoch_);
    gap_from_.reset();
    put(*record::read_batch_header(filler.view()), filler.view());
}

void GroupCleaner::put(const record::BatchHeader& header, ByteView bytes) {
    DLOG_ASSERT(header.base_offset == cleaned_.end_offset, header.base_offset, cleaned_.end_offset);
    index_.add({.base_offset = header.base_offset,
                .next_offset = header.next_offset(),
                .position = cleaned_.size_bytes,
                .size_bytes = bytes.size(),
                .max_timestamp = header.max_timestamp},
               rules_.index_interval_bytes);
    if (header.max_timestamp > cleaned_.max_timestamp) {
        cleaned_.max_timestamp = header.max_timestamp;
        cleaned_.max_timestamp_offset = header.base_offset;
    }
    cleaned_.end_offset = header.next_offset();
    cleaned_.size_bytes += bytes.size();
    output_.insert(output_.end(), bytes.begin(), bytes.end());
}

}  // namespace dlog::storage
