// How a log gives up what it holds for another history.

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "storage/log.h"

namespace dlog::storage {

LostRange Log::truncate(LogCut cut) {
    DLOG_ASSERT(!is_writing_);
    DLOG_ASSERT(log_start_offset_ <= cut.end() && cut.end() <= persisted_offset(), cut.end());
    DLOG_ASSERT(!swapping_ || swapping_->end_offset <= cut.end(), cut.end());
    const LogPosition end{cut.end(), cut.active.base_offset, cut.active.size_bytes};
    const LostRange lost{end.offset, log_end_offset()};
    if (end.offset == log_end_offset()) return lost;
    const bool has_file = end.segment <= last_created_;
    while (active().base_offset > end.segment) drop_active();
    DLOG_ASSERT(active().base_offset == end.segment && active().size_bytes >= end.position,
                end.segment);
    size_bytes_ -= active().size_bytes - end.position;
    active() = cut.active;
    active_first_timestamp_ = cut.active_first_timestamp;
    active_index_ = std::make_shared<SegmentIndex>(std::move(cut.index));
    epochs_.truncate_end(end.offset);
    producers_ = ProducerTable();
    for (const auto& [id, state] : cut.producers) producers_.restore(id, state);
    verified_.forget(end.segment, end.position);
    if (end.offset >= tail_.begin().offset) {
        tail_.truncate(end);
    } else {
        tail_.reset(end);
    }
    last_created_ = std::min(last_created_, end.segment);
    if (has_file) {
        forget_repairs(end.segment);
        // It grows again: what they tell may look right then.
        repairs_.push_back(RemoveIndexes{end.segment});
        repairs_.push_back(TruncateSegment{end.segment, end.position});
    }
    begin_history(
        {.log_start = uncovered_cut_ ? uncovered_cut_->log_start : Offset{0}, .end = end.offset});
    return lost;
}

LostRange Log::reset(Offset start) {
    DLOG_ASSERT(!is_writing_);
    DLOG_ASSERT(start >= log_start_offset_ && start <= kOffsetMax, start, log_start_offset_);
    const LostRange lost{std::min(start, log_end_offset()), log_end_offset()};
    for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment) {
        forget_repairs(segment->base_offset);
        repairs_.push_back(RemoveSegment{segment->base_offset});
    }
    unsynced_cuts_.clear();
    segments_ = {{.base_offset = start, .end_offset = start}};
    size_bytes_ = 0;
    log_start_offset_ = start;
    active_first_timestamp_ = kNoTimestamp;
    active_index_ = std::make_shared<SegmentIndex>(start);
    epochs_ = EpochList();
    producers_ = ProducerTable();
    verified_ = VerifiedRanges();
    tail_.reset({start, start, 0});
    last_created_ = start - 1;
    swapping_.reset();
    cleaned_to_ = start;
    begin_history({.log_start = start, .end = start});
    return lost;
}

/// The log is at its persisted position, with other records to come.
void Log::begin_history(CutBounds cut) {
    ++generation_;
    ++replacements_;
    sealed_.clear();
    marks_.clear();
    marks_.push_back(mark_here());
    uncovered_cut_ = cut;
    cleaned_to_ = std::min(cleaned_to_, cut.end);
    persisted_since_checkpoint_ = 0;
    is_dirty_ = true;
    is_checkpoint_urgent_ = true;
}

SyncTarget Log::cut_target() const {
    DLOG_ASSERT(!is_writing_);
    SyncTarget target{.end_offset = persisted_offset(),
                      .changes_folder = folder_changes_ > folder_changes_synced_,
                      .folder_changes = folder_changes_,
                      .cuts = cut_count_};
    for (const Cut& cut : unsynced_cuts_) target.segments.push_back(cut.segment);
    return target;
}

}  // namespace dlog::storage
