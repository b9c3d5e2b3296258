#include "storage/cleaner.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "storage/testing_compaction.h"

namespace dlog::storage {
namespace {

using testing::CompactOptions;
using testing::CompactOutcome;
using testing::KeyedRecord;
using testing::make_keyed_batch;
using testing::records_of;
using testing::TestPartition;

constexpr Offset kFar{1'000'000'000};

LogConfig compacted(std::int64_t segment_bytes = 400) {
    LogConfig config;
    config.segment_bytes = segment_bytes;
    config.index_interval_bytes = 100;
    config.compacts = true;
    config.deletes_old = false;
    config.retention_ms = -1;
    return config;
}

Offset put(TestPartition& partition, std::vector<KeyedRecord> records,
           record::BatchSpec spec = {}) {
    const auto appended =
        partition.log().append(make_keyed_batch(records, spec), partition.epoch, partition.now);
    REQUIRE(appended.has_value());
    return appended->base_offset;
}

/// Appends records of a key of their own until another segment is begun, and flushes.
void roll(TestPartition& partition) {
    const std::size_t before = partition.log().segments().size();
    while (partition.log().segments().size() == before) {
        put(partition, {{"roll", std::string(100, 'r')}});
    }
    partition.flush();
    partition.checkpoint();
    partition.log().evict_tail(0);
}

std::map<Offset, KeyedRecord> contents(TestPartition& partition) {
    const Offset start = partition.log().log_start_offset();
    const auto read = partition.read_all(start, kFar);
    REQUIRE_FALSE(read.damage);
    REQUIRE(read.next_offset == partition.log().log_end_offset());
    return records_of(read.bytes, start);
}

std::vector<record::BatchHeader> headers_of(TestPartition& partition) {
    const auto read = partition.read_all(partition.log().log_start_offset(), kFar);
    std::vector<record::BatchHeader> headers;
    BatchWalker walker(read.bytes, partition.log().log_start_offset(), CrcCheck::kYes);
    while (const auto item = walker.next()) headers.push_back(item->header);
    REQUIRE(walker.stop() == BatchWalker::Stop::kEnd);
    return headers;
}

TEST_CASE("of each key the latest record is kept at its offset") {
    TestPartition partition(compacted());
    put(partition, {{"a", "1"}, {"b", "1"}, {"a", "2"}});
    const Offset kept = put(partition, {{"a", "3"}});
    roll(partition);
    const CompactOutcome outcome = testing::compact(partition);
    CHECK(outcome.removed_records >= 2);
    const auto records = contents(partition);
    CHECK_FALSE(records.contains(Offset{0}));
    CHECK_FALSE(records.contains(Offset{2}));
    CHECK(records.at(Offset{1}).value == "1");
    CHECK(records.at(kept).value == "3");
    CHECK(partition.log().cleaned_to() == partition.log().sealed_segments().back().end_offset);
}

TEST_CASE("a batch keeps its offsets, epoch, producer and codec when records go out of it") {
    for (const auto codec :
         {codec::Compression::kNone, codec::Compression::kGzip, codec::Compression::kSnappy,
          codec::Compression::kLz4, codec::Compression::kZstd}) {
        TestPartition partition(compacted());
        record::BatchSpec spec;
        spec.compression = codec;
        spec.producer_id = ProducerId{9};
        spec.producer_epoch = ProducerEpoch{2};
        spec.base_sequence = 0;
        put(partition, {{"a", "1"}, {"b", "1", Timestamp{5'000}}, {"a", "2", Timestamp{3'000}}},
            spec);
        put(partition, {{"a", "3"}});
        roll(partition);
        (void)testing::compact(partition);
        const record::BatchHeader header = headers_of(partition).front();
        CHECK(header.base_offset == Offset{0});
        CHECK(header.last_offset_delta == 2);
        CHECK(header.record_count == 1);
        CHECK(header.compression() == codec);
        CHECK(header.producer_id == ProducerId{9});
        CHECK(header.producer_epoch == ProducerEpoch{2});
        CHECK(header.base_sequence == 0);
        CHECK(header.leader_epoch == partition.epoch);
        CHECK(header.base_timestamp == Timestamp{1'000});
        CHECK(header.max_timestamp == Timestamp{5'000});
        CHECK(contents(partition).at(Offset{1}) == KeyedRecord{"b", "1", Timestamp{5'000}});
    }
}

TEST_CASE("an empty batch covers the offsets of batches that went, one for each epoch") {
    TestPartition partition(compacted(2'000));
    for (int i = 0; i < 5; ++i) put(partition, {{"a", "old"}});
    partition.epoch = LeaderEpoch{2};
    for (int i = 0; i < 5; ++i) put(partition, {{"a", "old"}});
    const Offset last = put(partition, {{"a", "new"}});
    roll(partition);
    (void)testing::compact(partition);
    const auto headers = headers_of(partition);
    REQUIRE(headers.size() >= 3);
    CHECK(headers[0].record_count == 0);
    CHECK(headers[0].base_offset == Offset{0});
    CHECK(headers[0].next_offset() == Offset{5});
    CHECK(headers[0].leader_epoch == LeaderEpoch{1});
    CHECK_FALSE(headers[0].has_producer());
    CHECK(headers[0].max_timestamp == kNoTimestamp);
    CHECK(headers[1].leader_epoch == LeaderEpoch{2});
    CHECK(headers[1].next_offset() == last);
    CHECK(headers[2].base_offset == last);
    // A read in a gap begins with the batch that covers it.
    const auto read = partition.read({Offset{7}, kFar, 1, true});
    CHECK(read->first_offset == Offset{5});
    // Nothing is left to be done: the same again changes nothing.
    put(partition, {{"z", "1"}});
    roll(partition);
    (void)testing::compact(partition);
    CHECK(headers_of(partition)[0].next_offset() == Offset{5});
    CHECK(headers_of(partition)[2].base_offset == last);
}

TEST_CASE("the last batch of a producer stays as a header, so that its sequence can be read") {
    TestPartition partition(compacted());
    record::BatchSpec spec;
    spec.producer_id = ProducerId{4};
    spec.producer_epoch = ProducerEpoch{0};
    spec.base_sequence = 0;
    put(partition, {{"a", "1"}}, spec);
    spec.base_sequence = 1;
    put(partition, {{"a", "2"}}, spec);
    put(partition, {{"a", "3"}});
    roll(partition);
    (void)testing::compact(partition);
    const auto headers = headers_of(partition);
    CHECK_FALSE(headers[0].has_producer());
    CHECK(headers[1].record_count == 0);
    CHECK(headers[1].producer_id == ProducerId{4});
    CHECK(headers[1].last_sequence() == 1);

    partition.folder.checkpoint.reset();
    partition.recover();
    const auto state = partition.log().producers().states().at(ProducerId{4});
    CHECK(state.batches[state.batch_count - 1U].last_sequence == 1);
}

TEST_CASE("a tombstone stays until delete.retention.ms after it was first cleaned (KIP-534)") {
    LogConfig config = compacted();
    config.delete_retention_ms = 1'000;
    TestPartition partition(config);
    put(partition, {{"a", "1"}});
    const Offset tombstone = put(partition, {{"b", "1"}, {"a", std::nullopt, Timestamp{900}}}) + 1;
    roll(partition);
    (void)testing::compact(partition);
    const Timestamp cleaned_at = partition.now;
    CHECK_FALSE(contents(partition).contains(Offset{0}));
    CHECK(contents(partition).at(tombstone) == KeyedRecord{"a", std::nullopt, Timestamp{900}});
    const auto horizon_of = [&] {
        for (const auto& header : headers_of(partition)) {
            if (header.base_offset + 1 == tombstone) return header;
        }
        FAIL("the batch is gone");
        return record::BatchHeader{};
    };
    CHECK(horizon_of().has_delete_horizon());
    CHECK(horizon_of().base_timestamp == Timestamp{cleaned_at.ms + 1'000});

    // A second cleaning does not put the end off.
    partition.now = Timestamp{cleaned_at.ms + 999};
    roll(partition);
    (void)testing::compact(partition);
    CHECK(horizon_of().base_timestamp == Timestamp{cleaned_at.ms + 1'000});
    CHECK(contents(partition).contains(tombstone));

    partition.now = Timestamp{cleaned_at.ms + 1'000};
    roll(partition);
    (void)testing::compact(partition);
    CHECK_FALSE(contents(partition).contains(tombstone));
    CHECK(contents(partition).at(tombstone - 1) == KeyedRecord{"b", "1"});
}

TEST_CASE("neighbours that compaction made small become one segment, within segment.bytes") {
    TestPartition partition(compacted(1'000));
    for (int i = 0; i < 100; ++i) put(partition, {{"a", std::string(50, 'a')}});
    roll(partition);
    const std::size_t before = partition.log().segments().size();
    (void)testing::compact(partition);
    put(partition, {{"b", "1"}});
    roll(partition);
    (void)testing::compact(partition);
    CHECK(before > 10);
    CHECK(partition.log().segments().size() < 6);
    for (const Segment& segment : partition.log().segments()) CHECK(segment.size_bytes <= 1'000);
    std::uint64_t size = 0;
    for (const Segment& segment : partition.log().segments()) size += segment.size_bytes;
    CHECK(partition.log().size_bytes() == size);
}

TEST_CASE("a map that holds few keys cleans in several rounds") {
    TestPartition partition(compacted(2'000));
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 30; ++i) put(partition, {{"key " + std::to_string(i), "v"}});
    }
    roll(partition);
    int rounds = 0;
    Offset cleaned_to;
    while (true) {
        (void)testing::compact(partition, {.map_bytes = 24 * 12});
        if (partition.log().cleaned_to() == cleaned_to) break;
        cleaned_to = partition.log().cleaned_to();
        REQUIRE(++rounds < 20);
    }
    CHECK(rounds > 3);
    const auto records = contents(partition);
    for (int i = 0; i < 30; ++i) {
        CHECK_FALSE(records.contains(Offset{i}));
        CHECK(records.contains(Offset{30 + i}));
    }
}

TEST_CASE("damage stops the cleaning and stays where it is") {
    TestPartition partition(compacted());
    put(partition, {{"a", "1"}});
    put(partition, {{"a", "2"}});
    roll(partition);
    auto& file = partition.folder.logs.at(Offset{0}).bytes;
    file[record::kBatchHeaderSize + 2] ^= 1;
    const auto before = file;
    const CompactOutcome outcome = testing::compact(partition);
    REQUIRE(outcome.damage.has_value());
    CHECK(outcome.damage->reason == DamageReason::kBadCrc);
    CHECK(outcome.damage->first_offset == Offset{0});
    CHECK(partition.folder.logs.at(Offset{0}).bytes == before);
    CHECK(partition.log().cleaned_to() == Offset{0});
}

TEST_CASE("a segment whose file is cut short is damaged") {
    TestPartition partition(compacted());
    put(partition, {{"a", "1"}});
    put(partition, {{"a", "2"}});
    roll(partition);
    auto& file = partition.folder.logs.at(Offset{0}).bytes;
    const auto whole = file;
    for (std::size_t size = 0; size < whole.size(); ++size) {
        file.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        const CompactOutcome outcome = testing::compact(partition);
        REQUIRE(outcome.damage.has_value());
        REQUIRE(partition.log().cleaned_to() == Offset{0});
    }
}

TEST_CASE("segments with records younger than min.compaction.lag.ms are not cleaned") {
    const std::vector<Segment> sealed = {{.base_offset = Offset{0},
                                          .end_offset = Offset{10},
                                          .size_bytes = 100,
                                          .max_timestamp = Timestamp{1'000}},
                                         {.base_offset = Offset{10},
                                          .end_offset = Offset{20},
                                          .size_bytes = 300,
                                          .max_timestamp = Timestamp{3'000}},
                                         {.base_offset = Offset{20},
                                          .end_offset = Offset{30},
                                          .size_bytes = 100,
                                          .max_timestamp = Timestamp{2'000}}};
    const auto all = find_cleanable(sealed, Offset{10}, Timestamp{5'000}, 0);
    CHECK(all.segment_count == 3);
    CHECK(all.dirty_from == Offset{10});
    CHECK(all.dirty_to == Offset{30});
    CHECK(all.dirty_ratio() == doctest::Approx(0.8));
    // A young segment hides the older one behind it.
    const auto some = find_cleanable(sealed, Offset{0}, Timestamp{5'000}, 2'500);
    CHECK(some.segment_count == 1);
    CHECK(some.dirty_to == Offset{10});
    CHECK(find_cleanable(sealed, Offset{10}, Timestamp{5'000}, 2'500).is_empty());
    CHECK(find_cleanable({}, Offset{10}, Timestamp{5'000}, 0).is_empty());
}

TEST_CASE("an idle segment is rolled when max.compaction.lag.ms wants it cleaned") {
    LogConfig config = compacted(1 << 20);
    config.max_compaction_lag_ms = 5'000;
    TestPartition partition(config);
    partition.now = Timestamp{2'000};
    put(partition, {{"a", "1"}, {"a", "2"}});
    CHECK_FALSE(partition.log().roll_for_compaction(Timestamp{7'000}).has_value());  // not synced
    partition.flush();
    partition.checkpoint();
    CHECK_FALSE(partition.log().roll_for_compaction(Timestamp{6'000}).has_value());
    const auto step = partition.log().roll_for_compaction(Timestamp{6'001});
    REQUIRE(step.has_value());
    partition.folder.perform(*step);
    CHECK(partition.log().sealed_segments().size() == 1);
    CHECK_FALSE(partition.log().roll_for_compaction(Timestamp{99'000}).has_value());
    CHECK(testing::compact(partition).removed_records == 1);
    put(partition, {{"a", "3"}});
    partition.flush();
    CHECK(contents(partition).size() == 2);
    partition.recover();
    CHECK(contents(partition).size() == 2);
}

TEST_CASE("a crash before the checkpoint knows a rewritten segment leaves the old ones") {
    TestPartition partition(compacted());
    put(partition, {{"a", "1"}});
    put(partition, {{"a", "2"}});
    roll(partition);
    const auto before = contents(partition);
    CHECK(testing::compact(partition, {.stop = testing::StopAt::kOffered}).has_stopped);
    partition.recover();
    CHECK(contents(partition) == before);
    CHECK(partition.log().cleaned_to() == Offset{0});
}

TEST_CASE("time is found in a compacted segment, and a segment without records has none") {
    TestPartition partition(compacted());
    put(partition, {{"a", "1", Timestamp{9'000}}});
    put(partition, {{"b", "1", Timestamp{2'000}}});
    put(partition, {{"a", "2", Timestamp{3'000}}});
    roll(partition);
    (void)testing::compact(partition);
    const Segment& first = partition.log().segments().front();
    CHECK(first.max_timestamp == Timestamp{3'000});
    CHECK(first.max_timestamp_offset == Offset{2});
    CHECK_FALSE(partition.log().find_time(Timestamp{9'000}).has_value());
    CHECK(partition.log().find_max_time()->from == Offset{2});
}

// --- Random lives

class Life {
  public:
    explicit Life(std::uint64_t seed) : random_(seed), partition_(random_config(random_), seed) {
        partition_.checkpoint();
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) step();
    }

  private:
    static LogConfig random_config(Random& random) {
        LogConfig config = compacted(random.between(300, 3'000));
        config.index_interval_bytes = random.between(0, 500);
        config.delete_retention_ms = random.between(0, 400);
        return config;
    }

    void step() {
        partition_.now = Timestamp{partition_.now.ms + random_.between(0, 20)};
        const std::uint64_t dice = random_.below(100);
        if (dice < 70) {
            append();
        } else if (dice < 80) {
            partition_.flush();
            if (random_.chance(1, 2)) partition_.checkpoint();
        } else if (dice < 84) {
            partition_.log().evict_tail(random_.below(2'000));
        } else if (dice < 95) {
            compact(testing::StopAt::kNever);
        } else {
            crash();
        }
    }

    void append() {
        std::vector<KeyedRecord> records;
        const std::uint64_t count = 1 + random_.below(4);
        for (std::uint64_t i = 0; i < count; ++i) {
            KeyedRecord record{.key = "k" + std::to_string(random_.below(25)),
                               .value = std::to_string(next_value_++),
                               .timestamp = Timestamp{random_.between(0, 10'000)}};
            if (random_.chance(1, 6)) record.value.reset();
            records.push_back(record);
        }
        record::BatchSpec spec;
        spec.compression = static_cast<codec::Compression>(random_.below(5));
        if (random_.chance(1, 3)) {
            spec.producer_id = ProducerId{7};
            spec.producer_epoch = ProducerEpoch{0};
            spec.base_sequence = sequence_;
            sequence_ += static_cast<std::int32_t>(count);
        }
        const Offset base = put(partition_, records, spec);
        for (std::uint64_t i = 0; i < count; ++i) {
            full_[base + static_cast<std::int64_t>(i)] = records[i];
        }
    }

    void compact(testing::StopAt stop) {
        partition_.flush();
        partition_.checkpoint();
        const std::vector<EpochStart> epochs(partition_.log().epochs().entries().begin(),
                                             partition_.log().epochs().entries().end());
        const auto outcome =
            testing::compact(partition_, {.map_bytes = 24 * (2 + random_.below(60)), .stop = stop});
        REQUIRE_FALSE(outcome.damage.has_value());
        REQUIRE(std::ranges::equal(partition_.log().epochs().entries(), epochs));
        check();
    }

    /// Everything is flushed: what a crash tears is model_test's.
    void crash() {
        const std::array stops = {testing::StopAt::kNever, testing::StopAt::kOffered,
                                  testing::StopAt::kRenamed};
        compact(stops[random_.below(stops.size())]);
        const std::vector<EpochStart> epochs(partition_.log().epochs().entries().begin(),
                                             partition_.log().epochs().entries().end());
        if (random_.chance(1, 3)) partition_.folder.checkpoint.reset();
        partition_.recover();
        REQUIRE(partition_.recovered.damages.empty());
        REQUIRE(std::ranges::equal(partition_.log().epochs().entries(), epochs));
        const auto& states = partition_.log().producers().states();
        if (const auto state = states.find(ProducerId{7}); state != states.end()) {
            const auto& last = state->second.batches[state->second.batch_count - 1U];
            REQUIRE(last.last_sequence + 1 == sequence_);
        } else {
            REQUIRE(sequence_ == 0);
        }
        partition_.epoch = partition_.epoch + 1;
        check();
    }

    void check() {
        const auto records = contents(partition_);
        std::map<std::string, std::optional<std::string>> latest;
        for (const auto& [offset, record] : records) {
            REQUIRE(full_.at(offset) == record);
            latest[*record.key] = record.value;
        }
        std::map<std::string, std::optional<std::string>> expected;
        for (const auto& [offset, record] : full_) expected[*record.key] = record.value;
        for (const auto& [key, value] : expected) {
            const auto found = latest.find(key);
            // A key that was deleted may have no record any more.
            const auto kept = found == latest.end() ? std::nullopt : found->second;
            REQUIRE(kept == value);
        }
    }

    Random random_;
    TestPartition partition_;
    std::map<Offset, KeyedRecord> full_;  ///< what a log that is not compacted would hold
    std::int32_t sequence_ = 0;
    std::uint64_t next_value_ = 0;
};

TEST_CASE("of random logs, the latest value per key is always that of the full log") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        INFO("seed ", seed);
        Life(seed).run(150);
    }
}

}  // namespace
}  // namespace dlog::storage
