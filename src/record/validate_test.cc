#include "record/validate.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "codec/crc32c.h"
#include "codec/varint.h"
#include "record/builder.h"
#include "record/reader.h"

namespace dlog::record {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr Compression kAll[] = {Compression::kNone, Compression::kGzip, Compression::kSnappy,
                                Compression::kLz4, Compression::kZstd};

Result<CheckedBatch> validate(ByteView batch, const ProduceLimits& limits = {}) {
    static codec::Decompressor decompressor;
    return validate_for_produce(batch, limits, decompressor);
}

void write_crc(MutableBytes batch) {
    store_big_endian(batch.data() + kCrcAt, codec::crc32c(batch.subspan(kCrcCoversFrom)));
}

/// A batch whose record bytes are `records` as they stand, with a true CRC.
Bytes batch_of(ByteView records, std::int32_t count, Compression compression = Compression::kNone) {
    Bytes stored;
    REQUIRE(codec::compress(compression, records, {}, stored));
    Bytes batch(kBatchHeaderSize);
    batch.insert(batch.end(), stored.begin(), stored.end());
    std::uint8_t* at = batch.data();
    store_big_endian(at + kBatchLengthAt, static_cast<std::int32_t>(batch.size() - kLogOverhead));
    store_big_endian(at + kMagicAt, kMagic);
    store_big_endian(at + kAttributesAt, static_cast<std::uint16_t>(compression));
    store_big_endian(at + kLastOffsetDeltaAt, count - 1);
    store_big_endian(at + kBaseTimestampAt, std::int64_t{1'700'000'000'000});
    store_big_endian(at + kProducerIdAt, std::int64_t{-1});
    store_big_endian(at + kProducerEpochAt, std::int16_t{-1});
    store_big_endian(at + kBaseSequenceAt, std::int32_t{-1});
    store_big_endian(at + kRecordCountAt, count);
    write_crc(batch);
    return batch;
}

/// The same question answered by the reader: are these `count` whole records with offsets dense
/// from 0?
bool reader_accepts(ByteView batch) {
    ReaderScratch scratch;
    auto reader = BatchReader::open(batch, scratch);
    if (!reader) return false;
    Record record;
    for (std::int64_t index = 0;; ++index) {
        const Result<bool> more = reader->next(record);
        if (!more) return false;
        if (!*more) return true;
        if (record.offset != Offset(index)) return false;
    }
}

/// Records of every shape: null and empty fields, headers, deltas of every length, some larger than
/// the window.
struct Sample {
    BatchBuilder builder;
    Timestamp min_timestamp{INT64_MAX};
    Timestamp max_timestamp{INT64_MIN};
};
Sample random_sample(Random& random, const BatchSpec& spec, bool has_large) {
    Sample sample{.builder = BatchBuilder(spec)};
    const std::int64_t count = random.between(1, 300);
    for (std::int64_t index = 0; index < count; ++index) {
        const auto bytes = [&](std::size_t most) -> std::optional<Bytes> {
            if (random.chance(1, 5)) return std::nullopt;
            Bytes value(random.below(most + 1));
            for (auto& byte : value) byte = static_cast<std::uint8_t>(random.below(4));
            return value;
        };
        const auto key = bytes(random.chance(1, 10) ? 300 : 20);
        const auto value = bytes(has_large && random.chance(1, 50) ? 100'000 : 150);
        std::vector<Bytes> storage;
        storage.reserve(8);
        std::vector<RecordHeader> headers;
        for (std::uint64_t left = random.chance(1, 4) ? random.below(4) : 0; left > 0; --left) {
            storage.push_back(bytes(30).value_or(Bytes{'h'}));
            RecordHeader header{.key = storage.back()};
            if (const auto header_value = bytes(has_large && random.chance(1, 50) ? 70'000 : 30)) {
                storage.push_back(*header_value);
                header.value = storage.back();
            }
            headers.push_back(header);
        }
        const Timestamp timestamp{1'700'000'000'000 +
                                  random.between(-10, std::int64_t{1} << random.below(30))};
        sample.min_timestamp = std::min(sample.min_timestamp, timestamp);
        sample.max_timestamp = std::max(sample.max_timestamp, timestamp);
        sample.builder.append(timestamp, key ? std::optional<ByteView>(*key) : std::nullopt,
                              value ? std::optional<ByteView>(*value) : std::nullopt, headers);
    }
    return sample;
}

TEST_CASE("what the builder makes is valid in every codec, with true timestamps and sizes") {
    Random random(11);
    for (int round = 0; round < 60; ++round) {
        const Compression compression = kAll[random.below(5)];
        CAPTURE(compression_name(compression));
        Sample sample = random_sample(random, {.compression = compression}, round % 2 == 0);
        const std::int32_t count = sample.builder.record_count();
        const std::size_t records_bytes = sample.builder.size_bytes() - kBatchHeaderSize;
        const Buffer batch = sample.builder.build().value();
        const auto checked = validate(batch.view(), {.batch_bytes_max = 100'000'000});
        REQUIRE(checked);
        CHECK(checked->header.record_count == count);
        CHECK(checked->min_timestamp == sample.min_timestamp);
        CHECK(checked->max_timestamp == sample.max_timestamp);
        CHECK(checked->header.max_timestamp == sample.max_timestamp);
        CHECK(checked->records_bytes == records_bytes);
        CHECK(reader_accepts(batch.view()));
    }
}

TEST_CASE("damaged records under a true CRC are judged as the reader judges them") {
    Random random(12);
    int accepted = 0;
    for (int round = 0; round < 4000; ++round) {
        static Buffer plain;
        if (round % 200 == 0) plain = random_sample(random, {}, false).builder.build().value();
        Bytes batch(plain.data(), plain.data() + plain.size());
        const std::size_t records = batch.size() - kBatchHeaderSize;
        for (std::uint64_t flips = 1 + random.below(2); flips > 0; --flips) {
            batch[kBatchHeaderSize + random.below(records)] ^=
                static_cast<std::uint8_t>(1U << random.below(8));
        }
        write_crc(batch);
        const bool expected = reader_accepts(batch);
        CHECK(validate(batch).has_value() == expected);
        accepted += expected ? 1 : 0;
        // The same record bytes behind a codec.
        const auto count = read_batch_header(batch)->record_count;
        const Bytes compressed =
            batch_of(ByteView(batch).subspan(kBatchHeaderSize), count, kAll[1 + random.below(4)]);
        CHECK(validate(compressed).has_value() == expected);
    }
    CHECK(accepted > 100);  // damage inside a key or a value is nobody's error
    CHECK(accepted < 3900);
}

TEST_CASE("damaged compressed bytes under a true CRC are judged as the reader judges them") {
    Random random(13);
    for (int round = 0; round < 3000; ++round) {
        static Buffer whole;
        if (round % 100 == 0) {
            const BatchSpec spec{.compression = kAll[1 + random.below(4)]};
            whole = random_sample(random, spec, round % 400 == 0).builder.build().value();
        }
        Bytes batch(whole.data(), whole.data() + whole.size());
        batch[kBatchHeaderSize + random.below(batch.size() - kBatchHeaderSize)] ^=
            static_cast<std::uint8_t>(1U << random.below(8));
        write_crc(batch);
        CHECK(validate(batch, {.batch_bytes_max = 100'000'000}).has_value() ==
              reader_accepts(batch));
    }
}

/// A minimal record: no key, no value, no headers.
void append_record(Bytes& records, std::int32_t offset_delta, std::int64_t timestamp_delta = 0) {
    std::uint8_t body[32];
    std::uint8_t* at = body;
    *at++ = 0;
    at = codec::write_varlong(at, timestamp_delta);
    at = codec::write_varint(at, offset_delta);
    at = codec::write_varint(at, -1);
    at = codec::write_varint(at, -1);
    at = codec::write_varint(at, 0);
    std::uint8_t length[codec::kVarintBytesMax];
    std::uint8_t* after = codec::write_varint(length, static_cast<std::int32_t>(at - body));
    records.insert(records.end(), length, after);
    records.insert(records.end(), body, at);
}

TEST_CASE("a record count that lies is refused, whatever the codec") {
    Bytes records;
    for (std::int32_t index = 0; index < 1000; ++index) append_record(records, index);
    for (const Compression compression : kAll) {
        CAPTURE(compression_name(compression));
        CHECK(validate(batch_of(records, 1000, compression)));
        for (const std::int32_t count : {1, 999, 1001, 2000, INT32_MAX}) {
            CHECK(validate(batch_of(records, count, compression)).error() == Error::kBadCount);
        }
        CHECK(validate(batch_of(records, 0, compression)).error() == Error::kBadCount);
        CHECK_FALSE(validate(batch_of({}, 1, compression)));
        Bytes torn = records;
        torn.pop_back();
        CHECK_FALSE(validate(batch_of(torn, 1000, compression)));
    }
}

TEST_CASE("count and last offset delta must agree") {
    Bytes records;
    for (std::int32_t index = 0; index < 3; ++index) append_record(records, index);
    Bytes batch = batch_of(records, 3);
    store_big_endian(batch.data() + kLastOffsetDeltaAt, std::int32_t{3});
    write_crc(batch);
    CHECK(validate(batch).error() == Error::kBadCount);
}

TEST_CASE("offset deltas must be 0, 1, 2 and so on") {
    for (const Compression compression : kAll) {
        Bytes records;
        for (const std::int32_t delta : {0, 1, 1, 3}) append_record(records, delta);
        // A plain record behind, so that the lean loop meets the wrong one.
        for (std::int32_t index = 4; index < 20; ++index) append_record(records, index);
        CHECK(validate(batch_of(records, 20, compression)).error() == Error::kBadOffsets);
    }
}

TEST_CASE("timestamps: none at all, far apart, and wrapping around are taken for what they are") {
    Bytes records;
    append_record(records, 0, -1'700'000'000'001);
    append_record(records, 1, 0);
    append_record(records, 2, 5);
    auto checked = validate(batch_of(records, 3));
    REQUIRE(checked);
    CHECK(checked->min_timestamp == Timestamp{1'700'000'000'000});
    CHECK(checked->max_timestamp == Timestamp{1'700'000'000'005});

    records.clear();
    append_record(records, 0, -1'700'000'000'001);
    checked = validate(batch_of(records, 1));
    REQUIRE(checked);
    CHECK(checked->min_timestamp == kNoTimestamp);
    CHECK(checked->max_timestamp == kNoTimestamp);

    append_record(records, 1, INT64_MAX);
    append_record(records, 2, INT64_MIN);
    checked = validate(batch_of(records, 3));
    REQUIRE(checked);
    CHECK(checked->min_timestamp == Timestamp{INT64_MIN + 1'699'999'999'999});
    CHECK(checked->max_timestamp == kNoTimestamp);
}

TEST_CASE("records must keep within their own lengths") {
    // length, attributes, timestamp, offset, key length, value length, headers
    const Bytes cases[] = {
        {0x0c, 0, 0, 0, 0x01, 0x02, 0},              // the value ends beyond the record
        {0x0c, 0, 0, 0, 0x10, 0x01, 0},              // so does the key
        {0x0c, 0, 0, 0, 0x01, 0x01, 0x02},           // a header without bytes
        {0x0c, 0, 0, 0, 0x01, 0x01, 0x01},           // a negative header count
        {0x0a, 0, 0, 0, 0x01, 0x01, 0},              // a byte too many
        {0x10, 0, 0, 0, 0x01, 0x01, 0x02, 0x01, 1},  // a header with a null key
        {0x0e, 0, 0, 0, 0x01, 0x01, 0x00, 0x00},     // bytes behind the headers
        {0x01, 0, 0, 0, 0x01, 0x01, 0},              // a negative length
        {0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    };
    for (const Bytes& wrong : cases) {
        for (const Compression compression : kAll) {
            Bytes records = wrong;
            CHECK_FALSE(validate(batch_of(records, 1, compression)));
            for (std::int32_t index = 1; index < 30; ++index) append_record(records, index);
            CHECK_FALSE(validate(batch_of(records, 30, compression)));
        }
    }
}

TEST_CASE("records larger than the window are held to the same rules") {
    constexpr std::int32_t kLarge = 50'000;
    /// A record of a large value and what stands behind it.
    const auto record_with = [](std::int32_t value_size, const Bytes& behind, int length_error) {
        Bytes body = {0, 0, 0, 0x01};
        std::uint8_t number[codec::kVarintBytesMax];
        std::uint8_t* after = codec::write_varint(number, value_size);
        body.insert(body.end(), number, after);
        body.insert(body.end(), kLarge, 'v');
        body.insert(body.end(), behind.begin(), behind.end());
        after = codec::write_varint(number, static_cast<std::int32_t>(body.size()) + length_error);
        Bytes record(number, after);
        record.insert(record.end(), body.begin(), body.end());
        return record;
    };
    const struct {
        Bytes record;
        bool is_good;
    } cases[] = {
        {record_with(kLarge, {0}, 0), true},
        {record_with(kLarge, {0x02, 0x02, 'h', 0x01}, 0), true},
        {record_with(kLarge, {0x02, 0x00, 0x00}, 0), true},
        {record_with(kLarge, {0x02, 0x01, 0x01}, 0), false},       // a header with a null key
        {record_with(kLarge, {0x04, 0x02, 'h', 0x01}, 0), false},  // a header too few
        {record_with(kLarge, {0x01}, 0), false},                   // a negative header count
        {record_with(kLarge, {0, 0}, 0), false},                   // bytes behind the headers
        {record_with(kLarge, {0, 0, 0, 0}, -3), false},            // bytes behind the record
        {record_with(kLarge + 1, {0}, 0), false},
        {record_with(kLarge + 2, {0}, 0), false},
        {record_with(INT32_MAX, {0}, 0), false},
        {record_with(kLarge - 1, {0}, 0), false},
        {record_with(kLarge, {0}, 1), false},
        {record_with(kLarge, {0}, -1), false},
    };
    for (const auto& [record, is_good] : cases) {
        CAPTURE(record.size());
        for (const Compression compression : kAll) {
            CAPTURE(compression_name(compression));
            const Bytes batch = batch_of(record, 1, compression);
            CHECK(validate(batch).has_value() == is_good);
            CHECK(reader_accepts(batch) == is_good);
        }
    }
}

TEST_CASE("a bomb is refused at the limit") {
    BatchBuilder builder({.compression = Compression::kZstd});
    const Bytes zeros(1'000'000);
    for (int index = 0; index < 20; ++index) builder.append(Timestamp{1}, {}, zeros);
    const Buffer batch = builder.build().value();
    CHECK(batch.size() < 10'000);
    CHECK(validate(batch.view()));
    CHECK(validate(batch.view(), {.decompressed_bytes_max = 10'000'000}).error() == Error::kBomb);
    ReaderScratch scratch{.decompressed_bytes_max = 10'000'000};
    CHECK(BatchReader::open(batch.view(), scratch).error() == Error::kBomb);
}

TEST_CASE("limits and the header's rules have errors of their own") {
    const auto built = [](const BatchSpec& spec) {
        BatchBuilder builder(spec);
        builder.append(Timestamp{1}, std::nullopt, as_bytes("v"));
        return builder.build().value();
    };
    const Buffer plain = built({});
    CHECK(validate(plain.view(), {.batch_bytes_max = plain.size()}));
    CHECK(validate(plain.view(), {.batch_bytes_max = plain.size() - 1}).error() ==
          Error::kTooLarge);
    CHECK(validate(plain.view(), {.needs_keys = true}).error() == Error::kMissingKey);

    const ProducerId producer(9);
    CHECK(validate(
        built({.producer_id = producer, .producer_epoch = ProducerEpoch(0), .base_sequence = 0})
            .view()));
    CHECK(validate(built({.producer_id = producer, .producer_epoch = ProducerEpoch(0)}).view())
              .error() == Error::kBadProducer);
    CHECK(validate(built({.producer_id = producer, .base_sequence = 0}).view()).error() ==
          Error::kBadProducer);
    CHECK(validate(built({.is_transactional = true}).view()).error() == Error::kBadProducer);
    CHECK(validate(built({.is_control = true}).view()).error() == Error::kControlBatch);
    CHECK(validate(built({.log_append_time = Timestamp{1}}).view()).error() ==
          Error::kBadTimestampType);
    Buffer horizon = built({});
    horizon.mutable_data()[kAttributesAt + 1] |= kDeleteHorizonBit;
    write_crc(horizon.mutable_view());
    CHECK(validate(horizon.view()).error() == Error::kBadAttributes);
    Buffer damaged = built({});
    damaged.mutable_data()[damaged.size() - 2] ^= 1;
    CHECK(validate(damaged.view()).error() == Error::kBadCrc);
}

TEST_CASE("keys are asked of every record of a compacted topic") {
    // The lean loop takes batches of our time, the general step those that begin near 1970.
    for (const Timestamp timestamp : {Timestamp{1}, Timestamp{1'700'000'000'000}}) {
        for (const int without_key : {-1, 0, 50, 99}) {
            BatchBuilder builder({});
            for (int index = 0; index < 100; ++index) {
                const auto key = index == without_key ? std::optional<ByteView>{} : as_bytes("k");
                builder.append(timestamp, key, {});
            }
            const auto checked = validate(builder.build()->view(), {.needs_keys = true});
            CHECK(checked.has_value() == (without_key < 0));
            if (!checked) CHECK(checked.error() == Error::kMissingKey);
        }
    }
}

TEST_CASE("recompression keeps everything but the codec") {
    Random random(14);
    ReaderScratch scratch;
    const BatchSpec spec{.base_offset = Offset(1000),
                         .leader_epoch = LeaderEpoch(3),
                         .compression = Compression::kSnappy,
                         .producer_id = ProducerId(5),
                         .producer_epoch = ProducerEpoch(6),
                         .base_sequence = 7,
                         .is_transactional = true};
    const Buffer source = random_sample(random, spec, true).builder.build().value();
    const auto before = read_batch_header(source.view());
    const Buffer plain = recompress(source.view(), Compression::kNone, {}, scratch).value();
    for (const Compression target : kAll) {
        const Buffer made = recompress(source.view(), target, {}, scratch).value();
        const auto checked = validate(made.view(), {.batch_bytes_max = 100'000'000});
        REQUIRE(checked);
        const BatchHeader& after = checked->header;
        CHECK(after.compression() == target);
        CHECK(after.is_transactional());
        CHECK(after.base_offset == before->base_offset);
        CHECK(after.leader_epoch == before->leader_epoch);
        CHECK(after.last_offset_delta == before->last_offset_delta);
        CHECK(after.base_timestamp == before->base_timestamp);
        CHECK(after.max_timestamp == before->max_timestamp);
        CHECK(after.producer_id == before->producer_id);
        CHECK(after.producer_epoch == before->producer_epoch);
        CHECK(after.base_sequence == before->base_sequence);
        const Buffer back = recompress(made.view(), Compression::kNone, {}, scratch).value();
        CHECK(as_text(back.view()) == as_text(plain.view()));
    }
}

}  // namespace
}  // namespace dlog::record
