#include "storage/log.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "storage/batches.h"
#include "storage/testing_partition.h"

namespace dlog::storage {
namespace {

using testing::BatchOptions;
using testing::Bytes;
using testing::TestPartition;

constexpr Offset kFar{1'000'000};

LogConfig small_segments(std::int64_t segment_bytes = 1'000) {
    LogConfig config;
    config.segment_bytes = segment_bytes;
    config.index_interval_bytes = 200;
    return config;
}

template <class Step>
std::size_t count_steps(const WritePlan& plan) {
    return static_cast<std::size_t>(std::ranges::count_if(
        plan.steps, [](const WriteStep& step) { return std::holds_alternative<Step>(step); }));
}

TEST_CASE("a new log is empty and has nothing to write") {
    TestPartition partition{LogConfig{}};
    Log& log = partition.log();
    CHECK(log.log_start_offset() == Offset{0});
    CHECK(log.log_end_offset() == Offset{0});
    CHECK_FALSE(log.has_unwritten());
    CHECK(log.take_writes().empty());
    CHECK(log.sync_target().segments.empty());
    CHECK(log.checkpoint_need() == CheckpointNeed::kNone);
    CHECK(std::holds_alternative<NothingToRead>(*log.read({Offset{0}, kFar, 100, true})));
}

TEST_CASE("an append gets offsets and the leader's epoch, and leaves the rest of the batch alone") {
    TestPartition partition{LogConfig{}};
    partition.epoch = LeaderEpoch{5};
    REQUIRE(partition.append({.record_count = 3}));
    const auto second = partition.append({.record_count = 2});
    REQUIRE(second);
    CHECK(second->base_offset == Offset{3});
    CHECK(second->next_offset == Offset{5});
    CHECK(second->log_append_time == kNoTimestamp);
    const auto read = partition.read({Offset{3}, kFar, 1 << 20, true});
    const auto header = record::read_batch_header(read->bytes);
    CHECK(header->base_offset == Offset{3});
    CHECK(header->leader_epoch == LeaderEpoch{5});
    CHECK(record::verify_crc(read->bytes));
    CHECK(partition.log().epochs().latest() == LeaderEpoch{5});
}

TEST_CASE("LogAppendTime stamps the batch with the node's time") {
    LogConfig config;
    config.timestamp_type = TimestampType::kLogAppendTime;
    TestPartition partition{config};
    partition.now = Timestamp{777};
    const auto appended = partition.append({.record_count = 2, .timestamp = Timestamp{5}});
    CHECK(appended->log_append_time == Timestamp{777});
    const auto read = partition.read({Offset{0}, kFar, 1 << 20, true});
    const auto header = record::read_batch_header(read->bytes);
    CHECK(header->has_log_append_time());
    CHECK(header->max_timestamp == Timestamp{777});
    CHECK(record::verify_crc(read->bytes));
    CHECK(partition.log().segments().back().max_timestamp == Timestamp{777});
}

TEST_CASE("what is not one whole batch, or larger than a segment, is refused") {
    TestPartition partition{small_segments()};
    const Buffer batch = testing::make_batch();
    const auto append = [&](Buffer bytes) {
        return partition.log().append(std::move(bytes), LeaderEpoch{1}, Timestamp{1});
    };
    CHECK(append(batch.slice(0, batch.size() - 1)).error() == Error::kBadBatch);
    CHECK(append(batch.slice(0, 60)).error() == Error::kBadBatch);
    CHECK(append(testing::make_batch({.value_bytes = 1'000})).error() == Error::kBatchTooLarge);
    CHECK(partition.log().log_end_offset() == Offset{0});
}

TEST_CASE("flushing moves written and persisted, each when its step is reported") {
    TestPartition partition{LogConfig{}};
    Log& log = partition.log();
    REQUIRE(partition.append());
    CHECK(log.unsynced_records() == 1);
    const WritePlan plan = log.take_writes();
    CHECK(count_steps<CreateSegment>(plan) == 1);
    CHECK(count_steps<WriteBytes>(plan) == 1);
    REQUIRE(partition.append());  // While the write is under way.
    CHECK(log.written_offset() == Offset{0});
    CHECK(log.has_unwritten());
    for (const WriteStep& step : plan.steps) partition.folder.perform(step);
    log.written();
    CHECK(log.written_offset() == Offset{1});
    CHECK(log.persisted_offset() == Offset{0});
    const SyncTarget target = log.sync_target();
    CHECK(target.end_offset == Offset{1});
    CHECK(target.segments == std::vector{Offset{0}});
    CHECK(target.changes_folder);
    partition.write();  // More is written while the sync is under way.
    log.persisted(target);
    CHECK(log.persisted_offset() == Offset{1});
    CHECK(log.written_offset() == Offset{2});
    CHECK_FALSE(log.sync_target().changes_folder);
    partition.flush();
    CHECK(log.persisted_offset() == Offset{2});
    CHECK(log.unsynced_bytes() == 0);
    const Bytes& file = partition.folder.logs[Offset{0}].bytes;
    CHECK(verify_range(file, Offset{0}).next_offset == Offset{2});
}

TEST_CASE("a full segment is sealed with its indexes and the next one begins") {
    TestPartition partition{small_segments()};
    for (int i = 0; i < 30; ++i) REQUIRE(partition.append({.value_bytes = 30}));
    const WritePlan plan = partition.log().take_writes();
    const std::size_t segments = partition.log().segments().size();
    CHECK(segments > 2);
    CHECK(count_steps<CreateSegment>(plan) == segments);
    CHECK(count_steps<SealSegment>(plan) == segments - 1);
    for (const WriteStep& step : plan.steps) partition.folder.perform(step);
    partition.log().written();
    partition.sync();
    CHECK(partition.log().persisted_offset() == Offset{30});
    for (const Segment& segment : partition.log().segments()) {
        CHECK(segment.size_bytes <= 1'000);
        const Bytes& file = partition.folder.logs[segment.base_offset].bytes;
        CHECK(file.size() == segment.size_bytes);
        CHECK(verify_range(file, segment.base_offset).next_offset == segment.end_offset);
    }
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{30});
}

TEST_CASE("a segment rolls by the records' time, and by the clock when they have none") {
    LogConfig config;
    config.segment_ms = 1'000;
    TestPartition partition{config};
    REQUIRE(partition.append({.timestamp = Timestamp{5'000}}));
    REQUIRE(partition.append({.timestamp = Timestamp{6'000}}));
    CHECK(partition.log().segments().size() == 1);
    REQUIRE(partition.append({.timestamp = Timestamp{6'001}}));
    CHECK(partition.log().segments().size() == 2);
    TestPartition timeless{config};
    REQUIRE(timeless.append({.timestamp = kNoTimestamp}));
    timeless.now.ms += 1'000;
    REQUIRE(timeless.append({.timestamp = kNoTimestamp}));
    CHECK(timeless.log().segments().size() == 1);
    timeless.now.ms += 1;
    REQUIRE(timeless.append({.timestamp = kNoTimestamp}));
    CHECK(timeless.log().segments().size() == 2);
}

TEST_CASE("jitter makes partitions roll at different times, never late") {
    LogConfig config;
    config.segment_ms = 1'000;
    config.segment_jitter_ms = 500;
    std::set<std::int64_t> ages;
    for (std::uint64_t seed = 1; seed < 20; ++seed) {
        TestPartition partition{config, seed};
        REQUIRE(partition.append({.timestamp = Timestamp{0}}));
        std::int64_t age = 0;
        while (partition.log().segments().size() == 1) {
            age += 10;
            REQUIRE(partition.append({.timestamp = Timestamp{age}}));
        }
        CHECK(age > 500);
        CHECK(age <= 1'010);
        ages.insert(age);
    }
    CHECK(ages.size() > 5);
}

TEST_CASE("a segment rolls when its index is full") {
    LogConfig config;
    config.index_interval_bytes = 0;
    config.segment_index_bytes = 64 + 8 * 10;
    TestPartition partition{config};
    for (int i = 0; i < 100; ++i) {
        REQUIRE(partition.append({.timestamp = Timestamp{5}}));
    }
    CHECK(partition.log().segments().size() > 5);
    partition.flush();
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{100});
}

TEST_CASE("a repeated batch is answered with its first offsets and not appended") {
    TestPartition partition{LogConfig{}};
    const auto batch = [](std::int32_t sequence, int count) {
        return BatchOptions{.record_count = count,
                            .producer = ProducerId{9},
                            .producer_epoch = ProducerEpoch{0},
                            .sequence = sequence};
    };
    REQUIRE(partition.append({.record_count = 5}));
    REQUIRE(partition.append(batch(0, 3)));
    REQUIRE(partition.append(batch(3, 2)));
    const auto again = partition.append(batch(0, 3));
    REQUIRE(again);
    CHECK(again->is_duplicate);
    CHECK(again->base_offset == Offset{5});
    CHECK(again->next_offset == Offset{8});
    CHECK(partition.log().log_end_offset() == Offset{10});
    CHECK(partition.append(batch(6, 1)).error() == Error::kOutOfOrderSequence);
}

TEST_CASE("a write that failed takes the log back to what is in the files") {
    TestPartition partition{small_segments()};
    Log& log = partition.log();
    const auto batch = [](std::int32_t sequence) {
        return BatchOptions{.value_bytes = 50,
                            .timestamp = Timestamp{100 + sequence},
                            .producer = ProducerId{9},
                            .producer_epoch = ProducerEpoch{0},
                            .sequence = sequence};
    };
    for (int i = 0; i < 4; ++i) REQUIRE(partition.append(batch(i)));
    partition.flush();
    const LogImage before = log.image(false);
    const std::uint64_t size_before = log.size_bytes();

    partition.epoch = LeaderEpoch{2};
    for (int i = 4; i < 40; ++i) REQUIRE(partition.append(batch(i)));
    const WritePlan plan = log.take_writes();
    for (int i = 40; i < 50; ++i) REQUIRE(partition.append(batch(i)));
    // Some of the steps were done, one of them by half.
    partition.folder.perform(plan.steps[0]);
    partition.folder.perform(plan.steps[1]);
    partition.folder.perform(plan.steps[2]);
    const LostRange lost = log.write_failed();
    CHECK(lost.begin_offset == Offset{4});
    CHECK(lost.end_offset == Offset{50});
    CHECK(log.log_end_offset() == Offset{4});
    CHECK(log.size_bytes() == size_before);
    CHECK(log.generation() == 1);
    const LogImage after = log.image(false);
    CHECK(after.segments == before.segments);
    CHECK(after.producers == before.producers);
    CHECK(after.epochs == before.epochs);
    CHECK(log.epochs().latest() == LeaderEpoch{1});
    CHECK(log.segments().size() == 1);

    // The same sequence comes again and is no duplicate; the files are cut back first.
    REQUIRE(partition.append(batch(4)));
    const WritePlan retry = log.take_writes();
    CHECK(count_steps<TruncateSegment>(retry) == 1);
    CHECK(count_steps<RemoveSegment>(retry) > 0);
    for (const WriteStep& step : retry.steps) partition.folder.perform(step);
    log.written();
    partition.sync();
    CHECK(log.persisted_offset() == Offset{5});
    CHECK(partition.folder.logs.size() == 1);
    CHECK(verify_range(partition.folder.logs[Offset{0}].bytes, Offset{0}).next_offset == Offset{5});
    partition.recover();
    CHECK(partition.log().log_end_offset() == Offset{5});
}

TEST_CASE("writes may fail again and again, and the repairs stay few") {
    TestPartition partition{small_segments()};
    REQUIRE(partition.append());
    partition.flush();
    for (int round = 0; round < 50; ++round) {
        for (int i = 0; i < 30; ++i) REQUIRE(partition.append({.value_bytes = 40}));
        const WritePlan plan = partition.log().take_writes();
        CHECK(plan.steps.size() < 30);
        static_cast<void>(partition.log().write_failed());
        CHECK(partition.log().log_end_offset() == Offset{1});
    }
    partition.flush();
    CHECK(partition.log().log_end_offset() == Offset{1});
    CHECK(partition.folder.logs.size() == 1);
}

TEST_CASE("the first write of a log may fail too") {
    TestPartition partition{LogConfig{}};
    REQUIRE(partition.append());
    static_cast<void>(partition.log().take_writes());
    const LostRange lost = partition.log().write_failed();
    CHECK(lost.end_offset == Offset{1});
    CHECK(partition.log().log_end_offset() == Offset{0});
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.log().persisted_offset() == Offset{1});
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{1});
}

TEST_CASE("a sync that failed takes the log back to what is on stable storage") {
    TestPartition partition{small_segments()};
    Log& log = partition.log();
    for (int i = 0; i < 4; ++i) REQUIRE(partition.append());
    partition.flush();
    for (int i = 0; i < 40; ++i) REQUIRE(partition.append());
    partition.write();
    static_cast<void>(log.sync_target());
    for (int i = 0; i < 4; ++i) REQUIRE(partition.append());
    partition.write();
    log.evict_tail(0);
    const LostRange lost = log.sync_failed();
    CHECK(lost.begin_offset == Offset{4});
    CHECK(lost.end_offset == Offset{48});
    CHECK(log.log_end_offset() == Offset{4});
    REQUIRE(partition.append({.fill = 'n'}));
    partition.flush();
    CHECK(log.persisted_offset() == Offset{5});
    CHECK(partition.folder.logs.size() == 1);
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{5});
}

TEST_CASE("a sync that ends after what it covered was lost moves nothing") {
    TestPartition partition{LogConfig{}};
    Log& log = partition.log();
    REQUIRE(partition.append());
    partition.write();
    const SyncTarget target = log.sync_target();
    static_cast<void>(log.sync_failed());
    REQUIRE(partition.append());
    partition.write();
    log.persisted(target);
    CHECK(log.persisted_offset() == Offset{0});
}

TEST_CASE("reads outside the log are refused") {
    TestPartition partition{small_segments()};
    for (int i = 0; i < 3; ++i) REQUIRE(partition.append());
    CHECK(partition.log().read({Offset{4}, kFar, 10, true}).error() == Error::kOffsetOutOfRange);
    CHECK(partition.log().read({Offset{-1}, kFar, 10, true}).error() == Error::kOffsetOutOfRange);
    CHECK(partition.log().read({Offset{3}, kFar, 10, true}).has_value());
}

TEST_CASE("nothing at or above the limit is served") {
    TestPartition partition{LogConfig{}};
    REQUIRE(partition.append({.record_count = 2}));
    REQUIRE(partition.append({.record_count = 2}));
    CHECK(partition.read({Offset{0}, Offset{0}, 1 << 20, true})->bytes.empty());
    CHECK(partition.read({Offset{0}, Offset{1}, 1 << 20, true})->bytes.empty());
    CHECK(partition.read({Offset{0}, Offset{2}, 1 << 20, true})->next_offset == Offset{2});
    CHECK(partition.read({Offset{0}, Offset{3}, 1 << 20, true})->next_offset == Offset{2});
    CHECK(partition.read({Offset{0}, Offset{4}, 1 << 20, true})->next_offset == Offset{4});
}

TEST_CASE("retention by time drops whole segments whose records are all too old") {
    LogConfig config = small_segments(300);
    config.retention_ms = 100;
    TestPartition partition{config};
    for (int i = 0; i < 20; ++i) {
        REQUIRE(partition.append({.value_bytes = 30, .timestamp = Timestamp{i * 10}}));
    }
    partition.flush();
    const auto segments = partition.log().segments();
    REQUIRE(segments.size() > 5);
    const Timestamp now{segments[2].max_timestamp.ms + 101};
    CHECK(partition.log().apply_retention(now, segments[1].end_offset).segments.size() == 2);
    const Retired retired = partition.log().apply_retention(now, kFar);
    REQUIRE(retired.segments.size() == 1);
    CHECK(retired.segments[0] == segments[2]);
    CHECK(retired.log_start_offset == segments[3].base_offset);
    CHECK(partition.log().log_start_offset() == segments[3].base_offset);
    CHECK(partition.log().epochs().entries()[0].start_offset == segments[3].base_offset);
    CHECK(partition.log().checkpoint_need() == CheckpointNeed::kNow);
    CHECK(partition.log().read({Offset{0}, kFar, 10, true}).error() == Error::kOffsetOutOfRange);
    CHECK(partition.read_all(segments[3].base_offset, kFar).next_offset == Offset{20});
}

TEST_CASE("retention by size keeps at least what retention.bytes asks for") {
    LogConfig config = small_segments(300);
    config.retention_ms = -1;
    config.retention_bytes = 700;
    TestPartition partition{config};
    for (int i = 0; i < 20; ++i) REQUIRE(partition.append({.value_bytes = 30}));
    partition.flush();
    const Retired retired = partition.log().apply_retention(Timestamp{0}, kFar);
    CHECK(retired.segments.size() > 1);
    CHECK(partition.log().size_bytes() >= 700);
    CHECK(partition.log().size_bytes() - partition.log().segments()[0].size_bytes < 700);
    CHECK(partition.log().apply_retention(Timestamp{0}, kFar).segments.empty());
}

TEST_CASE("when the whole log is too old the active segment rolls and goes too") {
    LogConfig config = small_segments(300);
    config.retention_ms = 100;
    TestPartition partition{config};
    for (int i = 0; i < 8; ++i) REQUIRE(partition.append({.timestamp = Timestamp{i}}));
    partition.flush();
    const std::size_t count = partition.log().segments().size();
    const Retired retired = partition.log().apply_retention(Timestamp{1'000}, kFar);
    CHECK(retired.segments.size() == count);
    CHECK(partition.log().log_start_offset() == Offset{8});
    CHECK(partition.log().log_end_offset() == Offset{8});
    CHECK(partition.log().size_bytes() == 0);
    CHECK(partition.log().apply_retention(Timestamp{1'000}, kFar).segments.empty());
    partition.checkpoint();
    for (const Segment& segment : retired.segments) {
        partition.folder.perform(RemoveSegment{segment.base_offset});
    }
    partition.recover();
    CHECK(partition.log().log_start_offset() == Offset{8});
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.read_all(Offset{8}, kFar).next_offset == Offset{9});
}

TEST_CASE("a write that fails after retention took the segment before goes back to where it was") {
    LogConfig config = small_segments(300);
    config.retention_ms = 100;
    TestPartition partition{config};
    while (partition.log().segments().size() < 2) {
        REQUIRE(partition.append({.timestamp = Timestamp{1}}));
        if (partition.log().segments().size() < 2) partition.flush();
    }
    // Persisted to the end of the first segment; the second has one batch that is not written.
    const Offset seam = partition.log().segments()[1].base_offset;
    CHECK(partition.log().persisted_offset() == seam);
    CHECK(partition.log().apply_retention(Timestamp{1'000}, kFar).segments.size() == 1);
    static_cast<void>(partition.log().take_writes());
    CHECK(partition.log().write_failed().begin_offset == seam);
    CHECK(partition.log().log_end_offset() == seam);
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.read_all(seam, kFar).next_offset == seam + 1);
}

TEST_CASE("what was cut back is synced before anything behind it counts") {
    TestPartition partition{small_segments(300)};
    Log& log = partition.log();
    REQUIRE(partition.append({.value_bytes = 30}));
    partition.flush();
    REQUIRE(partition.append({.value_bytes = 30}));
    const WritePlan plan = log.take_writes();
    for (const WriteStep& step : plan.steps) partition.folder.perform(step);
    static_cast<void>(log.write_failed());  // All of it is in the file, but nobody knows.
    // The next batch does not fit, so that the segment that is cut gets no new bytes.
    REQUIRE(partition.append({.value_bytes = 150}));
    REQUIRE(log.segments().size() == 2);
    partition.write();
    CHECK(log.sync_target().segments == std::vector{Offset{0}, Offset{1}});
    partition.sync();
    REQUIRE(partition.append());
    partition.write();
    CHECK(log.sync_target().segments == std::vector{Offset{1}});
}

TEST_CASE("a full disk does not keep retention from making room") {
    LogConfig config = small_segments(300);
    config.retention_ms = -1;
    config.retention_bytes = 0;
    TestPartition partition{config};
    for (int i = 0; i < 20; ++i) REQUIRE(partition.append());
    partition.flush();
    REQUIRE(partition.append());
    static_cast<void>(partition.log().take_writes());
    static_cast<void>(partition.log().write_failed());
    CHECK(partition.log().apply_retention(Timestamp{0}, kFar).segments.size() > 3);
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.read_all(partition.log().log_start_offset(), kFar).next_offset == Offset{21});
}

TEST_CASE("retention leaves a log alone whose cleanup policy does not delete") {
    LogConfig config = small_segments(300);
    config.retention_ms = 0;
    config.deletes_old = false;
    TestPartition partition{config};
    for (int i = 0; i < 8; ++i) REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.log().apply_retention(Timestamp{INT64_MAX / 2}, kFar).segments.empty());
}

TEST_CASE("deleted records are not served, and the segments before the log's start go") {
    LogConfig config = small_segments(300);
    config.deletes_old = false;
    TestPartition partition{config};
    for (int i = 0; i < 8; ++i) REQUIRE(partition.append({.record_count = 3}));
    partition.flush();
    Log& log = partition.log();
    const auto segments = log.segments();
    REQUIRE(segments.size() > 3);
    const Offset start = segments[2].base_offset + 1;
    const Retired retired = log.delete_before(start);
    CHECK(retired.segments.size() == 2);
    CHECK(log.log_start_offset() == start);
    CHECK(log.read({start - 1, kFar, 10, true}).error() == Error::kOffsetOutOfRange);
    CHECK(partition.read_all(start, kFar).next_offset == Offset{24});
    CHECK(log.epochs().entries()[0].start_offset == start);
    CHECK(log.checkpoint_need() == CheckpointNeed::kNow);
    partition.checkpoint();
    partition.recover();
    CHECK(partition.log().log_start_offset() == start);
    CHECK(partition.log().segments().size() == segments.size() - 2);
}

TEST_CASE("a log whose records are all deleted goes on at its end") {
    TestPartition partition{small_segments(300)};
    for (int i = 0; i < 8; ++i) REQUIRE(partition.append());
    partition.flush();
    const Offset end = partition.log().log_end_offset();
    CHECK(partition.log().delete_before(end).segments.size() > 1);
    CHECK(partition.log().size_bytes() == 0);
    partition.checkpoint();
    partition.recover();
    CHECK(partition.log().log_start_offset() == end);
    CHECK(partition.append()->base_offset == end);
}

TEST_CASE("a timestamp is looked for from a batch that nothing as late lies before") {
    TestPartition partition{small_segments()};
    for (int i = 0; i < 60; ++i) {
        REQUIRE(partition.append({.record_count = 2, .timestamp = Timestamp{1'000 + i * 10}}));
    }
    partition.flush();
    for (std::int64_t time = 990; time <= 1'590; ++time) {
        const auto scan = partition.log().find_time(Timestamp{time});
        REQUIRE(scan);
        const std::int64_t first = std::max<std::int64_t>(0, (time - 1'000 + 9) / 10) * 2;
        CHECK(scan->from <= Offset{first});
        CHECK(first - scan->from.value < 40);
    }
    CHECK_FALSE(partition.log().find_time(Timestamp{1'591}));
    const auto latest = partition.log().find_max_time();
    REQUIRE(latest);
    CHECK(latest->time == Timestamp{1'590});
    CHECK(latest->from == Offset{118});
    TestPartition empty{LogConfig{}};
    CHECK_FALSE(empty.log().find_max_time());
    CHECK_FALSE(empty.log().find_time(Timestamp{0}));
}

TEST_CASE("a checkpoint is the log at its persisted position, whatever came after") {
    TestPartition partition{small_segments()};
    const auto batch = [](std::int32_t sequence) {
        return BatchOptions{
            .producer = ProducerId{9}, .producer_epoch = ProducerEpoch{0}, .sequence = sequence};
    };
    for (int i = 0; i < 5; ++i) REQUIRE(partition.append(batch(i)));
    partition.flush();
    const Buffer expected = encode_checkpoint(partition.log().image(false));
    partition.epoch = LeaderEpoch{3};
    for (int i = 5; i < 50; ++i) REQUIRE(partition.append(batch(i)));
    partition.write();
    for (int i = 50; i < 60; ++i) REQUIRE(partition.append(batch(i)));
    const Buffer found = encode_checkpoint(partition.log().image(true));
    CHECK(std::ranges::is_permutation(found.view(), expected.view()));
    CHECK(std::equal(found.view().begin(), found.view().end(), expected.view().begin()));
}

TEST_CASE(
    "a checkpoint is wanted when something changed, and at once when a segment was finished") {
    TestPartition partition{small_segments()};
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.log().checkpoint_need() == CheckpointNeed::kSome);
    partition.checkpoint();
    CHECK(partition.log().checkpoint_need() == CheckpointNeed::kNone);
    while (partition.log().segments().size() == 1) REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.log().checkpoint_need() == CheckpointNeed::kNow);
    partition.checkpoint();
    CHECK(partition.log().checkpoint_need() == CheckpointNeed::kNone);
}

}  // namespace
}  // namespace dlog::storage
