#include "storage/log.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "record/batch.h"
#include "storage/batches.h"

namespace dlog::storage {
namespace {

/// A restart reads what was persisted after the last checkpoint: this much at most, in good
/// weather.
constexpr std::uint64_t kCheckpointBytesMax = std::uint64_t{64} << 20;
/// A checkpoint lists every segment. Where there are so many that it is large, it is written less
/// often: only after this many times its size.
constexpr std::uint64_t kCheckpointCostFactor = 16;
constexpr std::uint64_t kCheckpointSegmentBytes = 48;

}  // namespace

Log::Log(LogConfig config, LogImage image, SegmentIndex index, bool has_active_file,
         std::uint64_t seed)
    : config_(config),
      seed_(seed),
      log_start_offset_(image.log_start_offset),
      segments_(std::move(image.segments)),
      active_first_timestamp_(image.active_first_timestamp),
      active_index_(std::make_shared<SegmentIndex>(std::move(index))),
      tail_({active().end_offset, active().base_offset, active().size_bytes}),
      last_created_(has_active_file ? active().base_offset : active().base_offset - 1),
      cleaned_to_(image.cleaned_to),
      is_swap_noted_(image.swapping.has_value()) {
    DLOG_ASSERT(active_index_->base_offset() == active().base_offset, active().base_offset);
    DLOG_ASSERT(
        active_index_->covers_to() == (IndexEntry{active().end_offset, active().size_bytes}),
        active().end_offset, active().size_bytes);
    for (const Segment& segment : segments_) size_bytes_ += segment.size_bytes;
    for (const EpochStart& epoch : image.epochs) epochs_.append(epoch.epoch, epoch.start_offset);
    for (const auto& [id, state] : image.producers) producers_.restore(id, state);
    marks_.push_back(mark_here());
    is_dirty_ = !image.is_clean;
}

// --- Appending

bool Log::must_roll(const record::BatchHeader& header, Timestamp now) const {
    const Segment& segment = active();
    if (segment.is_empty()) return false;
    const std::int64_t room = config_.segment_bytes - static_cast<std::int64_t>(segment.size_bytes);
    if (static_cast<std::int64_t>(header.size_bytes()) > room) return true;
    // Index entries hold 32-bit distances from the base offset; Kafka's have 31 bits.
    if (header.last_offset().since(segment.base_offset) > INT32_MAX) return true;
    if (static_cast<std::int64_t>(active_index_->file_bytes()) >= config_.segment_index_bytes) {
        return true;
    }
    // Kafka's LogSegment.timeWaitedForRoll: the records' own time where they have one.
    const std::int64_t jitter_ms =
        config_.segment_jitter_ms <= 0
            ? 0
            : static_cast<std::int64_t>(
                  mix_bits(seed_ ^ static_cast<std::uint64_t>(segment.base_offset.value)) %
                  static_cast<std::uint64_t>(config_.segment_jitter_ms));
    const Timestamp newest = header.max_timestamp.ms >= 0 ? header.max_timestamp : now;
    // Kafka's LogConfig.maxSegmentMs.
    const std::int64_t segment_ms =
        config_.compacts ? std::min(config_.segment_ms, config_.max_compaction_lag_ms)
                         : config_.segment_ms;
    return newest.ms - active_first_timestamp_.ms > segment_ms - jitter_ms;
}

void Log::roll() {
    DLOG_ASSERT(!active().is_empty(), active().base_offset);
    const Offset base = log_end_offset();
    auto index = std::exchange(active_index_, std::make_shared<SegmentIndex>(base));
    sealed_.push_back({.segment = active().base_offset, .index = std::move(index)});
    DLOG_ASSERT(base == active().end_offset, base, active().end_offset);
    segments_.push_back({.base_offset = base, .end_offset = base});
    active_first_timestamp_ = kNoTimestamp;
    tail_.roll(base);
}

Result<Appended> Log::append(Buffer batch, LeaderEpoch epoch, Timestamp now) {
    auto header = record::read_batch_header(batch.view());
    if (!header || header->size_bytes() != batch.size()) return unexpected(Error::kBadBatch);
    if (static_cast<std::int64_t>(batch.size()) > config_.segment_bytes) {
        return unexpected(Error::kBatchTooLarge);
    }
    const Offset base = log_end_offset();
    if (base > kOffsetMax) return unexpected(Error::kBadBatch);

    DLOG_TRY_ASSIGN(const auto earlier, producers_.check(*header));
    const bool stamps = config_.timestamp_type == TimestampType::kLogAppendTime;
    if (earlier) {
        return Appended{.base_offset = earlier->last_offset - earlier->offset_delta,
                        .next_offset = earlier->last_offset + 1,
                        .log_append_time = stamps ? earlier->timestamp : kNoTimestamp,
                        .is_duplicate = true};
    }
    header->base_offset = base;
    header->leader_epoch = epoch;
    record::set_base_offset(batch.mutable_view(), base);
    record::set_leader_epoch(batch.mutable_view(), epoch);
    if (stamps) {
        record::set_log_append_time(batch.mutable_view(), now);
        header->max_timestamp = now;
    }
    add(*header, batch, now);
    return Appended{.base_offset = base,
                    .next_offset = header->next_offset(),
                    .log_append_time = stamps ? now : kNoTimestamp};
}

Result<Appended> Log::append_replicated(const Buffer& batch, Timestamp now) {
    const auto header = record::read_batch_header(batch.view());
    if (!header || header->size_bytes() != batch.size() || batch.size() > kBatchBytesMax) {
        return unexpected(Error::kBadBatch);
    }
    const Offset base = log_end_offset();
    if (header->base_offset != base || base > kOffsetMax ||
        header->leader_epoch < std::max(LeaderEpoch{0}, epochs_.latest())) {
        return unexpected(Error::kBadBatch);
    }
    add(*header, batch, now);
    return Appended{.base_offset = base, .next_offset = header->next_offset()};
}

void Log::add(const record::BatchHeader& header, const Buffer& batch, Timestamp now) {
    if (must_roll(header, now)) roll();
    add_to_segment(header, now);
    epochs_.append(header.leader_epoch, header.base_offset);
    producers_.update(header, now, &marks_.back().undo);
    tail_.append(batch, header.next_offset());
}

void Log::add_to_segment(const record::BatchHeader& header, Timestamp now) {
    Segment& segment = active();
    if (segment.is_empty()) {
        active_first_timestamp_ = header.max_timestamp.ms >= 0 ? header.max_timestamp : now;
    }
    active_index_->add({.base_offset = header.base_offset,
                        .next_offset = header.next_offset(),
                        .position = segment.size_bytes,
                        .size_bytes = header.size_bytes(),
                        .max_timestamp = header.max_timestamp},
                       config_.index_interval_bytes);
    if (header.max_timestamp > segment.max_timestamp) {
        segment.max_timestamp = header.max_timestamp;
        segment.max_timestamp_offset = header.base_offset;
    }
    segment.end_offset = header.next_offset();
    segment.size_bytes += header.size_bytes();
    segment.last_append = now;
    size_bytes_ += header.size_bytes();
}

// --- Marks

Log::Mark Log::mark_here() {
    return {.id = ++next_mark_id_,
            .at = tail_.end(),
            .segment = active(),
            .first_timestamp = active_first_timestamp_};
}

const Log::Mark& Log::written_mark() const {
    DLOG_ASSERT(marks_.size() > (is_writing_ ? 1U : 0U), marks_.size());
    return marks_[marks_.size() - (is_writing_ ? 2 : 1)];
}

void Log::merge_marks() {
    // Only the persisted position, the syncs under way and the written position are ever gone back
    // to or waited for.
    for (std::size_t i = 1; i + 1 < marks_.size();) {
        if (marks_[i].is_sync_target) {
            ++i;
            continue;
        }
        auto& older = marks_[i - 1].undo;
        for (auto& [id, before] : marks_[i].undo) older.try_emplace(id, before);
        marks_.erase(marks_.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

void Log::drop_active() {
    const Offset base = active().base_offset;
    size_bytes_ -= active().size_bytes;
    verified_.forget(base, 0);
    forget_repairs(base);
    std::erase_if(unsynced_cuts_, [&](const Cut& cut) { return cut.segment == base; });
    repairs_.push_back(RemoveSegment{base});
    segments_.pop_back();
}

void Log::drop_segments_after(const Mark& mark) {
    while (active().base_offset > mark.segment.base_offset) {
        drop_active();
        if (active().base_offset > mark.segment.base_offset) continue;
        // The segment that was active at the mark grows again.
        const auto sealed = std::ranges::find(sealed_, active().base_offset, &SealedIndex::segment);
        DLOG_ASSERT(sealed != sealed_.end(), active().base_offset);
        active_index_ = std::make_shared<SegmentIndex>(*sealed->index);
        sealed_.erase(sealed, sealed_.end());
    }
}

/// A later repair of the same file takes the place of an earlier one, which might find it gone.
void Log::forget_repairs(Offset segment) {
    std::erase_if(repairs_, [&](const WriteStep& step) {
        const auto* cut = std::get_if<TruncateSegment>(&step);
        const auto* remove = std::get_if<RemoveSegment>(&step);
        return (cut != nullptr && cut->segment == segment) ||
               (remove != nullptr && remove->segment == segment);
    });
}

LostRange Log::go_back_to_last_mark() {
    Mark& mark = marks_.back();
    const LostRange lost{mark.at.offset, log_end_offset()};
    if (tail_.end() == mark.at) return lost;
    if (lost.begin_offset < lost.end_offset) ++generation_;
    const bool has_file = mark.segment.base_offset <= last_created_;

    drop_segments_after(mark);
    DLOG_ASSERT(active().base_offset == mark.segment.base_offset, active().base_offset);
    size_bytes_ -= active().size_bytes - mark.segment.size_bytes;
    active() = mark.segment;
    active_first_timestamp_ = mark.first_timestamp;
    active_index_->truncate(mark.segment);
    epochs_.truncate_end(mark.at.offset);
    producers_.apply(mark.undo);
    mark.undo.clear();
    verified_.forget(mark.at.segment, mark.at.position);
    if (mark.at.offset >= tail_.begin().offset) {
        tail_.truncate(mark.at);
    } else {
        tail_.reset(mark.at);
    }
    last_created_ = std::min(last_created_, mark.segment.base_offset);
    if (!has_file) return lost;  // CreateSegment will empty it.
    forget_repairs(mark.at.segment);
    repairs_.push_back(TruncateSegment{mark.at.segment, mark.at.position});
    return lost;
}

// --- Flushing

bool Log::has_unwritten() const {
    if (is_writing_) return tail_.end() != marks_.back().at;
    return !repairs_.empty() || tail_.end() != marks_.back().at;
}

void Log::add_segment_writes(WritePlan& plan, const Segment& segment, const LogPosition& from) {
    const Offset base = segment.base_offset;
    const std::uint64_t position = base == from.segment ? from.position : 0;
    DLOG_ASSERT(position <= segment.size_bytes, position, segment.size_bytes);
    if (segment.size_bytes > position) {
        if (base > plan_.last_created) {
            plan.steps.push_back(CreateSegment{base});
            plan_.last_created = base;
            plan_.changes_folder = true;
        }
        const std::uint64_t size = segment.size_bytes - position;
        plan.steps.push_back(WriteBytes{.segment = base,
                                        .position = position,
                                        .parts = tail_.slices_from(base, position),
                                        .size_bytes = size});
        plan.size_bytes += size;
    }
    const auto sealed = std::ranges::find(sealed_, base, &SealedIndex::segment);
    if (sealed != sealed_.end() && !sealed->is_written) {
        plan.steps.push_back(SealSegment{base, sealed->index});
    }
}

WritePlan Log::take_writes() {
    DLOG_ASSERT(!is_writing_);
    WritePlan plan;
    if (!has_unwritten()) return plan;
    const LogPosition from = marks_.back().at;
    plan_ = {.last_created = last_created_,
             .repair_count = repairs_.size(),
             .changes_folder = !repairs_.empty()};
    plan.steps = repairs_;
    const auto first = std::ranges::lower_bound(segments_, from.segment, {}, &Segment::base_offset);
    for (auto segment = first; segment != segments_.end(); ++segment) {
        add_segment_writes(plan, *segment, from);
    }
    marks_.push_back(mark_here());
    is_writing_ = true;
    return plan;
}

void Log::written() {
    DLOG_ASSERT(is_writing_);
    is_writing_ = false;
    for (std::size_t i = 0; i < plan_.repair_count; ++i) {
        if (const auto* cut = std::get_if<TruncateSegment>(&repairs_[i])) {
            unsynced_cuts_.push_back({++cut_count_, cut->segment});
        }
    }
    repairs_.erase(repairs_.begin(),
                   repairs_.begin() + static_cast<std::ptrdiff_t>(plan_.repair_count));
    last_created_ = plan_.last_created;
    if (plan_.changes_folder) ++folder_changes_;
    for (SealedIndex& sealed : sealed_) {
        if (sealed.segment < marks_.back().at.segment) sealed.is_written = true;
    }
    mark_written_verified(marks_[marks_.size() - 2].at, marks_.back().at);
    merge_marks();
}

/// What was checked on its way in and then written is served from the file as it lies.
void Log::mark_written_verified(const LogPosition& from, const LogPosition& to) {
    auto segment = std::ranges::lower_bound(segments_, from.segment, {}, &Segment::base_offset);
    for (; segment != segments_.end() && segment->base_offset <= to.segment; ++segment) {
        const Offset base = segment->base_offset;
        verified_.mark_verified(base, base == from.segment ? from.position : 0,
                                base == to.segment ? to.position : segment->size_bytes);
    }
}

LostRange Log::write_failed() {
    DLOG_ASSERT(is_writing_ && marks_.size() >= 2, marks_.size());
    is_writing_ = false;
    // Files that the plan may have made are emptied by CreateSegment when they are made again.
    auto undo = std::move(marks_.back().undo);
    marks_.pop_back();
    for (auto& [id, before] : undo) marks_.back().undo.try_emplace(id, before);
    return go_back_to_last_mark();
}

SyncTarget Log::sync_target() {
    const std::size_t written = marks_.size() - (is_writing_ ? 2 : 1);
    Mark& mark = marks_[written];
    const LogPosition& from = marks_.front().at;
    if (mark.at.offset == from.offset) return {.end_offset = mark.at.offset};
    SyncTarget target{.end_offset = mark.at.offset,
                      .changes_folder = folder_changes_ != folder_changes_synced_,
                      .folder_changes = folder_changes_,
                      .cuts = cut_count_,
                      .mark_id = mark.id};
    if (written > 0) mark.is_sync_target = true;
    auto segment = std::ranges::lower_bound(segments_, from.segment, {}, &Segment::base_offset);
    for (; segment != segments_.end() && segment->base_offset <= mark.at.segment; ++segment) {
        const bool is_first = segment->base_offset == from.segment;
        const bool is_last = segment->base_offset == mark.at.segment;
        const std::uint64_t begin = is_first ? from.position : 0;
        const std::uint64_t end = is_last ? mark.at.position : segment->size_bytes;
        if (end > begin || is_cut_pending(segment->base_offset))
            target.segments.push_back(segment->base_offset);
    }
    return target;
}

void Log::persisted(const SyncTarget& target) {
    folder_changes_synced_ = std::max(folder_changes_synced_, target.folder_changes);
    std::erase_if(unsynced_cuts_, [&](const Cut& cut) { return cut.number <= target.cuts; });
    const auto mark = std::ranges::find(marks_, target.mark_id, &Mark::id);
    if (mark == marks_.begin() || mark == marks_.end()) return;
    const Offset from = marks_.front().segment.base_offset;
    const std::uint64_t from_position = marks_.front().at.position;
    marks_.erase(marks_.begin(), mark);
    Mark& front = marks_.front();
    front.is_sync_target = false;
    persisted_since_checkpoint_ +=
        front.at.segment == from ? front.at.position - from_position : front.at.position;
    is_dirty_ = true;
    if (front.at.segment != from) is_checkpoint_urgent_ = true;
    std::erase_if(sealed_, [&](const SealedIndex& sealed) {
        return sealed.is_written && sealed.segment < front.at.segment;
    });
}

LostRange Log::sync_failed() {
    DLOG_ASSERT(!is_writing_);
    while (marks_.size() > 1) {
        auto undo = std::move(marks_.back().undo);
        marks_.pop_back();
        for (auto& [id, before] : undo) marks_.back().undo.try_emplace(id, before);
    }
    return go_back_to_last_mark();
}

std::uint64_t Log::unsynced_bytes() const {
    std::uint64_t bytes = 0;
    const LogPosition& from = marks_.front().at;
    for (auto segment = segments_.rbegin();
         segment != segments_.rend() && segment->base_offset >= from.segment; ++segment) {
        bytes += segment->size_bytes;
        if (segment->base_offset == from.segment) bytes -= from.position;
    }
    return bytes;
}

std::int64_t Log::unsynced_records() const {
    return log_end_offset().since(persisted_offset());
}

// --- Reading

std::optional<std::size_t> Log::find_segment(Offset offset) const {
    const auto after = std::ranges::upper_bound(segments_, offset, {}, &Segment::base_offset);
    if (after == segments_.begin()) return std::nullopt;
    return static_cast<std::size_t>(after - segments_.begin()) - 1;
}

std::shared_ptr<const SegmentIndex> Log::index_in_memory(Offset segment) const {
    if (segment == active().base_offset) return active_index_;
    const auto sealed = std::ranges::find(sealed_, segment, &SealedIndex::segment);
    return sealed == sealed_.end() ? nullptr : sealed->index;
}

Result<ReadPlan> Log::read(const ReadRequest& request) const {
    const Offset first =
        request.includes_deleted ? segments_.front().base_offset : log_start_offset_;
    if (request.from < first || request.from > log_end_offset()) {
        return unexpected(Error::kOffsetOutOfRange);
    }
    ReadRequest wanted = request;
    wanted.limit = std::min(wanted.limit, log_end_offset());
    if (wanted.from >= wanted.limit) return NothingToRead{};
    if (wanted.from < tail_.begin().offset) return plan_file_read(wanted);
    std::optional<IndexEntry> hint;
    if (wanted.from >= active_index_->covers_from().offset)
        hint = active_index_->floor(wanted.from);
    Tail::Read read = tail_.read(wanted, hint);
    if (read.size_bytes == 0) return NothingToRead{};
    return read;
}

ReadPlan Log::plan_file_read(const ReadRequest& request) const {
    if (const Damage* damage = verified_.damage_at(request.from)) return DamagedRead{*damage};
    const auto i = find_segment(request.from);
    const Offset hole_begin = i ? segments_[*i].end_offset : log_start_offset_;
    if (!i || request.from >= hole_begin) {
        const Offset next = segments_[i ? *i + 1 : 0].base_offset;
        return DamagedRead{{.segment = hole_begin,
                            .first_offset = hole_begin,
                            .next_offset = next,
                            .reason = DamageReason::kMissingFile}};
    }
    FileRead plan{.request = request, .segment = segments_[*i]};
    const Offset base = plan.segment.base_offset;
    // Not all that the segment will hold need be in the file yet.
    if (const LogPosition& written = written_mark().at; base == written.segment) {
        plan.segment.size_bytes = written.position;
        plan.segment.end_offset = written.offset;
    }
    plan.scan_from = {base, 0};
    plan.index = index_in_memory(base);
    if (plan.index && request.from < plan.index->covers_from().offset) plan.index = nullptr;
    if (const auto boundary = verified_.find_boundary(base, request.from)) {
        plan.scan_from = *boundary;
    } else if (plan.index != nullptr) {
        plan.scan_from = plan.index->floor(request.from);
    }
    return plan;
}

void Log::note_unreadable(Offset segment, DamageReason reason) {
    const auto found = std::ranges::find(segments_, segment, &Segment::base_offset);
    if (found == segments_.end() || found->is_empty()) return;
    verified_.forget(segment, 0);
    verified_.note_damage({.segment = segment,
                           .position = 0,
                           .end_position = found->size_bytes,
                           .first_offset = found->base_offset,
                           .next_offset = found->end_offset,
                           .reason = reason});
}

void Log::adopt_index_prefix(const SegmentIndex& prefix) {
    if (prefix.base_offset() != active_index_->base_offset() || active_index_->is_complete())
        return;
    active_index_->prepend(prefix);
}

std::optional<TimeScan> Log::find_time(Timestamp time) const {
    for (const Segment& segment : segments_) {
        if (segment.max_timestamp < time || segment.is_empty()) continue;
        TimeScan scan{.segment = segment.base_offset,
                      .from = std::max(segment.base_offset, log_start_offset_),
                      .time = time};
        const auto index = index_in_memory(segment.base_offset);
        if (index != nullptr && index->is_complete()) {
            scan.from = std::max(scan.from, index->time_floor(time));
        } else {
            scan.needs_index = true;
        }
        return scan;
    }
    return std::nullopt;
}

std::optional<TimeScan> Log::find_max_time() const {
    const auto latest = std::ranges::max_element(segments_, {}, &Segment::max_timestamp);
    if (latest->max_timestamp < Timestamp{0}) return std::nullopt;
    return TimeScan{.segment = latest->base_offset,
                    .from = std::max(latest->max_timestamp_offset, log_start_offset_),
                    .time = latest->max_timestamp};
}

void Log::evict_tail(std::size_t target_bytes) {
    tail_.evict(target_bytes, written_mark().at.offset);
}

// --- Housekeeping

/// The segment is to be cut back, or was and has not been synced since.
bool Log::is_cut_pending(Offset segment) const {
    const auto is_cut_of = [&](const WriteStep& step) {
        const auto* cut = std::get_if<TruncateSegment>(&step);
        return cut != nullptr && cut->segment == segment;
    };
    return std::ranges::any_of(repairs_, is_cut_of) ||
           std::ranges::find(unsynced_cuts_, segment, &Cut::segment) != unsynced_cuts_.end();
}

std::size_t Log::count_expired(Timestamp now, Offset committed) const {
    std::int64_t excess_bytes =
        config_.retention_bytes < 0
            ? -1
            : static_cast<std::int64_t>(size_bytes_) - config_.retention_bytes;
    std::size_t count = 0;
    for (const Segment& segment : segments_) {
        if (segment.is_empty() || segment.end_offset > committed) break;
        // What is cut off could come back, and the checkpoint may still begin there.
        if (is_cut_pending(segment.base_offset)) break;
        if (swapping_ && swapping_->base_offset == segment.base_offset) break;
        const Timestamp newest =
            segment.max_timestamp.ms >= 0 ? segment.max_timestamp : segment.last_append;
        const bool is_old = config_.retention_ms >= 0 && now.ms - newest.ms > config_.retention_ms;
        excess_bytes -= static_cast<std::int64_t>(segment.size_bytes);
        const bool is_expired = config_.deletes_old && (is_old || excess_bytes >= 0);
        if (!is_expired && segment.end_offset > log_start_offset_) break;
        ++count;
    }
    return count;
}

Retired Log::delete_before(Offset offset) {
    DLOG_ASSERT(offset <= persisted_offset(), offset, persisted_offset());
    if (offset > log_start_offset_) {
        log_start_offset_ = offset;
        epochs_.truncate_start(offset);
        is_dirty_ = true;
        is_checkpoint_urgent_ = true;
    }
    std::size_t count = 0;
    for (const Segment& segment : segments_) {
        if (segment.is_empty() || segment.end_offset > log_start_offset_) break;
        if (is_cut_pending(segment.base_offset)) break;
        // Its file may still bear the name of a swap, from which a start would bring it back.
        if (swapping_ && swapping_->base_offset == segment.base_offset) break;
        ++count;
    }
    return drop_segments(count);
}

Retired Log::apply_retention(Timestamp now, Offset committed) {
    return drop_segments(count_expired(now, std::min(committed, persisted_offset())));
}

Retired Log::drop_segments(std::size_t count) {
    DLOG_ASSERT(!is_writing_);
    Retired retired{.log_start_offset = log_start_offset_};
    if (count == 0) return retired;
    if (count == segments_.size()) {
        // Everything is persisted, so nothing of the active segment is still to be written, and an
        // index for a file that goes is not needed.
        roll();
        sealed_.clear();
        marks_.clear();
        marks_.push_back(mark_here());
    }
    retired.segments.assign(segments_.begin(),
                            segments_.begin() + static_cast<std::ptrdiff_t>(count));
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
    for (const Segment& segment : retired.segments) {
        retired.size_bytes += segment.size_bytes;
        verified_.forget(segment.base_offset, 0);
        std::erase_if(sealed_, [&](const SealedIndex& sealed) {
            return sealed.segment == segment.base_offset;
        });
    }
    size_bytes_ -= retired.size_bytes;
    for (Mark& mark : marks_) {
        // The end of a segment that is gone is the beginning of the one after it.
        if (mark.at.segment >= segments_.front().base_offset) continue;
        const Offset base = segments_.front().base_offset;
        DLOG_ASSERT(mark.at.offset == base, mark.at.offset, base);
        mark.at = {base, base, 0};
        mark.segment = {.base_offset = base, .end_offset = base};
        mark.first_timestamp = kNoTimestamp;
    }
    log_start_offset_ = std::max(log_start_offset_, segments_.front().base_offset);
    retired.log_start_offset = log_start_offset_;
    epochs_.truncate_start(log_start_offset_);
    is_dirty_ = true;
    is_checkpoint_urgent_ = true;
    return retired;
}

std::size_t Log::expire_producers(Timestamp now) {
    // While something may still be undone, what it would be undone to stays as it is.
    if (marks_.size() > 1 || !marks_.back().undo.empty()) return 0;
    const std::size_t count = producers_.expire(now, config_.producer_id_expiration_ms);
    if (count > 0) is_dirty_ = true;
    return count;
}

CheckpointNeed Log::checkpoint_need() const {
    if (!is_dirty_) return CheckpointNeed::kNone;
    const std::uint64_t cost = segments_.size() * kCheckpointSegmentBytes;
    const bool is_worth_it = cost < (std::uint64_t{64} << 10) ||
                             persisted_since_checkpoint_ >= kCheckpointCostFactor * cost;
    if (is_checkpoint_urgent_ && is_worth_it) return CheckpointNeed::kNow;
    if (persisted_since_checkpoint_ >= kCheckpointBytesMax) return CheckpointNeed::kNow;
    return CheckpointNeed::kSome;
}

LogImage Log::image(bool is_clean) const {
    const Mark& mark = marks_.front();
    LogImage image;
    image.log_start_offset = log_start_offset_;
    image.active_first_timestamp = mark.first_timestamp;
    image.is_clean = is_clean && mark.at == tail_.end();
    image.cleaned_to = std::min(cleaned_to_, mark.at.offset);
    if (swapping_) image.swapping = swapping_->base_offset;
    for (const Segment& segment : segments_) {
        if (segment.base_offset >= mark.segment.base_offset) break;
        image.segments.push_back(segment);
    }
    image.segments.push_back(mark.segment);
    for (const EpochStart& epoch : epochs_.entries()) {
        // One that begins at the mark has written nothing before it, unless retention moved it.
        if (epoch.start_offset < mark.at.offset || epoch.start_offset == log_start_offset_) {
            image.epochs.push_back(epoch);
        }
    }
    // The producers as they were at the mark: undo what came later, the latest first.
    ProducerTable producers = producers_;
    for (auto later = marks_.rbegin(); later != marks_.rend(); ++later) {
        producers.apply(later->undo);
    }
    image.producers = producers.states();
    return image;
}

void Log::checkpointed(const LogImage& image) {
    const LogPosition& now = marks_.front().at;
    const LogPosition then = image.recovery_point();
    if (uncovered_cut_ && image.log_start_offset >= uncovered_cut_->log_start &&
        then.offset <= uncovered_cut_->end) {
        uncovered_cut_.reset();
    }
    // One that was under way while the log was cut off may vouch for more than there is.
    const bool is_same_segment = now.segment == then.segment && now.position >= then.position;
    persisted_since_checkpoint_ =
        is_same_segment ? now.position - then.position : persisted_since_checkpoint_;
    is_swap_noted_ = image.swapping.has_value();
    is_checkpoint_urgent_ = !is_same_segment || log_start_offset_ != image.log_start_offset ||
                            is_swap_noted_ != swapping_.has_value() ||
                            cleaned_to_ != image.cleaned_to;
    is_dirty_ = now != then || is_checkpoint_urgent_;
}

}  // namespace dlog::storage
