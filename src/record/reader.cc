/// Decoding the records of a batch.
#include "record/reader.h"

#include "base/assert.h"
#include "base/result.h"
#include "codec/varint.h"
#include "record/codec_error.h"
#include "record/record_format.h"

namespace dlog::record {

namespace {

std::optional<ByteView> nullable(const std::uint8_t* bytes, std::int32_t size) {
    if (size < 0) return std::nullopt;
    return ByteView(bytes, static_cast<std::size_t>(size));
}

}  // namespace

bool headers_are_whole(const std::uint8_t* at, const std::uint8_t* end, std::int32_t count) {
    if (count < 0) return false;
    for (std::int32_t index = 0; index < count; ++index) {
        const std::uint8_t* bytes = nullptr;
        std::int32_t size = 0;
        at = skip_sized(at, end, bytes, size);
        if (at == nullptr || size < 0) return false;
        at = skip_sized(at, end, bytes, size);
        if (at == nullptr) return false;
    }
    return at == end;
}

RecordHeader RecordHeaders::next() {
    DLOG_ASSERT(left_ > 0);
    --left_;
    const std::uint8_t* const end = rest_.data() + rest_.size();
    const std::uint8_t* key = nullptr;
    const std::uint8_t* value = nullptr;
    std::int32_t key_size = 0;
    std::int32_t value_size = 0;
    const std::uint8_t* at = skip_sized(rest_.data(), end, key, key_size);
    DLOG_ASSERT(at != nullptr && key_size >= 0, key_size);
    at = skip_sized(at, end, value, value_size);
    DLOG_ASSERT(at != nullptr, value_size);
    rest_ = ByteView(at, end);
    return {.key = ByteView(key, static_cast<std::size_t>(key_size)),
            .value = nullable(value, value_size)};
}

Result<BatchReader> BatchReader::open(ByteView batch, ReaderScratch& scratch) {
    DLOG_TRY_ASSIGN(const BatchHeader header, read_batch_header(batch));
    if (header.size_bytes() > batch.size()) return unexpected(Error::kTruncated);
    ByteView records = batch.first(header.size_bytes()).subspan(kBatchHeaderSize);
    if (header.is_compressed() && header.record_count > 0) {
        const auto done = codec::decompress_all(scratch.decompressor, header.compression(), records,
                                                scratch.decompressed_bytes_max, scratch.bytes);
        if (!done) return unexpected(from_codec(done.error()));
        records = scratch.bytes;
    }
    return BatchReader(header, records);
}

Result<bool> BatchReader::next(Record& record) {
    if (read_count_ == header_.record_count) {
        if (!rest_.empty()) return unexpected(Error::kBadCount);
        return false;
    }
    if (rest_.empty()) return unexpected(Error::kBadCount);
    const std::uint8_t* const end = rest_.data() + rest_.size();
    std::int32_t size = 0;
    const std::uint8_t* body = codec::read_varint(rest_.data(), end, size);
    if (body == nullptr || size < 0 || size > end - body) return unexpected(Error::kCorruptRecord);
    const std::uint8_t* const after = body + size;
    RecordFields fields;
    if (!read_record_body(body, after, fields)) return unexpected(Error::kCorruptRecord);
    rest_ = ByteView(after, end);
    ++read_count_;

    record.offset = header_.offset_at(fields.offset_delta);
    record.timestamp = header_.max_timestamp;
    if (!header_.has_log_append_time()) {
        record.timestamp.ms =
            static_cast<std::int64_t>(static_cast<std::uint64_t>(header_.base_timestamp.ms) +
                                      static_cast<std::uint64_t>(fields.timestamp_delta));
    }
    record.key = nullable(fields.key, fields.key_size);
    record.value = nullable(fields.value, fields.value_size);
    record.headers = RecordHeaders(ByteView(fields.headers, after),
                                   static_cast<std::uint32_t>(fields.header_count));
    return true;
}

}  // namespace dlog::record
