#include "storage/scanner.h"

#include <algorithm>

#include "base/assert.h"
#include "storage/batches.h"

namespace dlog::storage {
namespace {

constexpr std::size_t kFirstReadBytes = std::size_t{64} << 10;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr Offset kUnknownEnd{INT64_MAX};

}  // namespace

SegmentScanner::SegmentScanner(Offset segment, IndexEntry from, IndexEntry end)
    : segment_(segment),
      // Indexes hold 32-bit distances.
      end_{std::min(end.offset, segment + UINT32_MAX),
           std::min<std::uint64_t>(end.position, UINT32_MAX)},
      is_end_known_(end.offset != kUnknownEnd),
      begin_(from.position),
      position_(from.position),
      expected_(from.offset),
      intact_to_(from) {
    DLOG_ASSERT(from.position <= end_.position, from.position, end_.position);
    is_at_end_ = position_ == end_.position;
    is_done_ = is_at_end_;
    if (!is_done_) static_cast<void>(ask(kFirstReadBytes));
}

std::optional<NeedBytes> SegmentScanner::need() const {
    return is_done_ ? std::nullopt : need_;
}

std::optional<SegmentScanner::Event> SegmentScanner::ask(std::size_t size_bytes) {
    const std::uint64_t left = end_.position - position_;
    need_ = NeedBytes{.segment = segment_,
                      .position = position_,
                      .size_bytes = std::min<std::uint64_t>(size_bytes, left)};
    return std::nullopt;
}

void SegmentScanner::feed(ByteView bytes) {
    DLOG_ASSERT(need_ && !is_done_ && bytes.size() <= need_->size_bytes, bytes.size());
    bytes_ = bytes;
    bytes_at_ = need_->position;
    const std::uint64_t bytes_end = bytes_at_ + bytes.size();
    if (bytes.size() < need_->size_bytes) end_.position = bytes_end;
    is_at_end_ = bytes_end == end_.position;
    need_.reset();
}

ByteView SegmentScanner::rest() const {
    DLOG_ASSERT(position_ >= bytes_at_ && position_ - bytes_at_ <= bytes_.size(), position_);
    return bytes_.subspan(position_ - bytes_at_);
}

std::optional<SegmentScanner::Event> SegmentScanner::next() {
    if (is_done_ || need_) return std::nullopt;
    if (!is_damaged_) {
        if (auto event = next_batch()) return event;
        if (is_done_ || need_) return std::nullopt;
    }
    return next_after_damage();
}

std::optional<SegmentScanner::Event> SegmentScanner::next_batch() {
    const ByteView bytes = rest();
    BatchWalker walker(bytes, expected_, CrcCheck::kYes);
    auto reason = DamageReason::kBadOffset;
    const auto item = walker.next();
    if (item && item->header.next_offset() <= end_.offset) {
        const Batch batch{.place = {.base_offset = item->header.base_offset,
                                    .next_offset = item->header.next_offset(),
                                    .position = position_,
                                    .size_bytes = item->bytes.size(),
                                    .max_timestamp = item->header.max_timestamp},
                          .header = item->header};
        position_ += item->bytes.size();
        expected_ = batch.place.next_offset;
        intact_to_ = {expected_, position_};
        return batch;
    }
    if (!item) {
        if (walker.stop() == BatchWalker::Stop::kEnd && is_at_end_) {
            is_done_ = true;
            return std::nullopt;
        }
        if (walker.stop() == BatchWalker::Stop::kEnd) return ask(kReadBytes);
        if (walker.stop() == BatchWalker::Stop::kMoreBytes && !is_at_end_ &&
            walker.bytes_needed() <= end_.position - position_) {
            return ask(std::max(kReadBytes, std::min(walker.bytes_needed(), 2 * bytes.size())));
        }
        reason = walker.damage_reason();
    }
    is_damaged_ = true;
    damage_position_ = position_;
    damage_reason_ = reason;
    return std::nullopt;
}

Damage SegmentScanner::damage_to(std::uint64_t position, Offset next_offset) const {
    return {.segment = segment_,
            .position = damage_position_,
            .end_position = position,
            .first_offset = expected_,
            .next_offset = next_offset,
            .reason = damage_reason_};
}

std::optional<SegmentScanner::Event> SegmentScanner::next_after_damage() {
    // The damaged batch itself is not looked at again.
    const std::size_t skip = position_ == damage_position_ ? 1 : 0;
    ByteView bytes = rest();
    bytes = bytes.subspan(std::min(skip, bytes.size()));
    const std::uint64_t begin = position_ + skip;
    const std::uint64_t left = end_.position > begin ? end_.position - begin : 0;
    const Resync found = find_intact_batch(bytes, expected_, end_.offset, left);
    switch (found.outcome) {
        case Resync::Outcome::kFound: {
            position_ = begin + found.position;
            const Damage damage = damage_to(position_, found.offset);
            expected_ = found.offset;
            is_damaged_ = false;
            return damage;
        }
        case Resync::Outcome::kMoreBytes:
            if (!is_at_end_) {
                position_ = begin + found.position;
                const std::size_t have = bytes.size() - found.position;
                return ask(std::max(kReadBytes, std::min(found.bytes_needed, 2 * have)));
            }
            break;
        case Resync::Outcome::kNone:
            if (!is_at_end_) {
                position_ = begin + found.position;
                return ask(kReadBytes);
            }
            break;
    }
    position_ = end_.position;
    is_done_ = true;
    return damage_to(position_, is_end_known_ ? end_.offset : expected_);
}

IndexBuilder::IndexBuilder(SegmentIndex index, IndexEntry end, std::int64_t interval_bytes)
    : index_(std::move(index)),
      end_(end),
      interval_bytes_(interval_bytes),
      scanner_(index_.base_offset(), index_.covers_to(), end) {}

void IndexBuilder::feed(ByteView bytes) {
    scanner_.feed(bytes);
    while (const auto event = scanner_.next()) {
        if (const auto* batch = std::get_if<SegmentScanner::Batch>(&*event)) {
            index_.add(batch->place, interval_bytes_);
            continue;
        }
        const Damage& damage = std::get<Damage>(*event);
        damages_.push_back(damage);
        if (damage.end_position < end_.position) {
            index_.skip_to({damage.next_offset, damage.end_position});
        }
    }
    // Whatever is at the end of the file, the index speaks for the whole segment.
    if (!scanner_.need() && index_.covers_to() != end_) index_.skip_to(end_);
}

}  // namespace dlog::storage
