/// Building batches.
#include "record/builder.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/result.h"
#include "codec/crc32c.h"
#include "codec/varint.h"
#include "record/codec_error.h"

namespace dlog::record {

namespace {

/// What a builder begins with when nobody has reserved more.
constexpr std::size_t kFirstBlockBytes = 256;

std::int32_t size_or_null(const std::optional<ByteView>& bytes) {
    if (!bytes) return -1;
    DLOG_ASSERT(bytes->size() <= INT32_MAX, bytes->size());
    return static_cast<std::int32_t>(bytes->size());
}

std::size_t sized_bytes(const std::optional<ByteView>& bytes) {
    return codec::varint_size(size_or_null(bytes)) + (bytes ? bytes->size() : 0);
}

std::uint8_t* write_sized(std::uint8_t* at, const std::optional<ByteView>& bytes) {
    at = codec::write_varint(at, size_or_null(bytes));
    return bytes ? std::copy(bytes->begin(), bytes->end(), at) : at;
}

/// Fills in the header of a whole batch whose records lie in their place. All fields but length and
/// CRC are those of `header`.
void write_header(MutableBytes batch, const BatchHeader& header) {
    DLOG_ASSERT(batch.size() - kLogOverhead <= INT32_MAX, batch.size());
    std::uint8_t* const at = batch.data();
    store_big_endian(at + kBaseOffsetAt, header.base_offset.value);
    store_big_endian(at + kBatchLengthAt, static_cast<std::int32_t>(batch.size() - kLogOverhead));
    store_big_endian(at + kLeaderEpochAt, header.leader_epoch.value);
    store_big_endian(at + kMagicAt, kMagic);
    store_big_endian(at + kAttributesAt, header.attributes);
    store_big_endian(at + kLastOffsetDeltaAt, header.last_offset_delta);
    store_big_endian(at + kBaseTimestampAt, header.base_timestamp.ms);
    store_big_endian(at + kMaxTimestampAt, header.max_timestamp.ms);
    store_big_endian(at + kProducerIdAt, header.producer_id.value);
    store_big_endian(at + kProducerEpochAt, header.producer_epoch.value);
    store_big_endian(at + kBaseSequenceAt, header.base_sequence);
    store_big_endian(at + kRecordCountAt, header.record_count);
    store_big_endian(at + kCrcAt, codec::crc32c(batch.subspan(kCrcCoversFrom)));
}

/// Lays `records` behind a header.
Buffer assemble(const BatchHeader& header, ByteView records) {
    Buffer batch = Buffer::allocate(kBatchHeaderSize + records.size());
    std::copy(records.begin(), records.end(), batch.mutable_data() + kBatchHeaderSize);
    write_header(batch.mutable_view(), header);
    return batch;
}

/// `records` as a batch of that codec holds them: in `storage` when they had to be compressed.
Result<ByteView> compressed_records(ByteView records, Compression compression,
                                    std::optional<int> level, std::vector<std::uint8_t>& storage) {
    if (compression == Compression::kNone) return records;
    const auto done = codec::compress(compression, records, level, storage);
    if (!done) return unexpected(from_codec(done.error()));
    return ByteView(storage);
}

/// Hostile timestamps wrap, as they do in Kafka.
std::int64_t difference(Timestamp a, Timestamp b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a.ms) -
                                     static_cast<std::uint64_t>(b.ms));
}

struct RecordContent {
    std::int64_t timestamp_delta = 0;
    std::int32_t offset_delta = 0;
    std::optional<ByteView> key;
    std::optional<ByteView> value;
    std::span<const RecordHeader> headers;
};

/// What follows the record's length.
std::int32_t body_size_of(const RecordContent& record) {
    DLOG_ASSERT(record.headers.size() <= INT32_MAX, record.headers.size());
    const auto header_count = static_cast<std::int32_t>(record.headers.size());
    std::size_t body = 1 + codec::varlong_size(record.timestamp_delta) +
                       codec::varint_size(record.offset_delta) + sized_bytes(record.key) +
                       sized_bytes(record.value) + codec::varint_size(header_count);
    for (const RecordHeader& header : record.headers) {
        body += sized_bytes(header.key) + sized_bytes(header.value);
    }
    DLOG_ASSERT(body <= INT32_MAX, body);
    return static_cast<std::int32_t>(body);
}

