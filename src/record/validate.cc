/// The checks of a client's batch: the header, then a walk over every record, in place or through a
/// window onto the decompressed stream.
#include "record/validate.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/result.h"
#include "codec/varint.h"
#include "record/codec_error.h"
#include "record/record_format.h"
#include "record/record_walk.h"

namespace dlog::record {

namespace {

/// Walks records that fill `records` exactly.
Result<void> walk_in_place(ByteView records, std::int32_t count, Tally& tally) {
    if (static_cast<std::size_t>(count) > records.size() / kRecordBytesMin) {
        return unexpected(Error::kBadCount);
    }
    const std::uint8_t* const end = records.data() + records.size();
    DLOG_TRY_ASSIGN(const std::uint8_t* at, walk_records(records.data(), end, count, tally));
    if (tally.record_count() == count && at == end) return {};
    if (tally.record_count() == count || at == end) return unexpected(Error::kBadCount);
    return unexpected(Error::kCorruptRecord);
}

/// A window that slides over a decompressed stream.
class SlidingWindow {
  public:
    SlidingWindow(codec::Decompressor& decompressor, MutableBytes memory)
        : decompressor_(decompressor), memory_(memory) {}

    /// The bytes in hand.
    [[nodiscard]] ByteView bytes() const { return memory_.subspan(begin_, end_ - begin_); }
    /// All bytes that the stream has given.
    [[nodiscard]] std::size_t stream_bytes() const { return stream_bytes_; }
    [[nodiscard]] std::size_t capacity() const { return memory_.size(); }

    void consume(std::size_t length) {
        DLOG_ASSERT(length <= end_ - begin_, length, begin_, end_);
        begin_ += length;
    }

    /// Reads on until `length` bytes, at most the whole window, are in hand or the stream has
    /// ended.
    Result<void> want(std::size_t length) {
        DLOG_ASSERT(length <= memory_.size(), length);
        if (end_ - begin_ >= length || is_at_end_) return {};
        std::memmove(memory_.data(), memory_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
        const MutableBytes room = memory_.subspan(end_);
        const codec::Result<std::size_t> read = decompressor_.read(room);
        if (!read) return unexpected(from_codec(read.error()));
        end_ += *read;
        stream_bytes_ += *read;
        is_at_end_ = *read < room.size();
        return {};
    }

    /// Steps over `length` bytes, which may be more than the window; kCorruptRecord when the stream
    /// ends before.
    Result<void> skip(std::size_t length) {
        while (length > end_ - begin_) {
            length -= end_ - begin_;
            begin_ = end_;
            DLOG_TRY(want(1));
            if (begin_ == end_) return unexpected(Error::kCorruptRecord);
        }
        begin_ += length;
        return {};
    }

  private:
    codec::Decompressor& decompressor_;
    MutableBytes memory_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t stream_bytes_ = 0;
    bool is_at_end_ = false;
};

/// The size of the record that begins at `bytes`, with its length field.
Result<std::size_t> record_size(ByteView bytes) {
    std::int32_t size = 0;
    const std::uint8_t* body = codec::read_varint(bytes.data(), bytes.data() + bytes.size(), size);
    if (body == nullptr || size < 0) return unexpected(Error::kCorruptRecord);
    return static_cast<std::size_t>(body - bytes.data()) + static_cast<std::size_t>(size);
}

/// Walks one record that is larger than the window, field by field.
class LargeRecord {
  public:
    explicit LargeRecord(SlidingWindow& window) : window_(window) {}

    Result<void> walk(Tally& tally) {
        std::int32_t size = 0;
        DLOG_TRY(read(codec::read_varint, size));
        if (size < 0) return unexpected(Error::kCorruptRecord);
        left_ = static_cast<std::size_t>(size);
        RecordFields fields;
        DLOG_TRY(skip(1));
        DLOG_TRY(read(codec::read_varlong, fields.timestamp_delta));
        DLOG_TRY(read(codec::read_varint, fields.offset_delta));
        DLOG_TRY(skip_sized(fields.key_size));
        DLOG_TRY(skip_sized(fields.value_size));
        DLOG_TRY(read(codec::read_varint, fields.header_count));
        if (fields.header_count < 0) return unexpected(Error::kCorruptRecord);
        for (std::int32_t index = 0; index < fields.header_count; ++index) {
            std::int32_t key_size = 0;
            std::int32_t value_size = 0;
            DLOG_TRY(skip_sized(key_size));
            if (key_size < 0) return unexpected(Error::kCorruptRecord);
            DLOG_TRY(skip_sized(value_size));
        }
        if (left_ != 0) return unexpected(Error::kCorruptRecord);
        return tally.add(fields.timestamp_delta, fields.offset_delta, fields.key_size);
    }

