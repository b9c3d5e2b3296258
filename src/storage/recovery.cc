#include "storage/recovery.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace dlog::storage {
namespace {

constexpr IndexEntry kUnknownEnd{Offset{INT64_MAX}, UINT64_MAX};

/// Files that other parts of the storage leave and clean up themselves.
bool is_known_name(std::string_view name) {
    return name == kCheckpointFileName || name.ends_with(".tmp") || name.ends_with(".aside");
}

}  // namespace

std::string_view recovery_note_text(RecoveryNote::Kind kind) {
    switch (kind) {
        case RecoveryNote::Kind::kTornTail:
            return "cut off a torn end that was never acknowledged";
        case RecoveryNote::Kind::kDamage:
            return "a part of a segment is damaged and cannot be read";
        case RecoveryNote::Kind::kMissingSegment:
            return "a segment is missing";
        case RecoveryNote::Kind::kSetAside:
            return "set aside a segment that does not continue the log";
        case RecoveryNote::Kind::kLeftover:
            return "removed a segment that retention had dropped";
        case RecoveryNote::Kind::kForeignFile:
            return "left a file alone that is none of ours";
        case RecoveryNote::Kind::kCheckpointMissing:
            return "there is no checkpoint: every segment is read";
        case RecoveryNote::Kind::kCheckpointDamaged:
            return "the checkpoint is damaged: every segment is read";
    }
    DLOG_UNREACHABLE();
}

Recovery::Recovery(const RecoveryInput& input) : config_(input.config), now_(input.now) {
    if (input.checkpoint) {
        auto image = decode_checkpoint(*input.checkpoint);
        has_checkpoint_ = image.has_value();
        is_checkpoint_damaged_ = !has_checkpoint_;
        if (image) {
            out_.image = *std::move(image);
        } else {
            out_.notes.push_back({.kind = RecoveryNote::Kind::kCheckpointDamaged,
                                  .file = std::string(kCheckpointFileName),
                                  .size_bytes = input.checkpoint->size(),
                                  .reason = DamageReason::kBadCrc});
        }
    }
    take_names(input.names);
    if (!input.checkpoint && listed_ == std::vector{Offset{0}}) {
        // So young that there never was one: nothing is known to be on stable storage, and what a
        // tear left behind must not become a hole that readers stumble over for ever.
        has_checkpoint_ = true;
        out_.image = empty_image();
        out_.needs_checkpoint = true;
    }
    if (has_checkpoint_) {
        begin_from_checkpoint();
    } else {
        begin_from_names();
    }
}

void Recovery::take_names(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        const auto parsed = parse_segment_file_name(name);
        if (parsed && parsed->kind == FileKind::kLog) listed_.push_back(parsed->base_offset);
        if (parsed && parsed->kind != FileKind::kLog) indexed_.insert(parsed->base_offset);
        if (parsed || is_known_name(name)) continue;
        out_.notes.push_back({.kind = RecoveryNote::Kind::kForeignFile, .file = name});
    }
    std::ranges::sort(listed_);
}

void Recovery::add_note(RecoveryNote::Kind kind, Offset segment, std::uint64_t position,
                        std::uint64_t size_bytes, DamageReason reason) {
    out_.notes.push_back({.kind = kind,
                          .file = segment_file_name(segment, FileKind::kLog),
                          .position = position,
                          .size_bytes = size_bytes,
                          .reason = reason});
    out_.needs_checkpoint = true;
}

bool Recovery::is_listed(Offset base) const {
    return std::ranges::binary_search(listed_, base);
}

Offset Recovery::next_listed(Offset base) const {
    const auto next = std::ranges::upper_bound(listed_, base);
    return next == listed_.end() ? kUnknownEnd.offset : *next;
}

void Recovery::leave_hole(Offset begin, Offset end) {
    DLOG_ASSERT(begin < end, begin, end);
    add_note(RecoveryNote::Kind::kMissingSegment, begin, 0, 0, DamageReason::kMissingFile);
    out_.damages.push_back({.segment = begin,
                            .first_offset = begin,
                            .next_offset = end,
                            .reason = DamageReason::kMissingFile});
}

