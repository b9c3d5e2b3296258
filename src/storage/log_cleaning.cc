// What compaction asks of a log and does to it.

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "storage/log.h"

namespace dlog::storage {

std::span<const Segment> Log::sealed_segments() const {
    const Offset persisted = marks_.front().at.segment;
    std::size_t count = 0;
    while (count < segments_.size() && segments_[count].base_offset < persisted &&
           !is_cut_pending(segments_[count].base_offset)) {
        ++count;
    }
    return std::span(segments_).first(count);
}

void Log::set_cleaned_to(Offset offset) {
    DLOG_ASSERT(offset <= persisted_offset(), offset, persisted_offset());
    if (offset == cleaned_to_) return;
    cleaned_to_ = offset;
    is_dirty_ = true;
    is_checkpoint_urgent_ = true;
}

bool Log::replace_segments(std::span<const Segment> group, const Segment& cleaned) {
    DLOG_ASSERT(!swapping_ && !is_swap_noted_ && !group.empty());
    DLOG_ASSERT(cleaned.base_offset == group.front().base_offset &&
                    cleaned.end_offset == group.back().end_offset && !cleaned.is_empty(),
                cleaned.base_offset, cleaned.end_offset);
    const auto sealed = sealed_segments();
    const auto first = std::ranges::find(sealed, cleaned.base_offset, &Segment::base_offset);
    const auto left = static_cast<std::size_t>(sealed.end() - first);
    if (left < group.size() || !std::equal(group.begin(), group.end(), first)) return false;
    for (const Segment& old : group) {
        size_bytes_ -= old.size_bytes;
        verified_.forget(old.base_offset, 0);
    }
    const auto at = segments_.begin() + (first - sealed.begin());
    *at = cleaned;
    segments_.erase(at + 1, at + static_cast<std::ptrdiff_t>(group.size()));
    size_bytes_ += cleaned.size_bytes;
    // What is in memory of it is as it was: readers are to see it cleaned.
    tail_.evict(0, cleaned.end_offset);
    verified_.mark_verified(cleaned.base_offset, 0, cleaned.size_bytes);
    swapping_ = cleaned;
    ++replacements_;
    is_dirty_ = true;
    is_checkpoint_urgent_ = true;
    return true;
}

void Log::swap_ended() {
    DLOG_ASSERT(swapping_.has_value());
    swapping_.reset();
    is_dirty_ = true;
    is_checkpoint_urgent_ = true;
}

std::optional<SealSegment> Log::roll_for_compaction(Timestamp now) {
    const bool is_old = now.ms - active_first_timestamp_.ms > config_.max_compaction_lag_ms;
    const bool is_all_persisted = !is_writing_ && marks_.size() == 1 && repairs_.empty() &&
                                  unsynced_cuts_.empty() && marks_.front().at == tail_.end();
    if (!config_.compacts || active().is_empty() || !is_old || !is_all_persisted)
        return std::nullopt;
    roll();
    // Nothing is to be written, so no plan would write the index.
    SealSegment step{sealed_.back().segment, sealed_.back().index};
    DLOG_ASSERT(marks_.front().undo.empty());
    sealed_.clear();
    marks_.clear();
    marks_.push_back(mark_here());
    is_dirty_ = true;
    is_checkpoint_urgent_ = true;
    return step;
}

}  // namespace dlog::storage
