#include "storage/producers.h"

#include <doctest/doctest.h>

namespace dlog::storage {
namespace {

record::BatchHeader header(std::int16_t epoch, std::int32_t sequence, std::int32_t count,
                           std::int64_t base_offset = 0) {
    record::BatchHeader header;
    header.base_offset = Offset{base_offset};
    header.last_offset_delta = count - 1;
    header.record_count = count;
    header.producer_id = ProducerId{7};
    header.producer_epoch = ProducerEpoch{epoch};
    header.base_sequence = sequence;
    header.max_timestamp = Timestamp{base_offset + 1};
    return header;
}

bool passes(ProducerTable& table, const record::BatchHeader& batch) {
    const auto found = table.check(batch);
    if (!found || *found) return false;
    table.update(batch, Timestamp{1}, nullptr);
    return true;
}

TEST_CASE("a producer that nothing is known of may begin at any sequence (KAFKA-5793)") {
    ProducerTable table;
    CHECK(passes(table, header(0, 4711, 3)));
    CHECK(passes(table, header(0, 4714, 1)));
}

TEST_CASE("a gap in the sequence is refused, whichever way it goes (KIP-98)") {
    ProducerTable table;
    REQUIRE(passes(table, header(0, 0, 3)));
    CHECK(table.check(header(0, 4, 1)).error() == Error::kOutOfOrderSequence);
    CHECK(table.check(header(0, 2, 1)).error() == Error::kOutOfOrderSequence);
    CHECK(table.check(header(0, 0, 2)).error() == Error::kOutOfOrderSequence);
    CHECK(passes(table, header(0, 3, 1)));
}

TEST_CASE("each of the last five batches is recognised when it comes again, and no earlier one") {
    ProducerTable table;
    for (int i = 0; i < 6; ++i) REQUIRE(passes(table, header(0, i * 10, 10, i * 10)));
    for (int i = 1; i < 6; ++i) {
        const auto again = table.check(header(0, i * 10, 10));
        REQUIRE(again);
        REQUIRE(*again);
        CHECK((*again)->last_offset == Offset{i * 10 + 9});
        CHECK((*again)->timestamp == Timestamp{i * 10 + 1});
    }
    CHECK(table.check(header(0, 0, 10)).error() == Error::kOutOfOrderSequence);
}

TEST_CASE("an older epoch is fenced, a newer one begins at sequence 0") {
    ProducerTable table;
    REQUIRE(passes(table, header(3, 0, 5)));
    CHECK(table.check(header(2, 5, 1)).error() == Error::kInvalidProducerEpoch);
    CHECK(table.check(header(4, 5, 1)).error() == Error::kOutOfOrderSequence);
    CHECK(passes(table, header(4, 0, 1)));
    CHECK(table.check(header(3, 5, 1)).error() == Error::kInvalidProducerEpoch);
    // What the older epoch wrote is no duplicate of the newer one's.
    CHECK(table.check(header(4, 0, 5)).error() == Error::kOutOfOrderSequence);
}

TEST_CASE("sequences wrap from the largest number to 0") {
    ProducerTable table;
    REQUIRE(passes(table, header(0, INT32_MAX - 1, 4)));  // ... MAX-1, MAX, 0, 1
    CHECK(table.check(header(0, INT32_MAX - 1, 4))->has_value());
    CHECK(passes(table, header(0, 2, 1)));
    ProducerTable other;
    REQUIRE(passes(other, header(0, INT32_MAX, 1)));
    CHECK(passes(other, header(0, 0, 1)));
}

TEST_CASE("batches without a producer are never checked") {
    ProducerTable table;
    auto plain = header(0, -1, 1);
    plain.producer_id = kNoProducer;
    CHECK(passes(table, plain));
    CHECK(passes(table, plain));
    CHECK(table.states().empty());
}

TEST_CASE("undo brings back exactly what was before") {
    ProducerTable table;
    REQUIRE(passes(table, header(0, 0, 1)));
    const ProducerMap before = table.states();
    ProducerTable::Undo undo;
    table.update(header(0, 1, 1), Timestamp{2}, &undo);
    table.update(header(1, 0, 1), Timestamp{3}, &undo);
    auto other = header(0, 0, 1);
    other.producer_id = ProducerId{8};
    table.update(other, Timestamp{3}, &undo);
    CHECK(table.states() != before);
    table.apply(undo);
    CHECK(table.states() == before);
}

TEST_CASE("a producer that has not written for its expiration time is forgotten") {
    ProducerTable table;
    table.update(header(0, 0, 1), Timestamp{1'000}, nullptr);
    CHECK(table.expire(Timestamp{1'999}, 1'000) == 0);
    CHECK(table.expire(Timestamp{2'000}, 1'000) == 1);
    CHECK(table.states().empty());
}

}  // namespace
}  // namespace dlog::storage
