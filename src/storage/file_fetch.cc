#include "storage/file_fetch.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "record/batch.h"
#include "storage/batches.h"

namespace dlog::storage {
namespace {

/// What is read and checked in one go when a range has not been verified yet.
constexpr std::uint64_t kReadBytesMax = std::uint64_t{1} << 20;
/// What is read to find a batch when there is no index.
constexpr std::uint64_t kSearchBytes = std::uint64_t{64} << 10;
/// How far behind damage an intact batch is looked for, when the index does not name one nearer.
constexpr std::uint64_t kResyncBytesMax = std::uint64_t{4} << 20;

}  // namespace

FileFetch::FileFetch(FileRead plan) : plan_(std::move(plan)) {
    const Segment& segment = plan_.segment;
    DLOG_ASSERT(plan_.index == nullptr || plan_.index->base_offset() == segment.base_offset,
                segment.base_offset);
    DLOG_ASSERT(
        plan_.request.from >= segment.base_offset && plan_.request.from < segment.end_offset,
        plan_.request.from, segment.end_offset);
}

IndexEntry FileFetch::end() const {
    return {plan_.segment.end_offset, plan_.segment.size_bytes};
}

/// A batch that begins at or before `position` ends here at the latest.
IndexEntry FileFetch::next_entry(std::uint64_t position) const {
    if (plan_.index == nullptr || position < plan_.index->covers_from().position) return end();
    const IndexEntry next = plan_.index->ceiling_position(position);
    return next.position > position && next.position < end().position ? next : end();
}

FileFetch::Step FileFetch::next(VerifiedRanges& verified) {
    if (phase_ == Phase::kStart) start(verified);
    if (result_) return *result_;
    DLOG_ASSERT(need_.has_value());
    return *need_;
}

void FileFetch::feed(Buffer bytes, VerifiedRanges& verified) {
    DLOG_ASSERT(need_ && !result_ && bytes.size() <= need_->size_bytes, bytes.size());
    is_short_ = bytes.size() < need_->size_bytes;
    chunk_ = std::move(bytes);
    need_.reset();
    go_on(verified);
    DLOG_ASSERT(need_.has_value() != result_.has_value());
}

void FileFetch::go_on(VerifiedRanges& verified) {
    switch (phase_) {
        case Phase::kStart:
            DLOG_UNREACHABLE();
        case Phase::kLocate:
            return locate(verified);
        case Phase::kTake:
            return take(verified);
        case Phase::kResync: {
            const IndexEntry next = next_entry(damage_.position);
            if (chunk_.size() < 2) return end_damage(next, verified);
            const ByteView bytes = chunk_.view().subspan(1);
            const Resync found =
                find_intact_batch(bytes, damage_.first_offset, next.offset, bytes.size());
            if (found.outcome != Resync::Outcome::kFound) return end_damage(next, verified);
            return end_damage({found.offset, damage_.position + 1 + found.position}, verified);
        }
    }
}

void FileFetch::want(std::uint64_t size_bytes) {
    const std::uint64_t left = end().position - at_.position;
    DLOG_ASSERT(left > 0 && at_.position < end().position, at_.position, end().position);
    need_ = NeedBytes{.segment = plan_.segment.base_offset,
                      .position = at_.position,
                      .size_bytes = std::min(size_bytes, left)};
    chunk_ = {};
}

void FileFetch::start(const VerifiedRanges& verified) {
    const Offset from = plan_.request.from;
    IndexEntry at = plan_.scan_from;
    if (plan_.index != nullptr && from >= plan_.index->covers_from().offset) {
        const IndexEntry floor = plan_.index->floor(from);
        if (floor.position > at.position && floor.position < end().position) at = floor;
    }
    const Damage* damage = verified.damage_before(plan_.segment.base_offset, from);
    if (damage != nullptr && damage->end_position > at.position &&
        damage->end_position < end().position) {
        at = {damage->next_offset, damage->end_position};
    }
    search_from(at, verified);
}

void FileFetch::search_from(IndexEntry at, const VerifiedRanges& verified) {
    at_ = at;
    phase_ = Phase::kLocate;
    if (at_.offset == plan_.request.from) {
        phase_ = Phase::kTake;
        if (const auto unread = end_of_unread(verified)) {
            result_ = FileSlice{.segment = plan_.segment.base_offset,
                                .position = at_.position,
                                .size_bytes = unread->position - at_.position,
                                .first_offset = at_.offset,
                                .next_offset = unread->offset};
            return;
        }
        return want(std::clamp<std::uint64_t>(plan_.request.max_bytes, record::kBatchHeaderSize,
                                              kReadBytesMax));
    }
    // The wanted batch begins before the next index entry. When nothing is known of it, what is
    // read to find it is read to serve it too.
    const std::uint64_t step = next_entry(at_.position).position - at_.position;
    const bool is_verified = verified.is_verified(plan_.segment.base_offset, at_.position,
                                                  at_.position + std::min(step, kSearchBytes));
    const std::uint64_t extra = is_verified ? 0 : plan_.request.max_bytes;
    want(std::min(std::min(step, kSearchBytes) + extra, kReadBytesMax));
}

void FileFetch::locate(VerifiedRanges& verified) {
    const Located found = locate_in_bytes(chunk_.view(), at_.offset, plan_.request.from);
    at_ = {found.first_offset, at_.position + found.position};
    switch (found.outcome) {
        case Located::Outcome::kFound:
            chunk_ = chunk_.slice(found.position, chunk_.size() - found.position);
            return begin_take(verified);
        case Located::Outcome::kMoreBytes:
            return want_more(found.bytes_needed, verified);
        case Located::Outcome::kNotHere:
            return want_more(record::kBatchHeaderSize, verified);
        case Located::Outcome::kDamaged:
            return begin_damage(at_, found.reason, verified);
    }
}

/// at_ and chunk_ begin at the wanted batch.
void FileFetch::begin_take(VerifiedRanges& verified) {
    phase_ = Phase::kTake;
    verified.note_boundary(plan_.segment.base_offset, at_);
    const auto unread = end_of_unread(verified);
    if (!unread) return take(verified);
    chunk_ = {};
    finish(unread->position - at_.position, unread->offset, verified);
}

/// The batch at at_ reaches beyond what was read.
void FileFetch::want_more(std::uint64_t needed, VerifiedRanges& verified) {
    const std::uint64_t size_max = next_entry(at_.position).position - at_.position;
    if (is_short_ || at_.position >= end().position || needed > size_max) {
        return begin_damage(at_, DamageReason::kTruncated, verified);
    }
    const auto& request = plan_.request;
    if (phase_ == Phase::kTake && !request.at_least_one && needed > request.max_bytes) {
        return finish(0, at_.offset, verified);
    }
    want(phase_ == Phase::kTake ? needed : std::max(needed, kSearchBytes));
}

/// Where a read from at_ may end without being read here: at an index entry within what has been
/// verified.
std::optional<IndexEntry> FileFetch::end_of_unread(const VerifiedRanges& verified) const {
    if (plan_.index == nullptr) return std::nullopt;
    const auto entry_at = [&](std::uint64_t position) {
        return position >= end().position ? end() : plan_.index->floor_position(position);
    };
    const std::uint64_t verified_end =
        verified.verified_end(plan_.segment.base_offset, at_.position);
    const std::uint64_t position_max =
        at_.position + std::min<std::uint64_t>(plan_.request.max_bytes, end().position);
    const std::uint64_t position = std::min(verified_end, position_max);
    IndexEntry entry = entry_at(position);
    if (entry.position > position && entry != end()) return std::nullopt;
    if (entry.offset > plan_.request.limit) entry = plan_.index->floor(plan_.request.limit);
    if (entry.offset > plan_.request.limit || entry.position > position) return std::nullopt;
    if (entry.position <= at_.position) return std::nullopt;
    return entry;
}

void FileFetch::take(VerifiedRanges& verified) {
    const Offset segment = plan_.segment.base_offset;
    const Verified intact = verify_range(chunk_.view(), at_.offset);
    verified.mark_verified(segment, at_.position, at_.position + intact.size_bytes);
    if (intact.size_bytes == 0) {
        switch (intact.stop) {
            case BatchWalker::Stop::kDamaged:
                return begin_damage(at_, intact.reason, verified);
            case BatchWalker::Stop::kMoreBytes:
                return want_more(intact.bytes_needed, verified);
            default:
                return want_more(record::kBatchHeaderSize, verified);
        }
    }
    const Cut cut = cut_batches(chunk_.view().first(intact.size_bytes),
                                {.expected = at_.offset,
                                 .limit = plan_.request.limit,
                                 .max_bytes = plan_.request.max_bytes,
                                 .at_least_one = plan_.request.at_least_one});
    chunk_ = chunk_.slice(0, cut.size_bytes);
    finish(cut.size_bytes, cut.next_offset, verified);
}

void FileFetch::finish(std::uint64_t size_bytes, Offset next_offset, VerifiedRanges& verified) {
    const Offset segment = plan_.segment.base_offset;
    if (size_bytes > 0) {
        verified.note_boundary(segment, {next_offset, at_.position + size_bytes});
    }
    result_ = FileSlice{.segment = segment,
                        .position = at_.position,
                        .size_bytes = size_bytes,
                        .first_offset = at_.offset,
                        .next_offset = next_offset,
                        .bytes = chunk_.size() == size_bytes ? std::move(chunk_) : Buffer()};
}

void FileFetch::begin_damage(IndexEntry at, DamageReason reason, VerifiedRanges& verified) {
    at_ = at;
    damage_ = {.segment = plan_.segment.base_offset,
               .position = at.position,
               .first_offset = at.offset,
               .reason = reason};
    const IndexEntry next = next_entry(at.position);
    phase_ = Phase::kResync;
    is_short_ = false;
    const std::uint64_t size = next.position - at.position;
    if (size < 2 || size > kResyncBytesMax) return end_damage(next, verified);
    want(size);
}

void FileFetch::end_damage(IndexEntry end_entry, VerifiedRanges& verified) {
    damage_.end_position = end_entry.position;
    damage_.next_offset = std::max(end_entry.offset, damage_.first_offset);
    verified.note_damage(damage_);
    if (damage_.next_offset > plan_.request.from || end_entry.position >= end().position) {
        result_ = damage_;
        return;
    }
    // The wanted batch lies behind the damage.
    search_from(end_entry, verified);
}

}  // namespace dlog::storage
