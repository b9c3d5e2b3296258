#include "storage/cut.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace dlog::storage {

CutScan::CutScan(std::span<const Segment> segments, const LogImage* checkpoint, Offset end,
                 const LogConfig& config, Timestamp now)
    : end_(end), index_interval_bytes_(config.index_interval_bytes), now_(now) {
    DLOG_ASSERT(!segments.empty() && segments.front().base_offset <= end, end);
    const auto behind = std::ranges::upper_bound(segments, end, {}, &Segment::base_offset);
    auto first = segments.begin();
    if (checkpoint != nullptr) {
        const LogPosition from = checkpoint->recovery_point();
        const auto at =
            std::ranges::lower_bound(first, behind, from.segment, {}, &Segment::base_offset);
        const bool is_of_use = at != behind && at->base_offset == from.segment &&
                               from.offset <= end && from.position <= at->size_bytes;
        if (is_of_use) {
            first = at;
            cut_.active = checkpoint->segments.back();
            cut_.active_first_timestamp = checkpoint->active_first_timestamp;
            cut_.index = SegmentIndex(cut_.active);
            for (const auto& [id, state] : checkpoint->producers) producers_.restore(id, state);
            segments_.assign(first, behind);
            scan_segment();
            return;
        }
    }
    segments_.assign(first, behind);
    next_segment();
}

/// Goes through the segment at `at_` from where `cut_` ends.
void CutScan::scan_segment() {
    const Segment& segment = segments_[at_];
    if (is_last() && cut_.end() == end_) return scanner_.reset();
    scanner_.emplace(segment.base_offset,
                     IndexEntry{cut_.active.end_offset, cut_.active.size_bytes},
                     IndexEntry{segment.end_offset, segment.size_bytes});
    drain();
}

void CutScan::next_segment() {
    const Offset base = segments_[at_].base_offset;
    cut_.active = {.base_offset = base, .end_offset = base};
    cut_.active_first_timestamp = kNoTimestamp;
    cut_.index = SegmentIndex(base);
    scan_segment();
}

std::optional<NeedBytes> CutScan::need() const {
    return scanner_ ? scanner_->need() : std::nullopt;
}

void CutScan::feed(ByteView bytes) {
    DLOG_ASSERT(scanner_.has_value());
    scanner_->feed(bytes);
    drain();
}

void CutScan::feed_unreadable(DamageReason reason) {
    DLOG_ASSERT(scanner_.has_value());
    if (!is_last()) {
        // As much is known of its producers as a start without a checkpoint would know.
        ++at_;
        return next_segment();
    }
    damage_ = Damage{.segment = cut_.active.base_offset,
                     .position = cut_.active.size_bytes,
                     .end_position = segments_[at_].size_bytes,
                     .first_offset = cut_.active.end_offset,
                     .next_offset = segments_[at_].end_offset,
                     .reason = reason};
    scanner_.reset();
}

void CutScan::drain() {
    while (const auto event = scanner_->next()) {
        if (const auto* batch = std::get_if<SegmentScanner::Batch>(&*event)) {
            if (batch->place.next_offset > end_) return scanner_.reset();
            apply(*batch);
            if (is_last() && cut_.end() == end_) return scanner_.reset();
            continue;
        }
        const Damage& damage = std::get<Damage>(*event);
        if (is_last() && damage.next_offset > end_) {
            damage_ = damage;
            return scanner_.reset();
        }
        cut_.index.skip_to({damage.next_offset, damage.end_position});
        cut_.active.end_offset = damage.next_offset;
        cut_.active.size_bytes = damage.end_position;
    }
    if (scanner_->need()) return;
    if (is_last()) return scanner_.reset();
    ++at_;
    next_segment();
}

void CutScan::apply(const SegmentScanner::Batch& batch) {
    Segment& segment = cut_.active;
    const record::BatchHeader& header = batch.header;
    const Timestamp time = header.max_timestamp.ms >= 0 ? header.max_timestamp : now_;
    if (segment.is_empty()) cut_.active_first_timestamp = time;
    cut_.index.add(batch.place, index_interval_bytes_);
    if (header.max_timestamp > segment.max_timestamp) {
        segment.max_timestamp = header.max_timestamp;
        segment.max_timestamp_offset = header.base_offset;
    }
    segment.end_offset = batch.place.next_offset;
    segment.size_bytes = batch.place.position + batch.place.size_bytes;
    producers_.update(header, time, nullptr);
}

LogCut CutScan::finish() {
    DLOG_ASSERT(!scanner_ && !damage_ && is_last());
    DLOG_ASSERT(cut_.end() <= end_, cut_.end(), end_);
    if (!cut_.active.is_empty()) cut_.active.last_append = segments_.back().last_append;
    cut_.producers = producers_.states();
    return std::move(cut_);
}

}  // namespace dlog::storage
