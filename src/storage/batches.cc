#include "storage/batches.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::storage {

std::optional<BatchWalker::Item> BatchWalker::stop_at(Stop stop, DamageReason reason) {
    DLOG_ASSERT(stop != Stop::kNone);
    stop_ = stop;
    reason_ = reason;
    return std::nullopt;
}

std::optional<BatchWalker::Item> BatchWalker::next() {
    if (stop_ != Stop::kNone) return std::nullopt;
    const ByteView rest = bytes_.subspan(position_);
    if (rest.empty()) return stop_at(Stop::kEnd, DamageReason::kTruncated);
    if (rest.size() < record::kBatchHeaderSize) {
        needed_ = record::kBatchHeaderSize;
        return stop_at(Stop::kMoreBytes, DamageReason::kTruncated);
    }
    const auto header = record::read_batch_header(rest);
    if (!header || header->size_bytes() > kBatchBytesMax) {
        return stop_at(Stop::kDamaged, DamageReason::kBadHeader);
    }
    if (header->base_offset != expected_ || header->base_offset > kOffsetMax) {
        return stop_at(Stop::kDamaged, DamageReason::kBadOffset);
    }
    if (rest.size() < header->size_bytes()) {
        needed_ = header->size_bytes();
        return stop_at(Stop::kMoreBytes, DamageReason::kTruncated);
    }
    const ByteView batch = rest.first(header->size_bytes());
    if (crc_ == CrcCheck::kYes && !record::verify_crc(batch)) {
        return stop_at(Stop::kDamaged, DamageReason::kBadCrc);
    }
    const Item item{.bytes = batch, .header = *header, .position = position_};
    position_ += batch.size();
    expected_ = header->next_offset();
    return item;
}

Located locate_in_bytes(ByteView bytes, Offset expected, Offset wanted) {
    BatchWalker walker(bytes, expected, CrcCheck::kNo);
    while (const auto item = walker.next()) {
        if (item->header.next_offset() > wanted) {
            return {.outcome = Located::Outcome::kFound,
                    .position = item->position,
                    .bytes_needed = item->bytes.size(),
                    .first_offset = item->header.base_offset};
        }
    }
    Located located{.position = walker.position(), .first_offset = walker.expected()};
    switch (walker.stop()) {
        case BatchWalker::Stop::kNone:
            DLOG_UNREACHABLE();
        case BatchWalker::Stop::kEnd:
            located.outcome = Located::Outcome::kNotHere;
            break;
        case BatchWalker::Stop::kMoreBytes:
            located.outcome = Located::Outcome::kMoreBytes;
            located.bytes_needed = walker.bytes_needed();
            break;
        case BatchWalker::Stop::kDamaged:
            located.outcome = Located::Outcome::kDamaged;
            located.reason = walker.damage_reason();
            break;
    }
    return located;
}

Verified verify_range(ByteView bytes, Offset expected) {
    BatchWalker walker(bytes, expected, CrcCheck::kYes);
    while (walker.next()) {
    }
    return {.size_bytes = walker.position(),
            .next_offset = walker.expected(),
            .bytes_needed = walker.bytes_needed(),
            .stop = walker.stop(),
            .reason = walker.damage_reason()};
}

Cut cut_batches(ByteView bytes, const CutLimits& limits) {
    Cut cut{.next_offset = limits.expected};
    BatchWalker walker(bytes, limits.expected, CrcCheck::kNo);
    while (const auto item = walker.next()) {
        if (item->header.next_offset() > limits.limit) break;
        const std::size_t size = cut.size_bytes + item->bytes.size();
        const bool is_first = cut.size_bytes == 0;
        if (size > limits.max_bytes && !(is_first && limits.at_least_one)) break;
        cut = {.size_bytes = size, .next_offset = item->header.next_offset()};
    }
    return cut;
}

Resync find_intact_batch(ByteView bytes, Offset low, Offset high, std::uint64_t size_max) {
    std::size_t at = 0;
    for (; at + record::kBatchHeaderSize <= bytes.size(); ++at) {
        if (bytes[at + record::kMagicAt] != record::kMagic) continue;
        const ByteView rest = bytes.subspan(at);
        const auto header = record::read_batch_header(rest);
        if (!header || at + header->size_bytes() > size_max) continue;
        // Only what a walk from here accepts: otherwise the batch found would be damage again.
        if (header->size_bytes() > kBatchBytesMax || header->base_offset > kOffsetMax) continue;
        if (header->base_offset < low || header->next_offset() > high) continue;
        if (header->size_bytes() > rest.size()) {
            return {.outcome = Resync::Outcome::kMoreBytes,
                    .position = at,
                    .bytes_needed = header->size_bytes()};
        }
        if (!record::verify_crc(rest.first(header->size_bytes()))) continue;
        return {.outcome = Resync::Outcome::kFound, .position = at, .offset = header->base_offset};
    }
    return {.position = at};
}

}  // namespace dlog::storage