/// Returns the end of what it wrote.
std::uint8_t* write_record(std::uint8_t* at, std::int32_t body_size, const RecordContent& record) {
    at = codec::write_varint(at, body_size);
    *at++ = 0;  // the record's attributes
    at = codec::write_varlong(at, record.timestamp_delta);
    at = codec::write_varint(at, record.offset_delta);
    at = write_sized(at, record.key);
    at = write_sized(at, record.value);
    at = codec::write_varint(at, static_cast<std::int32_t>(record.headers.size()));
    for (const RecordHeader& header : record.headers) {
        at = write_sized(at, header.key);
        at = write_sized(at, header.value);
    }
    return at;
}

}  // namespace

void BatchBuilder::reserve(std::size_t size_bytes) {
    if (size_bytes <= block_.size()) return;
    Buffer grown = Buffer::allocate(size_bytes);
    if (!block_.empty()) std::memcpy(grown.mutable_data(), block_.data(), used_);
    block_ = std::move(grown);
}

void BatchBuilder::set_producer(ProducerId id, ProducerEpoch epoch, std::int32_t base_sequence) {
    spec_.producer_id = id;
    spec_.producer_epoch = epoch;
    spec_.base_sequence = base_sequence;
}

void BatchBuilder::append(Timestamp timestamp, std::optional<ByteView> key,
                          std::optional<ByteView> value, std::span<const RecordHeader> headers) {
    DLOG_ASSERT(record_count_ < INT32_MAX);
    if (record_count_ == 0) base_timestamp_ = timestamp;
    max_timestamp_ = std::max(max_timestamp_, timestamp);
    const RecordContent record{.timestamp_delta = difference(timestamp, base_timestamp_),
                               .offset_delta = record_count_,
                               .key = key,
                               .value = value,
                               .headers = headers};
    const std::int32_t body_size = body_size_of(record);
    const std::size_t end =
        used_ + codec::varint_size(body_size) + static_cast<std::size_t>(body_size);
    if (end > block_.size()) reserve(std::max({end, block_.size() * 2, kFirstBlockBytes}));
    const std::uint8_t* const at = write_record(block_.mutable_data() + used_, body_size, record);
    DLOG_ASSERT(at == block_.data() + end);
    used_ = end;
    ++record_count_;
}

Result<Buffer> BatchBuilder::build() {
    DLOG_ASSERT(record_count_ > 0);
    std::vector<std::uint8_t> storage;
    const ByteView plain = block_.view().first(used_).subspan(kBatchHeaderSize);
    DLOG_TRY_ASSIGN(const ByteView records,
                    compressed_records(plain, spec_.compression, spec_.level, storage));
    auto attributes = static_cast<std::uint16_t>(spec_.compression);
    if (spec_.log_append_time) attributes |= kLogAppendTimeBit;
    if (spec_.is_transactional) attributes |= kTransactionalBit;
    if (spec_.is_control) attributes |= kControlBit;
    const BatchHeader header{.base_offset = spec_.base_offset,
                             .leader_epoch = spec_.leader_epoch,
                             .attributes = attributes,
                             .last_offset_delta = record_count_ - 1,
                             .base_timestamp = base_timestamp_,
                             .max_timestamp = spec_.log_append_time.value_or(max_timestamp_),
                             .producer_id = spec_.producer_id,
                             .producer_epoch = spec_.producer_epoch,
                             .base_sequence = spec_.base_sequence,
                             .record_count = record_count_};
    Buffer batch;
    // A block that is mostly empty is not kept for the batch in it.
    if (spec_.compression == Compression::kNone && used_ >= block_.size() / 4 * 3) {
        batch = std::exchange(block_, Buffer()).slice(0, used_);
        write_header(batch.mutable_view(), header);
    } else {
        batch = assemble(header, records);
    }
    used_ = kBatchHeaderSize;
    record_count_ = 0;
    base_timestamp_ = kNoTimestamp;
    max_timestamp_ = kNoTimestamp;
    return batch;
}

