// A follower's log: batches as the leader has them, and the end of the log cut off.

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "record/batch.h"
#include "storage/testing_partition.h"

namespace dlog::storage {
namespace {

using testing::BatchOptions;
using testing::make_batch;
using testing::TestPartition;
using CutStep = TestPartition::CutStep;

constexpr Offset kFar{1'000'000};

LogConfig small_segments() {
    LogConfig config;
    config.segment_bytes = 1'000;
    config.index_interval_bytes = 100;
    return config;
}

BatchOptions of_producer(std::int32_t sequence, std::size_t value_bytes = 150) {
    return {.value_bytes = value_bytes,
            .producer = ProducerId{7},
            .producer_epoch = ProducerEpoch{0},
            .sequence = sequence};
}

/// `count` batches of one record, about four of them a segment.
void fill(TestPartition& partition, int count, std::int32_t sequence = 0) {
    for (int i = 0; i < count; ++i) {
        REQUIRE(partition.append_replicated(of_producer(sequence + i)));
    }
    partition.flush();
}

std::int32_t last_sequence(TestPartition& partition) {
    const auto& states = partition.log().producers().states();
    const auto state = states.find(ProducerId{7});
    if (state == states.end()) return -1;
    return state->second.batches[state->second.batch_count - 1U].last_sequence;
}

TEST_CASE("a leader's batch is taken byte for byte") {
    TestPartition partition(LogConfig{.timestamp_type = TimestampType::kLogAppendTime});
    const Buffer batch = make_batch({.record_count = 3, .leader_epoch = LeaderEpoch{4}});
    const std::vector<std::uint8_t> before(batch.data(), batch.data() + batch.size());
    const auto appended = partition.log().append_replicated(batch, partition.now);
    REQUIRE(appended);
    CHECK(appended->base_offset == Offset{0});
    CHECK(appended->next_offset == Offset{3});
    partition.flush();
    CHECK(partition.folder.logs.at(Offset{0}).bytes == before);
    CHECK(partition.log().epochs().latest() == LeaderEpoch{4});
    CHECK(partition.log().segments().front().max_timestamp == Timestamp{1'000});
}

TEST_CASE("a leader's batch that does not continue the log is refused and changes nothing") {
    TestPartition partition(LogConfig{});
    partition.epoch = LeaderEpoch{3};
    REQUIRE(partition.append_replicated({.record_count = 2}));
    Log& log = partition.log();
    const auto error_of = [&](std::int64_t base, int epoch) {
        const Buffer batch =
            make_batch({.base_offset = Offset{base}, .leader_epoch = LeaderEpoch{epoch}});
        const auto appended = log.append_replicated(batch, partition.now);
        return appended ? std::optional<Error>() : appended.error();
    };
    CHECK(error_of(1, 3) == Error::kBadBatch);
    CHECK(error_of(3, 3) == Error::kBadBatch);
    CHECK(error_of(2, 2) == Error::kBadBatch);
    const Buffer batch = make_batch({.base_offset = Offset{2}, .leader_epoch = LeaderEpoch{3}});
    CHECK(log.append_replicated(batch.slice(0, batch.size() - 1), partition.now).error() ==
          Error::kBadBatch);
    CHECK(log.append_replicated(Buffer(), partition.now).error() == Error::kBadBatch);
    CHECK(log.log_end_offset() == Offset{2});
    CHECK(log.size_bytes() == log.segments().front().size_bytes);
    CHECK_FALSE(error_of(2, 3));
}

TEST_CASE("a leader's batch larger than segment.bytes has a segment of its own") {
    TestPartition partition(small_segments());
    REQUIRE(partition.append_replicated({.value_bytes = 5'000}));
    REQUIRE(partition.append_replicated({.value_bytes = 10}));
    REQUIRE(partition.append_replicated({.value_bytes = 5'000}));
    REQUIRE(partition.append_replicated({.value_bytes = 10}));
    CHECK(partition.log().segments().size() == 4);
    partition.flush();
    partition.recover();
    CHECK(partition.log().log_end_offset() == Offset{4});
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{4});
}

TEST_CASE("a leader's batch is taken whatever its producer's sequence was before") {
    TestPartition partition(LogConfig{});
    REQUIRE(partition.append_replicated(of_producer(5)));
    REQUIRE(partition.append_replicated(of_producer(3)));
    CHECK(last_sequence(partition) == 3);
    CHECK(partition.log().log_end_offset() == Offset{2});
}

TEST_CASE("a cut at any offset leaves what was before it, and the log goes on behind") {
    for (int end = 0; end <= 12; ++end) {
        for (const bool has_checkpoint : {false, true}) {
            CAPTURE(end);
            CAPTURE(has_checkpoint);
            TestPartition partition(small_segments());
            partition.checkpoint();
            fill(partition, 6);
            partition.epoch = LeaderEpoch{2};
            if (has_checkpoint) partition.checkpoint();
            fill(partition, 6, 6);
            const std::uint64_t generation = partition.log().generation();
            partition.truncate(Offset{end});
            CHECK(partition.log().log_end_offset() == Offset{end});
            CHECK(partition.log().persisted_offset() == Offset{end});
            CHECK(partition.log().generation() == generation + (end < 12 ? 1U : 0U));
            CHECK(last_sequence(partition) == end - 1);
            CHECK(partition.log().epochs().latest() ==
                  (end == 0 ? kNoEpoch : LeaderEpoch{end <= 6 ? 1 : 2}));
            partition.epoch = LeaderEpoch{3};
            fill(partition, 3, end);
            const auto bytes = partition.read_all(Offset{0}, kFar);
            CHECK(bytes.next_offset == Offset{end + 3});
            CHECK_FALSE(bytes.damage);
            partition.recover();
            CHECK(partition.recovered.notes.empty());
            CHECK(partition.log().log_end_offset() == Offset{end + 3});
            CHECK(last_sequence(partition) == end + 2);
            CHECK(partition.read_all(Offset{0}, kFar).bytes == bytes.bytes);
        }
    }
}

TEST_CASE("a cut inside a batch takes the whole batch") {
    TestPartition partition(small_segments());
    partition.checkpoint();
    for (int i = 0; i < 5; ++i) REQUIRE(partition.append_replicated({.record_count = 3}));
    partition.truncate(Offset{10});
    CHECK(partition.log().log_end_offset() == Offset{9});
}

TEST_CASE("a cut behind the checkpoint reads the log from there on only") {
    LogConfig config;
    config.index_interval_bytes = 100;
    TestPartition partition(config);
    fill(partition, 20);
    partition.checkpoint();
    fill(partition, 4, 20);
    partition.truncate(Offset{22});
    CHECK(partition.cut_scan_bytes < 5 * 300);
    CHECK(last_sequence(partition) == 21);
    // Before it, all of it.
    partition.truncate(Offset{10});
    CHECK(partition.cut_scan_bytes > 10 * 150);
    CHECK(last_sequence(partition) == 9);
}

TEST_CASE("the index of a segment that grows again tells nothing of what was cut off") {
    TestPartition partition(small_segments());
    partition.checkpoint();
    fill(partition, 8);
    REQUIRE(partition.folder.indexes.contains(Offset{0}));
    partition.truncate(Offset{2});
    CHECK(partition.folder.indexes.empty());
    CHECK(partition.folder.logs.size() == 1);
}

TEST_CASE("damage that a cut would lie in is told, and what lies before does not hold it up") {
    TestPartition partition(small_segments());
    partition.checkpoint();
    fill(partition, 8);
    auto& bytes = partition.folder.logs.at(Offset{0}).bytes;
    // Of the four batches, the third and the fourth.
    bytes[bytes.size() * 5 / 8] ^= 1;
    bytes[bytes.size() * 7 / 8] ^= 1;
    std::optional<Damage> damage;
    CHECK_FALSE(partition.find_cut(Offset{3}, &damage));
    REQUIRE(damage);
    CHECK(damage->reason == DamageReason::kBadCrc);
    CHECK(damage->first_offset == Offset{2});
    CHECK(partition.find_cut(Offset{2}, &damage));
    CHECK(partition.find_cut(Offset{6}, &damage));
    CHECK(partition.find_cut(Offset{1}, &damage));
    partition.unreadable.insert(Offset{0});
    CHECK_FALSE(partition.find_cut(Offset{1}, &damage));
    CHECK(partition.find_cut(Offset{6}, &damage));
    CHECK(partition.log().log_end_offset() == Offset{8});
}

TEST_CASE("a checkpoint under way while the log is cut does not let the cut begin") {
    TestPartition partition(small_segments());
    partition.checkpoint();
    fill(partition, 8);
    const LogImage under_way = partition.log().image(false);
    partition.truncate(Offset{3}, CutStep::kMemory);
    CHECK(partition.log().needs_checkpoint());
    partition.folder.checkpoint = encode_checkpoint(under_way);
    partition.log().checkpointed(under_way);
    CHECK(partition.log().needs_checkpoint());
    CHECK(partition.log().checkpoint_need() == CheckpointNeed::kNow);
    partition.finish_cut(CutStep::kSynced);
    CHECK_FALSE(partition.log().needs_checkpoint());
    partition.recover();
    CHECK(partition.recovered.notes.empty());
    CHECK(partition.log().log_end_offset() == Offset{3});
}

TEST_CASE("a log that begins anew is empty at its start, and nothing of the old one comes back") {
    for (const std::int64_t start : {4, 8, 11, 30}) {
        CAPTURE(start);
        TestPartition partition(small_segments());
        partition.checkpoint();
        fill(partition, 8);
        partition.reset(Offset{start});
        Log& log = partition.log();
        CHECK(log.log_start_offset() == Offset{start});
        CHECK(log.log_end_offset() == Offset{start});
        CHECK(log.size_bytes() == 0);
        CHECK(log.producers().states().empty());
        CHECK(log.epochs().entries().empty());
        CHECK_FALSE(log.read({.from = Offset{start - 1}, .limit = kFar, .max_bytes = 100}));
        partition.epoch = LeaderEpoch{5};
        fill(partition, 6, 100);
        partition.recover();
        CHECK(partition.recovered.notes.empty());
        CHECK(partition.log().log_start_offset() == Offset{start});
        CHECK(partition.read_all(Offset{start}, kFar).next_offset == Offset{start + 6});
        CHECK(last_sequence(partition) == 105);
    }
}

TEST_CASE("a crash while a log begins anew finds all of the old one or nothing of it") {
    for (const CutStep last : {CutStep::kMemory, CutStep::kCheckpoint, CutStep::kSomeRepairs}) {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            TestPartition partition(small_segments());
            partition.checkpoint();
            fill(partition, 8);
            partition.reset(Offset{9}, last);
            Random random(seed);
            partition.folder.crash(random);
            partition.recover();
            const bool is_old = last == CutStep::kMemory;
            CHECK(partition.log().log_start_offset() == Offset{is_old ? 0 : 9});
            CHECK(partition.log().log_end_offset() == Offset{is_old ? 8 : 9});
            CHECK(last_sequence(partition) == (is_old ? 7 : -1));
        }
    }
}

}  // namespace
}  // namespace dlog::storage