  private:
    template <class Reader, class Value>
    Result<void> read(Reader reader, Value& value) {
        DLOG_TRY(window_.want(codec::kVarlongBytesMax));
        const ByteView bytes = window_.bytes().first(std::min(window_.bytes().size(), left_));
        const std::uint8_t* after = reader(bytes.data(), bytes.data() + bytes.size(), value);
        if (after == nullptr) return unexpected(Error::kCorruptRecord);
        const auto length = static_cast<std::size_t>(after - bytes.data());
        window_.consume(length);
        left_ -= length;
        return {};
    }

    Result<void> skip(std::size_t length) {
        if (length > left_) return unexpected(Error::kCorruptRecord);
        left_ -= length;
        return window_.skip(length);
    }

    Result<void> skip_sized(std::int32_t& size) {
        DLOG_TRY(read(codec::read_varint, size));
        return size <= 0 ? Result<void>{} : skip(static_cast<std::size_t>(size));
    }

    SlidingWindow& window_;
    std::size_t left_ = codec::kVarintBytesMax;  // the length field, then what it says
};

/// Walks records that fill the decompressed stream exactly.
Result<void> walk_stream(SlidingWindow& window, std::int32_t count, Tally& tally) {
    while (true) {
        const ByteView bytes = window.bytes();
        DLOG_TRY_ASSIGN(const std::uint8_t* at,
                        walk_records(bytes.data(), bytes.data() + bytes.size(), count, tally));
        window.consume(static_cast<std::size_t>(at - bytes.data()));
        if (tally.record_count() == count) break;
        // The next record is not whole in the window: fetch the rest of it, or walk it piece by
        // piece.
        DLOG_TRY(window.want(codec::kVarintBytesMax));
        if (window.bytes().empty()) return unexpected(Error::kBadCount);
        DLOG_TRY_ASSIGN(const std::size_t record_bytes, record_size(window.bytes()));
        if (record_bytes > window.capacity()) {
            DLOG_TRY(LargeRecord(window).walk(tally));
        } else {
            DLOG_TRY(window.want(record_bytes));
            if (window.bytes().size() < record_bytes) return unexpected(Error::kCorruptRecord);
        }
    }
    // Reading past the last record lets the codec check its trailer.
    DLOG_TRY(window.want(1));
    if (!window.bytes().empty()) return unexpected(Error::kBadCount);
    return {};
}

Result<std::size_t> walk_compressed(ByteView records, const BatchHeader& header,
                                    const ProduceLimits& limits, codec::Decompressor& decompressor,
                                    Tally& tally) {
    const auto started =
        decompressor.start(header.compression(), records, limits.decompressed_bytes_max);
    if (!started) return unexpected(from_codec(started.error()));
    std::uint8_t memory[32 * 1024];  // on the stack: nothing is allocated a batch
    SlidingWindow window(decompressor, memory);
    DLOG_TRY(walk_stream(window, header.record_count, tally));
    return window.stream_bytes();
}

/// What a client may say in a header (Kafka's LogValidator.validateBatch, and where it is silent:
/// no producer epoch below 0, no transaction without a producer, no delete horizon).
Result<void> check_header(const BatchHeader& header) {
    if (header.is_control()) return unexpected(Error::kControlBatch);
    if (header.has_log_append_time()) return unexpected(Error::kBadTimestampType);
    if (header.has_delete_horizon()) return unexpected(Error::kBadAttributes);
    if (header.record_count == 0 || header.record_count - 1 != header.last_offset_delta) {
        return unexpected(Error::kBadCount);
    }
    if (header.has_producer()) {
        if (header.base_sequence < 0 || header.producer_epoch.value < 0) {
            return unexpected(Error::kBadProducer);
        }
    } else if (header.is_transactional()) {
        return unexpected(Error::kBadProducer);
    }
    return {};
}

}  // namespace

Result<CheckedBatch> validate_for_produce(ByteView batch, const ProduceLimits& limits,
                                          codec::Decompressor& decompressor) {
    DLOG_TRY_ASSIGN(const BatchHeader header, read_batch_header(batch));
    if (header.size_bytes() > limits.batch_bytes_max) return unexpected(Error::kTooLarge);
    if (header.size_bytes() > batch.size()) return unexpected(Error::kTruncated);
    if (header.size_bytes() < batch.size()) return unexpected(Error::kBadLength);
    DLOG_TRY(verify_crc(batch));
    DLOG_TRY(check_header(header));

    const ByteView records = batch.subspan(kBatchHeaderSize);
    Tally tally(header, limits.needs_keys);
    std::size_t records_bytes = records.size();
    if (header.is_compressed()) {
        DLOG_TRY_ASSIGN(records_bytes,
                        walk_compressed(records, header, limits, decompressor, tally));
    } else {
        DLOG_TRY(walk_in_place(records, header.record_count, tally));
    }
    return CheckedBatch{.header = header,
                        .min_timestamp = tally.min_timestamp(),
                        .max_timestamp = tally.max_timestamp(),
                        .records_bytes = records_bytes};
}

}  // namespace dlog::record