Result<Buffer> recompress(ByteView batch, Compression target, std::optional<int> level,
                          ReaderScratch& scratch) {
    DLOG_TRY_ASSIGN(BatchHeader header, read_batch_header(batch));
    if (header.size_bytes() > batch.size()) return unexpected(Error::kTruncated);
    ByteView records = batch.first(header.size_bytes()).subspan(kBatchHeaderSize);
    if (header.is_compressed()) {
        const auto done = codec::decompress_all(scratch.decompressor, header.compression(), records,
                                                scratch.decompressed_bytes_max, scratch.bytes);
        if (!done) return unexpected(from_codec(done.error()));
        records = scratch.bytes;
    }
    std::vector<std::uint8_t> storage;
    DLOG_TRY_ASSIGN(records, compressed_records(records, target, level, storage));
    header.attributes = static_cast<std::uint16_t>((header.attributes & ~kCompressionMask) |
                                                   static_cast<unsigned>(target));
    return assemble(header, records);
}

namespace {

void append_record(std::vector<std::uint8_t>& records, const RecordContent& record) {
    const std::int32_t body_size = body_size_of(record);
    const std::size_t start = records.size();
    records.resize(start + codec::varint_size(body_size) + static_cast<std::size_t>(body_size));
    const std::uint8_t* const end = write_record(records.data() + start, body_size, record);
    DLOG_ASSERT(end == records.data() + records.size());
}

}  // namespace

Result<Buffer> rebuild(const BatchHeader& header, std::span<const Record> records,
                       std::optional<Timestamp> delete_horizon) {
    DLOG_ASSERT(records.size() <= INT32_MAX, records.size());
    BatchHeader rebuilt = header;
    rebuilt.record_count = static_cast<std::int32_t>(records.size());
    rebuilt.attributes &= static_cast<std::uint16_t>(~kDeleteHorizonBit);
    if (records.empty()) {
        rebuilt.attributes &= static_cast<std::uint16_t>(~kCompressionMask);
        rebuilt.base_timestamp = kNoTimestamp;
        rebuilt.max_timestamp = kNoTimestamp;
        return assemble(rebuilt, {});
    }
    if (delete_horizon) {
        rebuilt.attributes |= kDeleteHorizonBit;
        rebuilt.base_timestamp = *delete_horizon;
    }
    rebuilt.max_timestamp = kNoTimestamp;
    std::vector<std::uint8_t> plain;
    std::vector<RecordHeader> headers;
    for (const Record& record : records) {
        const std::int64_t offset_delta = record.offset.since(header.base_offset);
        DLOG_ASSERT(offset_delta >= 0 && offset_delta <= header.last_offset_delta, offset_delta);
        rebuilt.max_timestamp = std::max(rebuilt.max_timestamp, record.timestamp);
        headers.clear();
        for (RecordHeaders left = record.headers; left.count() > 0;) headers.push_back(left.next());
        append_record(plain,
                      {.timestamp_delta = difference(record.timestamp, rebuilt.base_timestamp),
                       .offset_delta = static_cast<std::int32_t>(offset_delta),
                       .key = record.key,
                       .value = record.value,
                       .headers = headers});
    }
    std::vector<std::uint8_t> storage;
    DLOG_TRY_ASSIGN(const ByteView stored,
                    compressed_records(plain, header.compression(), std::nullopt, storage));
    return assemble(rebuilt, stored);
}

Buffer make_empty_batch(Offset first, Offset next, LeaderEpoch epoch) {
    DLOG_ASSERT(first < next && next.since(first) - 1 <= INT32_MAX, first, next);
    return assemble({.base_offset = first,
                     .leader_epoch = epoch,
                     .last_offset_delta = static_cast<std::int32_t>(next.since(first) - 1),
                     .base_timestamp = kNoTimestamp,
                     .max_timestamp = kNoTimestamp,
                     .producer_id = kNoProducer,
                     .producer_epoch = kNoProducerEpoch,
                     .base_sequence = kNoSequence},
                    {});
}

}  // namespace dlog::record
