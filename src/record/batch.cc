/// Reading, checking and patching a batch's header.
#include "record/batch.h"

#include "base/assert.h"
#include "base/result.h"
#include "codec/crc32c.h"

namespace dlog::record {

namespace {

/// Patches take a batch that was read before.
void assert_is_batch(ByteView batch) {
    DLOG_ASSERT(batch.size() >= kBatchHeaderSize, batch.size());
    DLOG_ASSERT(load_big_endian<std::int32_t>(batch.data() + kBatchLengthAt) +
                        static_cast<std::int64_t>(kLogOverhead) ==
                    static_cast<std::int64_t>(batch.size()),
                batch.size());
}

void write_crc(MutableBytes batch) {
    store_big_endian(batch.data() + kCrcAt, codec::crc32c(batch.subspan(kCrcCoversFrom)));
}

BatchHeader load_header(const std::uint8_t* at) {
    return {
        .base_offset = Offset(load_big_endian<std::int64_t>(at + kBaseOffsetAt)),
        .batch_length = load_big_endian<std::int32_t>(at + kBatchLengthAt),
        .leader_epoch = LeaderEpoch(load_big_endian<std::int32_t>(at + kLeaderEpochAt)),
        .magic = load_big_endian<std::int8_t>(at + kMagicAt),
        .crc = load_big_endian<std::uint32_t>(at + kCrcAt),
        .attributes = load_big_endian<std::uint16_t>(at + kAttributesAt),
        .last_offset_delta = load_big_endian<std::int32_t>(at + kLastOffsetDeltaAt),
        .base_timestamp = Timestamp{load_big_endian<std::int64_t>(at + kBaseTimestampAt)},
        .max_timestamp = Timestamp{load_big_endian<std::int64_t>(at + kMaxTimestampAt)},
        .producer_id = ProducerId(load_big_endian<std::int64_t>(at + kProducerIdAt)),
        .producer_epoch = ProducerEpoch(load_big_endian<std::int16_t>(at + kProducerEpochAt)),
        .base_sequence = load_big_endian<std::int32_t>(at + kBaseSequenceAt),
        .record_count = load_big_endian<std::int32_t>(at + kRecordCountAt),
    };
}

}  // namespace

Result<BatchHeader> read_batch_header(ByteView bytes) {
    constexpr std::int32_t kLengthMin = kBatchHeaderSize - kLogOverhead;
    // The magic lies at the same place in every message format, and the old ones have shorter
    // headers.
    if (bytes.size() <= kMagicAt) return unexpected(Error::kTruncated);
    const auto magic = static_cast<std::int8_t>(bytes[kMagicAt]);
    if (magic != kMagic) {
        return unexpected(magic == 0 || magic == 1 ? Error::kOldMagic : Error::kUnknownMagic);
    }
    if (bytes.size() < kBatchHeaderSize) return unexpected(Error::kTruncated);
    const BatchHeader header = load_header(bytes.data());
    if (header.batch_length < kLengthMin) return unexpected(Error::kBadLength);
    if (!codec::compression_of_id(header.attributes & kCompressionMask)) {
        return unexpected(Error::kBadAttributes);
    }
    if (header.record_count < 0 || header.last_offset_delta < 0) {
        return unexpected(Error::kBadCount);
    }
    return header;
}

Result<std::size_t> read_batch_size(ByteView bytes) {
    if (bytes.size() < kLogOverhead) return unexpected(Error::kTruncated);
    const auto length = load_big_endian<std::int32_t>(bytes.data() + kBatchLengthAt);
    if (length <= 0) return unexpected(Error::kBadLength);
    return static_cast<std::size_t>(length) + kLogOverhead;
}

Result<void> verify_crc(ByteView batch) {
    DLOG_ASSERT(batch.size() >= kBatchHeaderSize, batch.size());
    const auto stored = load_big_endian<std::uint32_t>(batch.data() + kCrcAt);
    if (codec::crc32c(batch.subspan(kCrcCoversFrom)) != stored) return unexpected(Error::kBadCrc);
    return {};
}

void set_base_offset(MutableBytes batch, Offset offset) {
    DLOG_ASSERT(batch.size() >= kBatchHeaderSize && offset.value >= 0, batch.size(), offset);
    store_big_endian(batch.data() + kBaseOffsetAt, offset.value);
}

void set_leader_epoch(MutableBytes batch, LeaderEpoch epoch) {
    DLOG_ASSERT(batch.size() >= kBatchHeaderSize, batch.size());
    store_big_endian(batch.data() + kLeaderEpochAt, epoch.value);
}

void set_log_append_time(MutableBytes batch, Timestamp now) {
    assert_is_batch(batch);
    const auto attributes = load_big_endian<std::uint16_t>(batch.data() + kAttributesAt);
    store_big_endian(batch.data() + kAttributesAt,
                     static_cast<std::uint16_t>(attributes | kLogAppendTimeBit));
    store_big_endian(batch.data() + kMaxTimestampAt, now.ms);
    write_crc(batch);
}

void set_max_timestamp(MutableBytes batch, Timestamp max_timestamp) {
    assert_is_batch(batch);
    store_big_endian(batch.data() + kMaxTimestampAt, max_timestamp.ms);
    write_crc(batch);
}

Result<std::optional<BatchSplitter::Item>> BatchSplitter::next() {
    if (rest_.empty()) return std::optional<Item>{};
    DLOG_TRY_ASSIGN(const BatchHeader header, read_batch_header(rest_));
    if (header.size_bytes() > rest_.size()) return unexpected(Error::kTruncated);
    const Item item{.bytes = rest_.first(header.size_bytes()), .header = header};
    rest_ = rest_.subspan(header.size_bytes());
    return std::optional<Item>{item};
}

}  // namespace dlog::record
