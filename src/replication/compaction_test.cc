// Compaction through a shard in the simulated world: what it leaves, and what faults leave of it.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "port/clock.h"
#include "port/spawn.h"
#include "record/batch.h"
#include "record/builder.h"
#include "record/reader.h"
#include "replication/partition.h"
#include "replication/shard.h"
#include "replication/testing_reads.h"
#include "sim/world.h"
#include "storage/segment.h"

namespace dlog::replication {
namespace {

using port::Task;

const PartitionKey kKey{"orders", {7, 42}, PartitionId(0)};

Task<void> stop_shard(Shard& shard) {
    co_await shard.stop();
}

struct Program final : sim::Program {
    Program(sim::Host& host, const ShardConfig& config) : shard(host.ports(), config) {}
    Shard shard;
};

storage::LogConfig compacted() {
    storage::LogConfig config;
    config.segment_bytes = 4'000;
    config.index_interval_bytes = 500;
    config.compacts = true;
    config.deletes_old = false;
    config.min_cleanable_dirty_ratio = 0.01;
    return config;
}

storage::LogConfig uncompacted() {
    storage::LogConfig config = compacted();
    config.compacts = false;
    return config;
}

class Harness {
  public:
    explicit Harness(std::uint64_t seed, CleanerConfig cleaner = {.backoff = milliseconds(20)})
        : world(seed), host_(world.add_host("node")) {
        ShardConfig config{.data_dir = "data", .tail_bytes = 0, .cleaner = cleaner};
        host_.boot([config](sim::Host& host) {
            auto program = std::make_unique<Program>(host, config);
            program->shard.start();
            return program;
        });
    }
    [[nodiscard]] Shard& shard() { return static_cast<Program*>(host_.program())->shard; }
    [[nodiscard]] sim::HostDisk& disk() { return host_.disk(); }
    [[nodiscard]] ShardMetrics metrics() { return shard().metrics(); }

