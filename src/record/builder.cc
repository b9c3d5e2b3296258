/// Building batches.
#include "record/builder.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/result.h"
#include "codec/crc32c.h"
#include "codec/varint.h"
#include "record/codec_error.h"

namespace dlog::record {

namespace {

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

/// Lays `records` behind the header whose fields, but length and CRC, `header` gives.
Buffer assemble(const BatchHeader& header, ByteView records) {
    const std::size_t size = kBatchHeaderSize + records.size();
    DLOG_ASSERT(size - kLogOverhead <= INT32_MAX, size);
    Buffer buffer = Buffer::allocate(size);
    std::uint8_t* at = buffer.mutable_data();
    store_big_endian(at + kBaseOffsetAt, header.base_offset.value);
    store_big_endian(at + kBatchLengthAt, static_cast<std::int32_t>(size - kLogOverhead));
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
    std::copy(records.begin(), records.end(), at + kBatchHeaderSize);
    store_big_endian(at + kCrcAt, codec::crc32c(buffer.view().subspan(kCrcCoversFrom)));
    return buffer;
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
    std::optional<ByteView> key;
    std::optional<ByteView> value;
    std::span<const RecordHeader> headers;
};

void append_record(std::vector<std::uint8_t>& records, std::int64_t timestamp_delta,
                   std::int32_t offset_delta, const RecordContent& record) {
    DLOG_ASSERT(record.headers.size() <= INT32_MAX, record.headers.size());
    const auto header_count = static_cast<std::int32_t>(record.headers.size());
    std::size_t body = 1 + codec::varlong_size(timestamp_delta) + codec::varint_size(offset_delta) +
                       sized_bytes(record.key) + sized_bytes(record.value) +
                       codec::varint_size(header_count);
    for (const RecordHeader& header : record.headers) {
        body += sized_bytes(header.key) + sized_bytes(header.value);
    }
    DLOG_ASSERT(body <= INT32_MAX, body);
    const auto body_size = static_cast<std::int32_t>(body);

    const std::size_t start = records.size();
    records.resize(start + codec::varint_size(body_size) + body);
    std::uint8_t* at = codec::write_varint(records.data() + start, body_size);
    *at++ = 0;  // the record's attributes
    at = codec::write_varlong(at, timestamp_delta);
    at = codec::write_varint(at, offset_delta);
    at = write_sized(at, record.key);
    at = write_sized(at, record.value);
    at = codec::write_varint(at, header_count);
    for (const RecordHeader& header : record.headers) {
        at = write_sized(at, header.key);
        at = write_sized(at, header.value);
    }
    DLOG_ASSERT(at == records.data() + records.size());
}

}  // namespace

void BatchBuilder::append(Timestamp timestamp, std::optional<ByteView> key,
                          std::optional<ByteView> value, std::span<const RecordHeader> headers) {
    DLOG_ASSERT(record_count_ < INT32_MAX);
    if (record_count_ == 0) base_timestamp_ = timestamp;
    max_timestamp_ = std::max(max_timestamp_, timestamp);
    append_record(records_, difference(timestamp, base_timestamp_), record_count_,
                  {.key = key, .value = value, .headers = headers});
    ++record_count_;
}

Result<Buffer> BatchBuilder::build() {
    DLOG_ASSERT(record_count_ > 0);
    std::vector<std::uint8_t> storage;
    DLOG_TRY_ASSIGN(const ByteView records,
                    compressed_records(records_, spec_.compression, spec_.level, storage));
    auto attributes = static_cast<std::uint16_t>(spec_.compression);
    if (spec_.log_append_time) attributes |= kLogAppendTimeBit;
    if (spec_.is_transactional) attributes |= kTransactionalBit;
    if (spec_.is_control) attributes |= kControlBit;
    Buffer batch = assemble({.base_offset = spec_.base_offset,
                             .leader_epoch = spec_.leader_epoch,
                             .attributes = attributes,
                             .last_offset_delta = record_count_ - 1,
                             .base_timestamp = base_timestamp_,
                             .max_timestamp = spec_.log_append_time.value_or(max_timestamp_),
                             .producer_id = spec_.producer_id,
                             .producer_epoch = spec_.producer_epoch,
                             .base_sequence = spec_.base_sequence,
                             .record_count = record_count_},
                            records);
    records_.clear();
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
        append_record(plain, difference(record.timestamp, rebuilt.base_timestamp),
                      static_cast<std::int32_t>(offset_delta),
                      {.key = record.key, .value = record.value, .headers = headers});
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
