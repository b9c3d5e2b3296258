#include "record/batch.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "codec/crc32c.h"
#include "record/builder.h"
#include "record/reader.h"
#include "record/validate.h"

namespace dlog::record {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// A batch that a real client made, and what it holds, a line a record.
struct ClientBatch {
    std::string name;
    Bytes bytes;
    std::string records;
};

Bytes from_hex(const std::string& hex) {
    Bytes bytes;
    for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
        bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(at, 2), nullptr, 16)));
    }
    return bytes;
}

std::vector<ClientBatch> read_client_batches() {
    std::FILE* file = std::fopen(DLOG_ROOT "/src/record/testdata/client_batches.txt", "r");
    REQUIRE(file != nullptr);
    std::vector<ClientBatch> batches;
    char buffer[4096];
    while (std::fgets(buffer, sizeof buffer, file) != nullptr) {
        std::string line = buffer;
        line.pop_back();
        if (line.starts_with("batch ")) batches.push_back({.name = line.substr(6)});
        if (line.starts_with("hex ")) {
            const Bytes bytes = from_hex(line.substr(4));
            batches.back().bytes.insert(batches.back().bytes.end(), bytes.begin(), bytes.end());
        }
        if (line.starts_with("record ")) batches.back().records += line.substr(7) + "\n";
    }
    std::fclose(file);
    return batches;
}