void Recovery::set_aside_from(Offset base) {
    for (auto at = std::ranges::lower_bound(listed_, base); at != listed_.end(); ++at) {
        add_note(RecoveryNote::Kind::kSetAside, *at, 0, 0, DamageReason::kBadOffset);
        out_.repairs.push_back(SetAsideSegment{*at});
    }
}

// --- With a checkpoint

void Recovery::begin_from_checkpoint() {
    for (const EpochStart& epoch : out_.image.epochs)
        epochs_.append(epoch.epoch, epoch.start_offset);
    for (const auto& [id, state] : out_.image.producers) producers_.restore(id, state);
    check_names_against_checkpoint();

    first_read_ = active().base_offset;
    index_ = SegmentIndex(active());
    if (!is_listed(active().base_offset)) {
        if (!active().is_empty()) return lose_active(DamageReason::kMissingFile);
        return set_aside_from(active().end_offset);
    }
    const LogPosition from = out_.image.recovery_point();
    scanner_.emplace(from.segment, IndexEntry{from.offset, from.position}, kUnknownEnd);
    is_probing_ = from.position > 0;
}

void Recovery::check_names_against_checkpoint() {
    const auto& segments = out_.image.segments;
    auto listed = listed_.begin();
    for (const Segment& segment : segments) {
        for (; listed != listed_.end() && *listed < segment.base_offset; ++listed) {
            const bool is_leftover = *listed < out_.image.log_start_offset;
            add_note(is_leftover ? RecoveryNote::Kind::kLeftover : RecoveryNote::Kind::kForeignFile,
                     *listed, 0, 0, DamageReason::kBadOffset);
            if (is_leftover) out_.repairs.push_back(RemoveSegment{*listed});
        }
        if (listed != listed_.end() && *listed == segment.base_offset) {
            ++listed;
            continue;
        }
        if (&segment == &segments.back()) continue;  // The active one may not have been made yet.
        add_note(RecoveryNote::Kind::kMissingSegment, segment.base_offset, 0, segment.size_bytes,
                 DamageReason::kMissingFile);
        out_.damages.push_back({.segment = segment.base_offset,
                                .end_position = segment.size_bytes,
                                .first_offset = segment.base_offset,
                                .next_offset = segment.end_offset,
                                .reason = DamageReason::kMissingFile});
    }
}

/// The active segment's file is not there, or ends before the recovery point. What it held is a
/// hole; the log goes on behind it, never in the hurt file.
void Recovery::lose_active(DamageReason reason) {
    const Segment lost = active();
    scanner_.reset();
    add_note(reason == DamageReason::kMissingFile ? RecoveryNote::Kind::kMissingSegment
                                                  : RecoveryNote::Kind::kDamage,
             lost.base_offset, 0, lost.size_bytes, reason);
    if (reason == DamageReason::kMissingFile) {
        out_.damages.push_back({.segment = lost.base_offset,
                                .end_position = lost.size_bytes,
                                .first_offset = lost.base_offset,
                                .next_offset = lost.end_offset,
                                .reason = reason});
    }
    // A later segment may have been begun since the checkpoint.
    const Offset next = next_listed(lost.end_offset - 1);
    if (next != kUnknownEnd.offset) {
        if (next > lost.end_offset) leave_hole(lost.end_offset, next);
        enter_segment(next);
        return start_scan(next);
    }
    enter_segment(lost.end_offset);
    out_.has_active_file = false;
}

/// The log goes on with this segment, which is empty so far.
void Recovery::enter_segment(Offset base) {
    out_.image.segments.push_back({.base_offset = base, .end_offset = base});
    out_.image.active_first_timestamp = kNoTimestamp;
    index_ = SegmentIndex(base);
    batch_count_ = 0;
    first_damage_.reset();
    end_damage_.reset();
    has_intact_after_damage_ = false;
}

void Recovery::start_scan(Offset base) {
    const Offset end = has_checkpoint_ ? kUnknownEnd.offset : next_listed(base);
    scanner_.emplace(base, IndexEntry{base, 0}, IndexEntry{end, kUnknownEnd.position});
}