    void run(Task<void> task) {
        bool is_done = false;
        host_.ports().spawn.spawn(note_end(std::move(task), is_done));
        REQUIRE(world.run_until([&] { return is_done; }, seconds(600)));
    }
    void open(storage::LogConfig config = compacted(), PartitionKey key = kKey) {
        run(open_task(*this, config, std::move(key)));
    }
    void append(std::string key, std::optional<std::string> value) {
        run(append_task(*this, std::move(key), std::move(value)));
    }
    /// Twenty keys, `versions` times, and what closes the last segment that has any of them.
    void fill(int versions) {
        for (int version = 0; version < versions; ++version) {
            for (int key = 0; key < 20; ++key) {
                const std::string name = "key " + std::to_string(key);
                append(name, "version " + std::to_string(version) + std::string(80, '.'));
                latest[name] = "version " + std::to_string(version) + std::string(80, '.');
            }
        }
        for (int i = 0; i < 3; ++i) append("end", std::string(1'900, 'e'));
        latest["end"] = std::string(1'900, 'e');
    }
    void wait_for_rounds(std::uint64_t rounds) {
        REQUIRE(world.run_until([&] { return metrics().cleaner_rounds >= rounds; }, seconds(60)));
    }
    void restart(bool with_power_loss) {
        partition.reset();
        if (with_power_loss) {
            world.crash(host_);
        } else {
            world.kill(host_);
        }
        world.restart(host_);
    }

    using Records = std::vector<std::pair<Offset, std::string>>;
    /// The keys by offset, and by key the value that came last.
    Records read_all() {
        read.clear();
        values.clear();
        errors.clear();
        run(read_task(*this));
        return read;
    }

    sim::World world;
    PartitionPtr partition;
    std::map<std::string, std::string> latest;
    Records read;
    std::map<std::string, std::string> values;
    std::vector<Error> errors;
    Offset stopped_at;  ///< Where the last read with an error began.
    int reads_in_vain = 0;

  private:
    static Task<void> note_end(Task<void> task, bool& is_done) {
        co_await std::move(task);
        is_done = true;
    }
    static Task<void> open_task(Harness& self, storage::LogConfig config, PartitionKey key) {
        auto opened =
            co_await self.shard().open(std::move(key), config, LeaderEpoch(++self.epoch_));
        REQUIRE(opened.has_value());
        self.partition = *opened;
    }
    static Task<void> append_task(Harness& self, std::string key,
                                  std::optional<std::string> value) {
        record::BatchBuilder builder{record::BatchSpec{}};
        std::optional<ByteView> bytes;
        if (value) bytes = as_bytes(*value);
        builder.append(Timestamp{1000}, as_bytes(key), bytes);
        const auto now = self.host_.ports().clock.wall_now();
        const auto admitted = self.partition->append(*builder.build(), now);
        REQUIRE(admitted.has_value());
        const auto committed = co_await self.partition->committed(*admitted);
        REQUIRE(committed.has_value());
    }
    static Task<void> read_task(Harness& self) {
        Offset from = self.partition->log_start_offset();
        record::ReaderScratch scratch;
        while (from < self.partition->high_watermark()) {
            auto result = co_await self.partition->read(
                {.from = from, .max_bytes = 900, .at_least_one = true});
            if (!result) {
                self.errors.push_back(result.error());
                self.stopped_at = from;
                co_return;
            }
            const auto bytes =
                co_await bytes_of(&self.host_.ports().disk, std::move(result->parts));
            REQUIRE(bytes.has_value());
            const std::size_t before = self.read.size();
            from = self.note(*bytes, from, scratch);
            if (self.read.size() == before) ++self.reads_in_vain;
        }
    }
    Offset note(ByteView bytes, Offset from, record::ReaderScratch& scratch) {
        const Offset begin = from;
        record::BatchSplitter splitter(bytes);
        while (true) {
            const auto item = splitter.next();
            if (!item || !item->has_value()) break;
            REQUIRE(record::verify_crc((*item)->bytes).has_value());
            auto reader = record::BatchReader::open((*item)->bytes, scratch);
            record::Record record;
            while (*reader->next(record)) {
                if (record.offset < from) continue;
                const std::string key(as_text(*record.key));
                read.emplace_back(record.offset, key);
                values[key] = record.value ? std::string(as_text(*record.value)) : "";
            }
            from = (*item)->header.next_offset();
        }
        REQUIRE(from > begin);
        return from;
    }

    sim::Host& host_;
    int epoch_ = 0;
};

TEST_CASE("a compacted partition keeps the latest value of each key and gives space back") {
    Harness harness(1);
    harness.open();
    harness.fill(20);
    // What was written is above 60,000 bytes.
    REQUIRE(harness.world.run_until([&] { return harness.partition->status().size_bytes < 15'000; },
                                    seconds(60)));
    const auto records = harness.read_all();
    CHECK(harness.errors.empty());
    CHECK(harness.values == harness.latest);
    CHECK(records.size() < 60);
    // The last version of key k has the offset it always had.
    CHECK(std::ranges::find(records, std::pair(Offset{19 * 20 + 5}, std::string("key 5"))) !=
          records.end());
    CHECK(harness.metrics().cleaner_removed_records > 300);
    CHECK(harness.metrics().cleaner_read_bytes > harness.metrics().cleaner_written_bytes);
    CHECK(harness.metrics().uncleanable_partitions == 0);
    harness.restart(true);
    harness.open();
    (void)harness.read_all();
    CHECK(harness.values == harness.latest);
}

TEST_CASE("a read goes on behind segments that compaction left nothing of") {
    Harness harness(11, {.backoff = seconds(30)});
    harness.open();
    // Each segment has one key again and again: all but the last are empty when they are cleaned.
    for (int i = 0; i < 400; ++i) harness.append("key", std::string(100, '.'));
    harness.append("end", std::string(3'900, 'e'));
    harness.append("end", std::string(3'900, 'e'));
    harness.wait_for_rounds(1);
    const auto records = harness.read_all();
    CHECK(harness.errors.empty());
    CHECK(harness.values.size() == 2);
    CHECK(records.size() == 3);
    CHECK(harness.reads_in_vain == 0);
}

TEST_CASE("damage behind segments that compaction left nothing of is told from there on only") {
    Harness harness(12, {.backoff = seconds(30)});
    harness.open();
    for (int i = 0; i < 400; ++i) harness.append("key", std::string(100, '.'));
    harness.append("end", std::string(3'900, 'e'));
    harness.append("end", std::string(3'900, 'e'));
    harness.wait_for_rounds(1);
    const Offset last_key = harness.read_all().front().first;
    harness.restart(true);
    Offset segment = last_key;
    const auto path = [&segment] {
        return partition_folder("data", kKey) + "/" +
               storage::segment_file_name(segment, storage::FileKind::kLog);
    };
    while (harness.disk().contents(path()).empty()) {
        REQUIRE(segment > Offset{0});
        segment = segment - 1;
    }
    const std::size_t size = harness.disk().contents(path()).size();
    REQUIRE(harness.disk().flip_bit(path(), size - 1, 1));
    harness.open();
    CHECK(harness.read_all().empty());
    CHECK(harness.errors == std::vector{Error::kCorrupt});
    CHECK(harness.stopped_at >= segment);
    CHECK(harness.stopped_at <= last_key);
}

TEST_CASE("a partition that is not compacted, and a cleaner that is off, leave everything") {
    for (const bool is_enabled : {true, false}) {
        Harness harness(2, {.is_enabled = is_enabled, .backoff = milliseconds(20)});
        harness.open(is_enabled ? uncompacted() : compacted());
        harness.fill(5);
        harness.world.run_for(seconds(2));
        CHECK(harness.read_all().size() == 103);
    }
}

TEST_CASE("power loss or a kill at any moment of a compaction loses no latest value") {
    for (int moment = 0; moment < 120; ++moment) {
        CAPTURE(moment);
        Harness harness(3);
        harness.open();
        harness.fill(6);
        harness.world.run_for(microseconds(400 * moment));
        harness.restart(moment % 3 != 0);
        harness.open();
        (void)harness.read_all();
        REQUIRE(harness.errors.empty());
        REQUIRE(harness.values == harness.latest);
        harness.fill(1);
        harness.wait_for_rounds(1);
        (void)harness.read_all();
        REQUIRE(harness.values == harness.latest);
        harness.restart(true);
        harness.open();
        (void)harness.read_all();
        REQUIRE(harness.errors.empty());
        REQUIRE(harness.values == harness.latest);
    }
}

TEST_CASE("a disk that fails or is full holds compaction up and harms nothing") {
    for (std::uint64_t seed = 10; seed < 30; ++seed) {
        CAPTURE(seed);
        Harness harness(seed);
        harness.open();
        harness.fill(6);
        if (seed % 3 == 0) harness.disk().options.write_error = {3};
        if (seed % 3 == 1) harness.disk().options.sync_error = {3};
        if (seed % 3 == 2) harness.disk().set_capacity(harness.disk().image.used_bytes());
        harness.world.run_for(milliseconds(300));
        harness.world.heal();
        (void)harness.read_all();
        REQUIRE(harness.errors.empty());
        REQUIRE(harness.values == harness.latest);
        harness.fill(1);
        const std::uint64_t rounds = harness.metrics().cleaner_rounds;
        harness.wait_for_rounds(rounds + 1);
        (void)harness.read_all();
        REQUIRE(harness.values == harness.latest);
        harness.restart(true);
        harness.open();
        (void)harness.read_all();
        REQUIRE(harness.values == harness.latest);
    }
}

TEST_CASE("damage stops compaction, is counted and stays, and is looked at more and more seldom") {
    Harness harness(4, {.backoff = milliseconds(100)});
    harness.open(uncompacted());
    harness.fill(6);
    harness.restart(true);
    const std::string path = partition_folder("data", kKey) + "/" +
                             storage::segment_file_name(Offset{0}, storage::FileKind::kLog);
    REQUIRE(harness.disk().flip_bit(path, 100, 1));
    const auto before = harness.disk().contents(path);
    harness.open();
    harness.world.run_for(seconds(100));
    CHECK(harness.metrics().uncleanable_partitions == 1);
    // 0.1 s, 0.2, 0.4 and so on: about ten in 100 s, and no more than six in the next hour.
    const std::uint64_t failures = harness.metrics().cleaner_failures;
    CHECK(failures >= 8);
    CHECK(failures <= 11);
    harness.world.run_for(seconds(3600));
    CHECK(harness.metrics().cleaner_failures <= failures + 6);
    CHECK(harness.metrics().cleaner_removed_records == 0);
    CHECK(harness.disk().contents(path) == before);
}

TEST_CASE("a partition whose data can be read again is compacted without a restart") {
    Harness harness(4, {.backoff = milliseconds(100)});
    harness.open(uncompacted());
    harness.fill(6);
    harness.restart(true);
    harness.open();
    harness.disk().options.read_error = {1};
    REQUIRE(harness.world.run_until([&] { return harness.metrics().uncleanable_partitions == 1; },
                                    seconds(60)));
    harness.world.heal();
    REQUIRE(harness.world.run_until([&] { return harness.metrics().uncleanable_partitions == 0; },
                                    seconds(60)));
    CHECK(harness.metrics().cleaner_rounds > 0);
    (void)harness.read_all();
    CHECK(harness.errors.empty());
    CHECK(harness.values == harness.latest);
}

TEST_CASE("a partition that cannot be compacted does not keep another from it") {
    Harness harness(8, {.backoff = milliseconds(100)});
    harness.open(uncompacted());
    harness.fill(6);
    harness.restart(true);
    REQUIRE(
        harness.disk().flip_bit(partition_folder("data", kKey) + "/" +
                                    storage::segment_file_name(Offset{0}, storage::FileKind::kLog),
                                100, 1));
    harness.open();
    harness.open(compacted(), {"payments", {7, 43}, PartitionId(0)});
    harness.latest.clear();
    harness.fill(6);
    REQUIRE(harness.world.run_until([&] { return harness.partition->status().size_bytes < 15'000; },
                                    seconds(60)));
    CHECK(harness.metrics().uncleanable_partitions == 1);
    (void)harness.read_all();
    CHECK(harness.values == harness.latest);
}

TEST_CASE("memory for a few keys cleans a partition of many in several rounds") {
    // Nine keys fit, and there are twenty-one.
    Harness harness(9, {.map_bytes = 24 * 10, .backoff = milliseconds(20)});
    harness.open();
    harness.fill(10);
    harness.wait_for_rounds(3);
    REQUIRE(harness.world.run_until([&] { return harness.partition->status().size_bytes < 15'000; },
                                    seconds(60)));
    (void)harness.read_all();
    CHECK(harness.errors.empty());
    CHECK(harness.values == harness.latest);
    CHECK(harness.read.size() < 60);
}

TEST_CASE("an idle segment is closed and compacted when max.compaction.lag.ms has passed") {
    Harness harness(5);
    storage::LogConfig config = compacted();
    config.min_cleanable_dirty_ratio = 1;
    config.max_compaction_lag_ms = 2'000;
    harness.open(config);
    for (int i = 0; i < 10; ++i) harness.append("key", std::to_string(i));
    REQUIRE(harness.world.run_until([&] { return harness.metrics().cleaner_removed_records == 9; },
                                    seconds(60)));
    CHECK(harness.read_all() == Harness::Records{{Offset{9}, "key"}});
    harness.append("key", "10");
    CHECK(harness.read_all().size() == 2);
    harness.restart(true);
    harness.open(config);
    CHECK(harness.read_all().size() == 2);
}

TEST_CASE("a throttled compaction moves no more than it may, and a stop does not wait for it") {
    Harness harness(6, {.io_bytes_per_second = 2'000, .backoff = milliseconds(20)});
    harness.open();
    harness.fill(10);
    const ShardMetrics before = harness.metrics();
    const Instant start = harness.world.now();
    harness.world.run_for(seconds(20));
    const ShardMetrics after = harness.metrics();
    const double moved =
        static_cast<double>(after.cleaner_read_bytes + after.cleaner_written_bytes) -
        static_cast<double>(before.cleaner_read_bytes + before.cleaner_written_bytes);
    // One piece is paid for after it was moved.
    CHECK(moved < 2'000.0 * (harness.world.now() - start).seconds() + 10'000);
    CHECK(after.cleaner_read_bytes > 0);
    const Instant stop = harness.world.now();
    harness.partition.reset();
    harness.run(stop_shard(harness.shard()));
    CHECK(harness.world.now() - stop < seconds(2));
}

}  // namespace
}  // namespace dlog::replication
