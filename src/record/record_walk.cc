/// The walk: a lean loop for the records that most batches are made of, and a general step for the
/// others.
#include "record/record_walk.h"

#include "codec/varint.h"
#include "record/record_format.h"

namespace dlog::record {

namespace {

/// The loop reads up to this many bytes beyond a record's start without asking.
constexpr std::ptrdiff_t kSlackBytes = 16;
/// Deltas of the loop stay below this, so that a base timestamp this far from 0 and from the end
/// cannot wrap or make "no timestamp".
constexpr std::int64_t kPlainDeltaMax = std::int64_t{1} << 21;

/// Takes a number of up to three bytes off the low end of `word`; false when it is longer.
[[gnu::always_inline]] inline bool take(std::uint64_t& word, unsigned& taken, std::uint64_t& bits) {
    if ((word & 0x80) == 0) {
        bits = word & 0x7f;
        word >>= 8;
        taken += 1;
        return true;
    }
    if ((word & 0x8000) == 0) {
        bits = (word & 0x7f) | ((word & 0x7f00) >> 1);
        word >>= 16;
        taken += 2;
        return true;
    }
    if ((word & 0x80'0000) == 0) {
        bits = (word & 0x7f) | ((word & 0x7f00) >> 1) | ((word & 0x7f'0000) >> 2);
        word >>= 24;
        taken += 3;
        return true;
    }
    return false;
}

/// The bytes that follow a size on the wire: a null has none.
[[gnu::always_inline]] inline std::uint64_t plain_size(std::uint64_t bits) {
    return (bits & 1) != 0 ? 0 : bits >> 1;
}

}  // namespace

/// Walks records as long as they are plain: a body below 8 KiB, small deltas, and room behind them.
/// It stops before any other record, good or bad, which the general step then judges.
const std::uint8_t* walk_plain(const std::uint8_t* at, const std::uint8_t* end, std::int32_t count,
                               Tally& tally) {
    const std::int64_t base = tally.base_timestamp_;
    if (base < kPlainDeltaMax || base > INT64_MAX - kPlainDeltaMax) return at;
    auto index = static_cast<std::uint64_t>(tally.record_count_);
    const auto index_end = static_cast<std::uint64_t>(count);
    const bool needs_keys = tally.needs_keys_;
    std::int64_t min_delta = kPlainDeltaMax;
    std::int64_t max_delta = -kPlainDeltaMax;
    while (index < index_end && end - at >= kSlackBytes) {
        auto word = load_little_endian<std::uint64_t>(at);
        unsigned taken = 0;
        std::uint64_t size = 0;
        if (!take(word, taken, size) || (size & 1) != 0) break;
        const std::uint8_t* const body = at + taken;
        const std::uint64_t body_bytes = size >> 1;
        if (body_bytes > static_cast<std::uint64_t>(end - body)) break;

        // The deltas and the key's size, at most 3 + 3 + 2 bytes behind the attributes.
        word = load_little_endian<std::uint64_t>(body + 1);
        taken = 1;
        std::uint64_t timestamp_bits = 0;
        std::uint64_t offset_bits = 0;
        std::uint64_t key_bits = 0;
        if (!take(word, taken, timestamp_bits) || !take(word, taken, offset_bits) ||
            !take(word, taken, key_bits) || taken > 1 + sizeof word) {
            break;
        }
        if (offset_bits != index * 2) break;
        if (needs_keys && (key_bits & 1) != 0) break;
        std::uint64_t position = taken + plain_size(key_bits);
        if (position + 2 > body_bytes) break;  // a value's size and a header count
        std::uint64_t value_bits = body[position++];
        if (value_bits >= 0x80) {
            if (body[position] >= 0x80) break;
            value_bits = (value_bits & 0x7f) | (std::uint64_t{body[position]} << 7);
            ++position;
        }
        position += plain_size(value_bits);
        if (position + 1 != body_bytes || body[position] != 0) {
            if (position >= body_bytes || body[position] >= 0x80 || (body[position] & 1) != 0 ||
                !headers_are_whole(body + position + 1, body + body_bytes, body[position] >> 1)) {
                break;
            }
        }
        const std::int64_t delta = codec::un_zig_zag(timestamp_bits);
        min_delta = std::min(min_delta, delta);
        max_delta = std::max(max_delta, delta);
        ++index;
        at = body + body_bytes;
    }
    if (index != static_cast<std::uint64_t>(tally.record_count_)) {
        tally.record_count_ = static_cast<std::int32_t>(index);
        tally.add_timestamp(base + min_delta);
        tally.add_timestamp(base + max_delta);
    }
    return at;
}

Result<const std::uint8_t*> walk_records(const std::uint8_t* at, const std::uint8_t* end,
                                         std::int32_t count, Tally& tally) {
    while (true) {
        at = walk_plain(at, end, count, tally);
        if (tally.record_count() == count || at == end) return at;
        std::int32_t size = 0;
        const std::uint8_t* body = codec::read_varint(at, end, size);
        if (body == nullptr) {
            if (end - at < static_cast<std::ptrdiff_t>(codec::kVarintBytesMax)) return at;
            return unexpected(Error::kCorruptRecord);
        }
        if (size < 0) return unexpected(Error::kCorruptRecord);
        if (size > end - body) return at;
        RecordFields fields;
        if (!read_record_body(body, body + size, fields)) {
            return unexpected(Error::kCorruptRecord);
        }
        DLOG_TRY(tally.add(fields.timestamp_delta, fields.offset_delta, fields.key_size));
        at = body + size;
    }
}

}  // namespace dlog::record