/// The segment that was the log's end has been read.
void Recovery::end_of_tail_segment() {
    const Offset base = active().base_offset;
    const std::uint64_t file_size = scanner_->end_position();
    out_.scanned_bytes += scanner_->scanned_bytes();
    out_.has_active_file = true;
    // The name of a file that the checkpoint has nothing of need not be on stable storage either.
    const bool is_new = active().size_bytes == scanner_->scanned_bytes();
    if (scanner_->scanned_bytes() > 0 || is_new) {
        const std::uint64_t begin = file_size - scanner_->scanned_bytes();
        out_.unsynced.push_back({base, begin, std::max(begin, active().size_bytes)});
    }
    scanner_.reset();

    if (first_damage_) {
        const std::uint64_t position = first_damage_->position;
        add_note(RecoveryNote::Kind::kTornTail, base, position, file_size - position,
                 first_damage_->reason);
        out_.notes.back().has_intact_after = has_intact_after_damage_;
        out_.repairs.push_back(TruncateSegment{base, position});
        return set_aside_from(base + 1);
    }
    const Offset end = active().end_offset;
    if (active().is_empty()) return set_aside_from(base + 1);
    if (!is_listed(end)) return set_aside_from(base + 1);
    // The next segment begins where this one ends.
    start_scan(end);
}

// --- Without a checkpoint

void Recovery::begin_from_names() {
    out_.needs_checkpoint = true;
    if (listed_.empty()) {
        out_.image = empty_image();
        return;
    }
    if (!is_checkpoint_damaged_) {
        out_.notes.push_back({.kind = RecoveryNote::Kind::kCheckpointMissing,
                              .file = std::string(kCheckpointFileName),
                              .reason = DamageReason::kMissingFile});
    }
    const Offset first = listed_.front();
    out_.image.log_start_offset = first;
    enter_segment(first);
    start_scan(first);
}

void Recovery::end_of_listed_segment() {
    Segment& segment = active();
    const Offset next = next_listed(segment.base_offset);
    const std::uint64_t file_size = scanner_->end_position();
    out_.scanned_bytes += scanner_->scanned_bytes();
    out_.unsynced.push_back({segment.base_offset, 0, file_size});
    out_.has_active_file = true;
    if (next == kUnknownEnd.offset) return end_of_last_listed_segment(segment);

    // Not the last one: what is damaged at its end reaches to the next one's beginning.
    if (end_damage_) {
        note_damage(*end_damage_);
        segment.end_offset = next;
    }
    segment.size_bytes = file_size;
    const Offset end = segment.end_offset;
    if (segment.is_empty()) out_.image.segments.pop_back();
    if (end < next) leave_hole(end, next);
    enter_segment(next);
    start_scan(next);
}

void Recovery::end_of_last_listed_segment(const Segment& scanned) {
    const Offset base = scanned.base_offset;
    scanner_.reset();
    if (!end_damage_) return;
    const std::uint64_t position = end_damage_->position;
    if (batch_count_ > 0) {
        add_note(RecoveryNote::Kind::kTornTail, base, position,
                 end_damage_->end_position - position, end_damage_->reason);
        out_.repairs.push_back(TruncateSegment{base, position});
        out_.unsynced.back().end = position;
        return;
    }
    // Not one intact batch: keep the bytes for a human, and begin the file anew.
    add_note(RecoveryNote::Kind::kSetAside, base, 0, end_damage_->end_position,
             end_damage_->reason);
    out_.repairs.push_back(SetAsideSegment{base});
    out_.unsynced.pop_back();
    out_.has_active_file = false;
}

// --- Reading

std::optional<NeedBytes> Recovery::need() const {
    if (!scanner_) return std::nullopt;
    auto need = scanner_->need();
    if (need && is_probing_) {
        --need->position;
        ++need->size_bytes;
    }
    return need;
}

void Recovery::feed(ByteView bytes) {
    DLOG_ASSERT(scanner_.has_value());
    if (is_probing_) {
        is_probing_ = false;
        if (bytes.empty()) return lose_active(DamageReason::kTruncated);
        bytes = bytes.subspan(1);
    }
    if (has_checkpoint_ && scanner_->need()->segment != active().base_offset) {
        // The segment after the one that ended in order is there.
        enter_segment(active().end_offset);
        out_.needs_checkpoint = true;
    }
    scanner_->feed(bytes);
    drain();
}