std::string to_hex(const std::optional<ByteView>& bytes) {
    if (!bytes) return "null";
    std::string text = "x";
    for (const std::uint8_t byte : *bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

/// The records as the lines of client_batches.txt have them, or the error.
std::string describe(ByteView batch) {
    ReaderScratch scratch;
    auto reader = BatchReader::open(batch, scratch);
    if (!reader) return std::string(error_text(reader.error()));
    std::string text;
    Record record;
    while (true) {
        const Result<bool> more = reader->next(record);
        if (!more) return std::string(error_text(more.error()));
        if (!*more) return text;
        text += std::to_string(record.offset.value) + " " + std::to_string(record.timestamp.ms) +
                " " + to_hex(record.key) + " " + to_hex(record.value);
        while (record.headers.count() > 0) {
            const RecordHeader header = record.headers.next();
            text += " " + to_hex(header.key) + "=" + to_hex(header.value);
        }
        text += "\n";
    }
}

Result<CheckedBatch> validate(ByteView batch) {
    static codec::Decompressor decompressor;
    return validate_for_produce(batch, {}, decompressor);
}

TEST_CASE("batches of real clients are read as they were meant, and validated") {
    const auto batches = read_client_batches();
    REQUIRE(batches.size() == 26);
    for (const ClientBatch& batch : batches) {
        CAPTURE(batch.name);
        const Result<CheckedBatch> checked = validate(batch.bytes);
        if (batch.name.starts_with("java-magic")) {
            CHECK(checked.error() == Error::kOldMagic);
            continue;
        }
        CHECK(describe(batch.bytes) == batch.records);
        if (batch.name == "java-control") {
            CHECK(checked.error() == Error::kControlBatch);
        } else if (batch.name == "java-log-append-time") {
            CHECK(checked.error() == Error::kBadTimestampType);
        } else {
            REQUIRE(checked);
            CHECK(checked->max_timestamp == checked->header.max_timestamp);
            CHECK(checked->min_timestamp <= checked->max_timestamp);
        }
    }
}

TEST_CASE("the header's fields are those that the Java client wrote") {
    for (const ClientBatch& batch : read_client_batches()) {
        if (batch.name != "java-idempotent" && batch.name != "java-transactional") continue;
        const auto header = read_batch_header(batch.bytes);
        REQUIRE(header);
        CHECK(header->size_bytes() == batch.bytes.size());
        CHECK(header->producer_id == ProducerId(7001));
        CHECK(header->producer_epoch == ProducerEpoch(3));
        CHECK(header->record_count == 5);
        CHECK(header->last_offset() == Offset(4));
        CHECK(header->next_offset() == Offset(5));
        const bool is_transactional = batch.name == "java-transactional";
        CHECK(header->is_transactional() == is_transactional);
        CHECK(header->compression() == (is_transactional ? Compression::kNone : Compression::kLz4));
        // 2147483645 and four more wrap as in DefaultRecordBatch.incrementSequence.
        CHECK(header->base_sequence == (is_transactional ? 11 : 2147483645));
        CHECK(header->last_sequence() == (is_transactional ? 15 : 1));
    }
    CHECK(advance_sequence(INT32_MAX, 1) == 0);
    CHECK(advance_sequence(INT32_MAX, 0) == INT32_MAX);
    CHECK(advance_sequence(0, INT32_MAX) == INT32_MAX);
}

TEST_CASE("every truncation of a client's batch fails") {
    for (const ClientBatch& batch : read_client_batches()) {
        CAPTURE(batch.name);
        for (std::size_t length = 0; length < batch.bytes.size(); ++length) {
            const ByteView part = ByteView(batch.bytes).first(length);
            const auto checked = validate(part);
            CHECK_FALSE(checked);
            if (!batch.name.starts_with("java-magic")) {
                CHECK(checked.error() == Error::kTruncated);
            }
        }
        Bytes longer = batch.bytes;
        longer.push_back(0);
        CHECK_FALSE(validate(longer));
    }
}

TEST_CASE("every flipped bit fails, or lies outside the CRC and changes no record") {
    for (const ClientBatch& batch : read_client_batches()) {
        if (!validate(batch.bytes)) continue;
        CAPTURE(batch.name);
        for (std::size_t bit = 0; bit < batch.bytes.size() * 8; ++bit) {
            Bytes damaged = batch.bytes;
            damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
            const auto checked = validate(damaged);
            if (!checked) continue;
            CAPTURE(bit);
            const std::size_t at = bit / 8;
            CHECK((at < kBatchLengthAt || (at >= kLeaderEpochAt && at < kMagicAt)));
            set_base_offset(damaged, read_batch_header(batch.bytes)->base_offset);
            CHECK(describe(damaged) == batch.records);
        }
    }
}

Buffer three_records(const BatchSpec& spec) {
    BatchBuilder builder(spec);
    builder.append(Timestamp{1000}, as_bytes("a"), as_bytes("one"));
    builder.append(Timestamp{900}, std::nullopt, as_bytes("two"));
    builder.append(Timestamp{1100}, as_bytes("c"), std::nullopt);
    return builder.build().value();
}

TEST_CASE("base offset and leader epoch are patched outside the CRC") {
    Buffer batch = three_records({});
    set_base_offset(batch.mutable_view(), Offset(77));
    set_leader_epoch(batch.mutable_view(), LeaderEpoch(5));
    CHECK(verify_crc(batch.view()));
    const auto header = read_batch_header(batch.view());
    CHECK(header->base_offset == Offset(77));
    CHECK(header->leader_epoch == LeaderEpoch(5));
    CHECK(header->last_offset() == Offset(79));
    CHECK(describe(batch.view()) == "77 1000 x61 x6f6e65\n78 900 null x74776f\n79 1100 x63 null\n");
}

TEST_CASE("log append time replaces every record's timestamp") {
    Buffer batch = three_records({});
    set_log_append_time(batch.mutable_view(), Timestamp{123456});
    CHECK(verify_crc(batch.view()));
    CHECK(read_batch_header(batch.view())->has_log_append_time());
    CHECK(describe(batch.view()) ==
          "0 123456 x61 x6f6e65\n1 123456 null x74776f\n2 123456 x63 null\n");
    const Buffer built = three_records({.log_append_time = Timestamp{123456}});
    CHECK(describe(built.view()) == describe(batch.view()));
}

TEST_CASE("an untrue max timestamp is told and can be corrected") {
    Buffer batch = three_records({});
    set_max_timestamp(batch.mutable_view(), Timestamp{5});
    const auto checked = validate(batch.view());
    REQUIRE(checked);
    CHECK(checked->header.max_timestamp == Timestamp{5});
    CHECK(checked->max_timestamp == Timestamp{1100});
    CHECK(checked->min_timestamp == Timestamp{900});
    set_max_timestamp(batch.mutable_view(), checked->max_timestamp);
    CHECK(validate(batch.view())->header.max_timestamp == Timestamp{1100});
}

TEST_CASE("a header that no batch can have is refused with its own error") {
    const Buffer good = three_records({});
    const auto with = [&](std::size_t at, Bytes bytes) {
        Buffer batch = Buffer::copy_of(good.view());
        std::copy(bytes.begin(), bytes.end(), batch.mutable_data() + at);
        return read_batch_header(batch.view());
    };
    CHECK(with(kMagicAt, {0}).error() == Error::kOldMagic);
    CHECK(with(kMagicAt, {1}).error() == Error::kOldMagic);
    CHECK(with(kMagicAt, {3}).error() == Error::kUnknownMagic);
    CHECK(with(kMagicAt, {0xff}).error() == Error::kUnknownMagic);
    CHECK(with(kBatchLengthAt, {0, 0, 0, 48}).error() == Error::kBadLength);
    CHECK(with(kBatchLengthAt, {0xff, 0xff, 0xff, 0xff}).error() == Error::kBadLength);
    CHECK(with(kBatchLengthAt, {0, 0, 0, 49}).has_value());
    CHECK(with(kBatchLengthAt, {0x7f, 0xff, 0xff, 0xff})->size_bytes() == 2'147'483'659U);
    CHECK(with(kAttributesAt, {0, 5}).error() == Error::kBadAttributes);
    CHECK(with(kLastOffsetDeltaAt, {0x80, 0, 0, 0}).error() == Error::kBadCount);
    CHECK(with(kRecordCountAt, {0x80, 0, 0, 0}).error() == Error::kBadCount);
    // The base offset lies outside the CRC: whatever it is, arithmetic on it is defined.
    CHECK(with(kBaseOffsetAt, {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})->next_offset() ==
          Offset(INT64_MIN + 2));
    for (std::size_t length = 0; length < kBatchHeaderSize; ++length) {
        CHECK(read_batch_header(good.view().first(length)).error() == Error::kTruncated);
    }
    CHECK(read_batch_size(good.view()) == good.size());
    CHECK(read_batch_size(good.view().first(11)).error() == Error::kTruncated);
}

TEST_CASE("the splitter walks batches that lie one after the other and stops at a torn one") {
    Bytes records;
    std::vector<std::size_t> sizes;
    for (int id = 0; id < codec::kCompressionCount; ++id) {
        const Buffer batch = three_records({.compression = static_cast<Compression>(id)});
        records.insert(records.end(), batch.data(), batch.data() + batch.size());
        sizes.push_back(batch.size());
    }
    for (std::size_t length = 0; length <= records.size(); ++length) {
        BatchSplitter splitter(ByteView(records).first(length));
        std::size_t at = 0;
        for (const std::size_t size : sizes) {
            if (at + size > length) break;
            const auto item = splitter.next();
            REQUIRE(item);
            REQUIRE(item->has_value());
            CHECK((*item)->bytes.size() == size);
            CHECK((*item)->header.record_count == 3);
            at += size;
        }
        CHECK(splitter.rest().size() == length - at);
        const auto item = splitter.next();
        if (at == length) {
            CHECK((item.has_value() && !item->has_value()));
        } else {
            CHECK(item.error() == Error::kTruncated);
            CHECK(splitter.rest().size() == length - at);
        }
    }
}

}  // namespace
}  // namespace dlog::record