void Recovery::drain() {
    while (const auto event = scanner_->next()) {
        if (const auto* batch = std::get_if<SegmentScanner::Batch>(&*event)) {
            if (has_checkpoint_ && first_damage_) {
                has_intact_after_damage_ = true;
            } else {
                apply(*batch);
            }
            continue;
        }
        const Damage& damage = std::get<Damage>(*event);
        const bool reaches_end =
            !scanner_->need() && damage.end_position == scanner_->end_position();
        if (!first_damage_) first_damage_ = damage;
        if (reaches_end) {
            end_damage_ = damage;
        } else if (!has_checkpoint_) {
            note_damage(damage);
            index_.skip_to({damage.next_offset, damage.end_position});
            active().end_offset = damage.next_offset;
            active().size_bytes = damage.end_position;
        }
    }
    if (scanner_->need()) return;
    if (has_checkpoint_) {
        end_of_tail_segment();
    } else {
        end_of_listed_segment();
    }
}

void Recovery::apply(const SegmentScanner::Batch& batch) {
    Segment& segment = active();
    DLOG_ASSERT(batch.place.base_offset == segment.end_offset, batch.place.base_offset,
                segment.end_offset);
    const record::BatchHeader& header = batch.header;
    if (segment.is_empty()) {
        out_.image.active_first_timestamp =
            header.max_timestamp.ms >= 0 ? header.max_timestamp : now_;
    }
    ++batch_count_;
    index_.add(batch.place, config_.index_interval_bytes);
    if (header.max_timestamp > segment.max_timestamp) {
        segment.max_timestamp = header.max_timestamp;
        segment.max_timestamp_offset = header.base_offset;
    }
    segment.last_append = now_;
    segment.end_offset = batch.place.next_offset;
    segment.size_bytes = batch.place.position + batch.place.size_bytes;
    epochs_.append(header.leader_epoch, header.base_offset);
    producers_.update(header, header.max_timestamp.ms >= 0 ? header.max_timestamp : now_, nullptr);
    out_.needs_checkpoint = true;
}

void Recovery::note_damage(const Damage& damage) {
    add_note(RecoveryNote::Kind::kDamage, damage.segment, damage.position,
             damage.end_position - damage.position, damage.reason);
    out_.damages.push_back(damage);
}

void Recovery::feed_missing() {
    DLOG_ASSERT(scanner_.has_value());
    is_probing_ = false;
    if (!has_checkpoint_) {
        // It was listed, and is gone: as if it had been empty.
        scanner_->feed({});
        return drain();
    }
    const bool is_next = scanner_->need()->segment != active().base_offset;
    if (!is_next && !active().is_empty()) return lose_active(DamageReason::kMissingFile);
    // The log ends where the segment before ended in order, or has never had a record.
    scanner_.reset();
    if (!is_next) out_.has_active_file = false;
}

void Recovery::feed_unreadable() {
    DLOG_ASSERT(scanner_.has_value());
    const Offset segment = scanner_->need()->segment;
    const Offset next = next_listed(segment);
    const bool is_end = has_checkpoint_ || next == kUnknownEnd.offset;
    add_note(RecoveryNote::Kind::kDamage, segment, scanner_->need()->position, 0,
             DamageReason::kUnreadable);
    scanner_.reset();
    if (is_end) {
        out_.must_stay_offline = true;
        return;
    }
    // What cannot be read of a segment in the middle is a hole up to the next one.
    Segment& hurt = active();
    out_.damages.push_back({.segment = segment,
                            .position = hurt.size_bytes,
                            .end_position = hurt.size_bytes,
                            .first_offset = hurt.end_offset,
                            .next_offset = next,
                            .reason = DamageReason::kUnreadable});
    if (hurt.is_empty()) out_.image.segments.pop_back();
    enter_segment(next);
    start_scan(next);
}

RecoveredLog Recovery::finish() {
    DLOG_ASSERT(!need());
    if (index_.base_offset() != active().base_offset ||
        index_.covers_to() != IndexEntry{active().end_offset, active().size_bytes}) {
        index_ = SegmentIndex(active());
    }
    out_.active_index = std::move(index_);
    for (auto at = indexed_.lower_bound(first_read_); at != indexed_.end(); ++at) {
        out_.stale_indexes.push_back({*at});
    }
    out_.image.epochs.assign(epochs_.entries().begin(), epochs_.entries().end());
    out_.image.producers = producers_.states();
    out_.image.is_clean = !out_.needs_checkpoint;
    return std::move(out_);
}

}  // namespace dlog::storage
