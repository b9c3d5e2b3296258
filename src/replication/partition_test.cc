#include "replication/partition.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "port/clock.h"
#include "port/spawn.h"
#include "record/batch.h"
#include "record/builder.h"
#include "record/reader.h"
#include "replication/shard.h"
#include "replication/testing_reads.h"
#include "sim/world.h"

namespace dlog::replication {
namespace {

using port::Task;

constexpr TopicId kTopic{0x0123456789abcdefULL, 42};

PartitionKey key_of(int partition) {
    return {"orders", kTopic, PartitionId(partition)};
}

Buffer batch_of(const std::string& text, int records = 1) {
    record::BatchBuilder builder{record::BatchSpec{}};
    for (int i = 0; i < records; ++i) {
        builder.append(Timestamp{1000 + i}, std::nullopt, as_bytes(text));
    }
    return *builder.build();
}

/// One node's shard in the simulated world, and what it has acknowledged.
class ShardProgram final : public sim::Program {
  public:
    ShardProgram(sim::Host& host, const ShardConfig& config)
        : ports_(host.ports()), shard_(ports_, config) {}
    Shard& shard() { return shard_; }

  private:
    port::Ports& ports_;
    Shard shard_;
};

struct Harness {
    explicit Harness(std::uint64_t seed, const ShardConfig& config = {})
        : shard_config(config), world(seed) {
        host = &world.add_host("node");
        shard_config.data_dir = "data";
        host->boot([this](sim::Host& booted) {
            auto program = std::make_unique<ShardProgram>(booted, shard_config);
            program->shard().start();
            return program;
        });
    }
    Shard& shard() { return static_cast<ShardProgram*>(host->program())->shard(); }

    /// Runs `task` to its end on the host.
    void run(Task<void> task) {
        bool is_done = false;
        host->ports().spawn.spawn(note_end(std::move(task), is_done));
        REQUIRE(world.run_until([&] { return is_done; }, seconds(600)));
    }
    static Task<void> note_end(Task<void> task, bool& is_done) {
        co_await std::move(task);
        is_done = true;
    }

    PartitionPtr open(int partition, const storage::LogConfig& config = {}, int epoch = 0) {
        PartitionPtr opened;
        run(open_task(*this, partition, config, epoch, opened));
        return opened;
    }
    static Task<void> open_task(Harness& self, int partition, storage::LogConfig config, int epoch,
                                PartitionPtr& opened) {
        auto result = co_await self.shard().open(key_of(partition), config, LeaderEpoch(epoch));
        REQUIRE(result.has_value());
        opened = *result;
    }

    ShardConfig shard_config;
    sim::World world;
    sim::Host* host = nullptr;
};

struct Acks {
    std::vector<std::pair<Offset, std::string>> acknowledged;
    std::vector<Error> errors;
    int finished = 0;
};

Task<void> produce(PartitionPtr partition, std::string text, Acks& acks) {
    const auto admitted = partition->append(batch_of(text), Timestamp{5000});
    if (!admitted) {
        acks.errors.push_back(admitted.error());
    } else if (const auto committed = co_await partition->committed(*admitted); !committed) {
        acks.errors.push_back(committed.error());
    } else {
        acks.acknowledged.emplace_back(admitted->base_offset, std::move(text));
    }
    ++acks.finished;
}

Task<void> produce_all(PartitionPtr partition, int first, int count, Acks& acks,
                       std::size_t padding = 0) {
    for (int i = first; i < first + count; ++i) {
        const std::string text = "record " + std::to_string(i) + std::string(padding, '.');
        co_await produce(partition, text, acks);
    }
}

struct Read {
    std::vector<std::pair<Offset, std::string>> records;
    std::vector<Error> errors;
};

/// Notes the records of whole batches; returns where the next read begins.
Offset note_records(ByteView bytes, Offset from, Read& out) {
    record::ReaderScratch scratch;
    record::BatchSplitter splitter(bytes);
    while (true) {
        const auto item = splitter.next();
        if (!item || !item->has_value()) return from;
        REQUIRE(record::verify_crc((*item)->bytes).has_value());
        auto reader = record::BatchReader::open((*item)->bytes, scratch);
        record::Record record;
        while (*reader->next(record)) {
            if (record.offset < from) continue;
            out.records.emplace_back(record.offset, std::string(as_text(*record.value)));
        }
        from = (*item)->header.next_offset();
    }
}

Task<void> read_all(sim::Host& host, PartitionPtr partition, Offset from, Read& out) {
    while (from < partition->high_watermark()) {
        auto result =
            co_await partition->read({.from = from, .max_bytes = 700, .at_least_one = true});
        if (!result) {
            out.errors.push_back(result.error());
            co_return;
        }
        const std::size_t size_bytes = result->size_bytes;
        const auto read = co_await bytes_of(&host.ports().disk, std::move(result->parts));
        REQUIRE(read.has_value());
        const std::vector<std::uint8_t>& bytes = *read;
        REQUIRE(bytes.size() == size_bytes);
        REQUIRE(!bytes.empty());
        from = note_records(bytes, from, out);
    }
}

Task<void> stop_shard(Shard& shard) {
    co_await shard.stop();
}

TEST_CASE("what was acknowledged is read back, in order, from memory") {
    Acks acks;
    Read read;
    Harness harness(1);
    const PartitionPtr partition = harness.open(0);
    harness.run(produce_all(partition, 0, 20, acks));
    CHECK(acks.acknowledged.size() == 20);
    CHECK(partition->high_watermark() == Offset{20});
    CHECK(partition->read_now({.from = Offset{3}, .max_bytes = 1000}).has_value());
    harness.run(read_all(*harness.host, partition, Offset{0}, read));
    CHECK(read.records == acks.acknowledged);
    CHECK(read.errors.empty());
    CHECK_FALSE(partition->read_now({.from = Offset{21}, .max_bytes = 1})->has_value());
}

TEST_CASE("nothing is visible or acknowledged before it is on stable storage") {
    Acks acks;
    Harness harness(2);
    const PartitionPtr partition = harness.open(0);
    const std::uint64_t syncs_before = harness.host->disk().syncs;
    harness.host->ports().spawn.spawn(produce(partition, "first", acks));
    CHECK(partition->log_end_offset() == Offset{1});
    REQUIRE(harness.world.run_until(
        [&] {
            if (acks.finished == 1) CHECK(harness.host->disk().syncs > syncs_before);
            if (harness.host->disk().syncs == syncs_before) {
                CHECK(partition->high_watermark() == Offset{0});
            }
            return acks.finished == 1;
        },
        seconds(10)));
    CHECK(partition->high_watermark() == Offset{1});
}

TEST_CASE("a thousand partitions written at once cost a few syncs") {
    Acks acks;
    Harness harness(3);
    std::vector<PartitionPtr> partitions;
    for (int i = 0; i < 1000; ++i) partitions.push_back(harness.open(i));
    const std::uint64_t before = harness.shard().metrics().syncs;
    for (const PartitionPtr& partition : partitions) {
        harness.host->ports().spawn.spawn(produce(partition, "x", acks));
    }
    REQUIRE(harness.world.run_until([&] { return acks.finished == 1000; }, seconds(60)));
    CHECK(acks.acknowledged.size() == 1000);
    CHECK(harness.shard().metrics().syncs - before < 50);
}

TEST_CASE("power loss at any moment loses nothing acknowledged and serves nothing else") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        Acks acks;
        Read read;
        Harness harness(seed, {.tail_bytes = seed % 2 == 0 ? std::size_t{64} << 20 : 0});
        storage::LogConfig config;
        config.segment_bytes = seed % 3 == 0 ? 1000 : 1 << 30;
        for (int life = 0; life < 3; ++life) {
            harness.host->ports().spawn.spawn(
                produce_all(harness.open(0, config, life), life * 1000, 500, acks));
            harness.world.run_for(microseconds(harness.world.random().between(100, 60'000)));
            harness.world.crash(*harness.host);
            harness.world.restart(*harness.host);
        }
        const PartitionPtr partition = harness.open(0, config, 3);
        harness.run(read_all(*harness.host, partition, Offset{0}, read));
        CHECK(read.errors.empty());
        std::size_t at = 0;
        for (const auto& acknowledged : acks.acknowledged) {
            while (at < read.records.size() && read.records[at].first < acknowledged.first) ++at;
            REQUIRE(at < read.records.size());
            REQUIRE(read.records[at].first.value == acknowledged.first.value);
            REQUIRE(read.records[at].second == acknowledged.second);
        }
        for (std::size_t i = 0; i < read.records.size(); ++i) {
            CHECK(read.records[i].first == Offset{static_cast<std::int64_t>(i)});
            CHECK(read.records[i].second.starts_with("record "));
        }
    }
}

TEST_CASE("a full disk refuses appends, goes on serving reads, and recovers when space returns") {
    Acks acks;
    Read read;
    Harness harness(5);
    const PartitionPtr partition = harness.open(0);
    harness.run(produce_all(partition, 0, 5, acks));
    harness.host->disk().set_capacity(0);
    Acks refused;
    harness.run(produce_all(partition, 5, 3, refused, 10'000));
    CHECK(refused.acknowledged.empty());
    REQUIRE(refused.errors.size() == 3);
    CHECK(refused.errors[0] == Error::kStorageFull);
    harness.run(read_all(*harness.host, partition, Offset{0}, read));
    CHECK(read.records == acks.acknowledged);
    harness.host->disk().set_capacity(1 << 30);
    harness.run(produce_all(partition, 8, 5, acks));
    CHECK(acks.acknowledged.size() == 10);
    CHECK(acks.acknowledged.back().first == Offset{9});
    Read again;
    harness.run(read_all(*harness.host, partition, Offset{0}, again));
    CHECK(again.records == acks.acknowledged);
}

Task<void> make_folder(sim::Host& host, std::string path) {
    REQUIRE((co_await host.ports().disk.make_directories(std::move(path))).has_value());
}

Task<void> remove_folder(sim::Host& host, std::string path) {
    REQUIRE((co_await host.ports().disk.remove_all(std::move(path))).has_value());
}

TEST_CASE("a log does not grow beyond a segment while its first checkpoint cannot be written") {
    Acks acks;
    Harness harness(23);
    const PartitionPtr partition = harness.open(0, {.segment_bytes = 2'000});
    harness.run(produce_all(partition, 0, 1, acks));
    // What stands in the place of the file makes writing it fail, and nothing else.
    const std::string in_the_way = partition_folder("data", key_of(0)) + "/log.checkpoint.tmp";
    harness.run(make_folder(*harness.host, in_the_way));
    Acks more;
    harness.run(produce_all(partition, 1, 40, more));
    CHECK(more.acknowledged.size() > 1);
    CHECK(more.acknowledged.size() < 40);
    CHECK_FALSE(more.errors.empty());
    CHECK(partition->status().segment_count == 1);
    harness.run(remove_folder(*harness.host, in_the_way));
    Acks after;
    harness.run(produce_all(partition, 41, 40, after));
    CHECK(after.acknowledged.size() == 40);
    CHECK(partition->status().segment_count > 1);
}

TEST_CASE("after a failed sync the lost appends are refused and the log goes on without them") {
    Acks acks;
    Harness harness(6);
    const PartitionPtr partition = harness.open(0);
    harness.run(produce_all(partition, 0, 3, acks));
    harness.host->disk().options.sync_error = {.one_in = 1};
    Acks refused;
    harness.run(produce_all(partition, 3, 2, refused));
    CHECK(refused.errors == std::vector<Error>{Error::kStorageFailed, Error::kStorageFailed});
    harness.host->disk().options.sync_error = {};
    harness.run(produce_all(partition, 5, 3, acks));
    Read read;
    harness.run(read_all(*harness.host, partition, Offset{0}, read));
    CHECK(read.records == acks.acknowledged);
    CHECK(partition->high_watermark() == Offset{6});
}

TEST_CASE(
    "what a sync that failed left in the system's cache is safe once a new process serves it") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        CAPTURE(seed);
        Acks acks;
        Acks undecided;
        Harness harness(seed);
        harness.run(produce_all(harness.open(0), 0, 3, acks));
        harness.host->disk().options.sync_error = {.one_in = 1};
        harness.host->ports().spawn.spawn(
            produce_all(harness.shard().find(kTopic, PartitionId(0)), 3, 1, undecided, 2000));
        REQUIRE(harness.world.run_until([&] { return harness.host->disk().failed_syncs > 0; },
                                        seconds(10)));
        harness.world.kill(*harness.host);
        harness.world.restart(*harness.host);
        harness.host->disk().options.sync_error = {};
        Read before;
        harness.run(produce_all(harness.open(0, {}, 1), 4, 3, acks));
        harness.run(read_all(*harness.host, harness.shard().find(kTopic, PartitionId(0)), Offset{0},
                             before));
        // The record whose sync failed is among them: nobody had cut it off yet.
        REQUIRE(before.records.size() == 7);
        harness.world.crash(*harness.host);
        harness.world.restart(*harness.host);
        Read after;
        harness.run(read_all(*harness.host, harness.open(0, {}, 2), Offset{0}, after));
        CHECK(after.errors.empty());
        CHECK(after.records == before.records);
    }
}

Task<void> remove_partition(Shard& shard, int partition) {
    REQUIRE((co_await shard.remove(kTopic, PartitionId(partition))).has_value());
}

Task<void> open_in_vain(Shard& shard) {
    const auto opened = co_await shard.open(key_of(0), {}, LeaderEpoch(1));
    CHECK_FALSE(opened.has_value());
}

TEST_CASE("a partition that cannot be opened is served as soon as it can") {
    Acks acks;
    Harness harness(8);
    harness.run(produce_all(harness.open(0), 0, 3, acks));
    harness.world.kill(*harness.host);
    harness.world.restart(*harness.host);
    harness.host->disk().options.sync_error = {.one_in = 1};
    harness.host->disk().options.read_error = {.one_in = 1};
    harness.run(open_in_vain(harness.shard()));
    const auto is_open = [&] { return harness.shard().find(kTopic, PartitionId(0)) != nullptr; };
    CHECK_FALSE(harness.world.run_until(is_open, seconds(30)));
    harness.host->disk().options.sync_error = {};
    harness.host->disk().options.read_error = {};
    REQUIRE(harness.world.run_until(is_open, seconds(30)));
    const PartitionPtr partition = harness.shard().find(kTopic, PartitionId(0));
    harness.run(produce_all(partition, 3, 2, acks));
    Read read;
    harness.run(read_all(*harness.host, partition, Offset{0}, read));
    CHECK(read.records == acks.acknowledged);
}

TEST_CASE("a partition that waits to be opened can be removed") {
    Acks acks;
    Harness harness(9);
    harness.run(produce_all(harness.open(0), 0, 3, acks));
    harness.world.kill(*harness.host);
    harness.world.restart(*harness.host);
    harness.host->disk().options.read_error = {.one_in = 1};
    harness.run(open_in_vain(harness.shard()));
    harness.run(remove_partition(harness.shard(), 0));
    harness.host->disk().options.read_error = {};
    CHECK(harness.host->disk().image.files_under("data/topics").empty());
    CHECK_FALSE(harness.world.run_until(
        [&] { return harness.shard().find(kTopic, PartitionId(0)) != nullptr; }, seconds(30)));
}

Task<void> append_with_deadline(Harness& harness, PartitionPtr partition, Result<void>& outcome) {
    const auto admitted = partition->append(batch_of("late"), Timestamp{5000});
    REQUIRE(admitted.has_value());
    port::Clock& clock = harness.host->ports().clock;
    outcome = co_await partition->committed(*admitted, clock.now() + milliseconds(50));
}

TEST_CASE("an append that the disk holds up is undecided at its deadline, and committed later") {
    Harness harness(10);
    const PartitionPtr partition = harness.open(0);
    harness.host->disk().stall(harness.world.now() + seconds(5));
    Result<void> outcome;
    harness.run(append_with_deadline(harness, partition, outcome));
    CHECK(outcome == Result<void>(unexpected(Error::kTimedOut)));
    CHECK(partition->high_watermark() == Offset{0});
    REQUIRE(harness.world.run_until([&] { return partition->high_watermark() == Offset{1}; },
                                    seconds(30)));
}

TEST_CASE("write caching acknowledges before the sync and survives the process's death") {
    Acks acks;
    Harness harness(7);
    storage::LogConfig config;
    config.write_caching = true;
    PartitionPtr partition = harness.open(0, config);
    // The first append also makes the folder and its first checkpoint, which are synced.
    harness.run(produce_all(partition, 0, 1, acks));
    const std::uint64_t syncs = harness.host->disk().syncs;
    harness.run(produce_all(partition, 1, 19, acks));
    CHECK(acks.acknowledged.size() == 20);
    CHECK(harness.host->disk().syncs == syncs);
    partition.reset();
    harness.world.kill(*harness.host);
    harness.world.restart(*harness.host);
    const PartitionPtr reopened = harness.open(0, config, 1);
    Read read;
    harness.run(read_all(*harness.host, reopened, Offset{0}, read));
    CHECK(read.records == acks.acknowledged);
}

TEST_CASE("flush.messages, flush.bytes and flush.ms bound what write caching leaves unsynced") {
    enum class Bound { kMessages, kBytes, kTime };
    for (const Bound bound : {Bound::kMessages, Bound::kBytes, Bound::kTime}) {
        CAPTURE(static_cast<int>(bound));
        Acks acks;
        Harness harness(8, {.checkpoint_interval = seconds(3600)});
        storage::LogConfig config;
        config.write_caching = true;
        if (bound == Bound::kTime) config.flush_ms = 50;
        if (bound == Bound::kMessages) config.flush_messages = 10;
        const PartitionPtr partition = harness.open(0, config);
        // The first append also makes the folder and its first checkpoint, which are synced.
        harness.run(produce_all(partition, 0, 1, acks));
        const std::uint64_t before = harness.shard().metrics().syncs;
        harness.run(produce_all(partition, 1, 8, acks));
        CHECK(harness.shard().metrics().syncs == before);
        if (bound == Bound::kBytes) {
            config.flush_bytes = static_cast<std::int64_t>(partition->status().size_bytes) + 1;
            partition->set_config(config);
        }
        if (bound == Bound::kTime) harness.world.run_for(milliseconds(100));
        if (bound != Bound::kTime) harness.run(produce_all(partition, 9, 1, acks));
        harness.world.run_for(milliseconds(100));
        CHECK(harness.shard().metrics().syncs > before);
    }
}

TEST_CASE("a clean stop keeps everything and the next start scans nothing") {
    Acks acks;
    Harness harness(9);
    harness.run(produce_all(harness.open(0), 0, 30, acks));
    harness.run(stop_shard(harness.shard()));
    harness.world.kill(*harness.host);
    harness.world.restart(*harness.host);
    const PartitionPtr partition = harness.open(0, {}, 1);
    Read read;
    harness.run(read_all(*harness.host, partition, Offset{0}, read));
    CHECK(read.records == acks.acknowledged);
    CHECK(partition->epoch_of(Offset{0}) == LeaderEpoch{0});
    CHECK(partition->end_of_epoch(LeaderEpoch{0})->end_offset == Offset{30});
    CHECK_FALSE(partition->end_of_epoch(LeaderEpoch{2}).has_value());
}

TEST_CASE("retention drops old segments, and their files are gone") {
    Acks acks;
    Harness harness(10);
    storage::LogConfig config;
    config.segment_bytes = 500;
    config.retention_bytes = 1000;
    config.retention_ms = -1;
    const PartitionPtr partition = harness.open(0, config);
    harness.run(produce_all(partition, 0, 50, acks));
    const PartitionStatus before = partition->status();
    harness.run(partition->apply_retention());
    const PartitionStatus after = partition->status();
    CHECK(after.segment_count < before.segment_count);
    CHECK(after.log_start_offset > Offset{0});
    CHECK(after.size_bytes <= 1500);
    CHECK_FALSE(partition->read_now({.from = Offset{0}, .max_bytes = 1})->has_value());
    Read read;
    harness.run(read_all(*harness.host, partition, after.log_start_offset, read));
    REQUIRE(read.errors.empty());
    CHECK(read.records.back() == acks.acknowledged.back());
    const std::string first = partition_folder("data", key_of(0)) + "/00000000000000000000.log";
    CHECK(harness.host->disk().contents(first).empty());
}

Task<void> delete_records(PartitionPtr partition, std::optional<Offset> before,
                          std::vector<Result<Offset>>& answers) {
    answers.push_back(co_await partition->delete_records(before));
}

/// Deletes records while others are appended, and sees to it that they stay deleted.
void delete_and_restart(Harness& harness, const storage::LogConfig& config) {
    Acks acks;
    std::vector<Result<Offset>> answers;
    {
        const PartitionPtr partition = harness.open(0, config);
        harness.run(produce_all(partition, 0, 50, acks));
        harness.host->ports().spawn.spawn(produce_all(partition, 50, 20, acks));
        harness.run(delete_records(partition, Offset{33}, answers));
        REQUIRE(answers.back() == Offset{33});
        CHECK(partition->read_now({.from = Offset{32}, .max_bytes = 1})->error() ==
              Error::kOffsetOutOfRange);
    }
    harness.world.crash(*harness.host);
    harness.world.restart(*harness.host);
    const PartitionPtr partition = harness.open(0, config, 1);
    REQUIRE(partition->log_start_offset() == Offset{33});
    CHECK(partition->status().size_bytes < 4000);
    Read read;
    harness.run(read_all(*harness.host, partition, Offset{33}, read));
    CHECK(read.errors.empty());
    REQUIRE(!read.records.empty());
    CHECK(read.records.front() == acks.acknowledged[33]);
    const std::string first = partition_folder("data", key_of(0)) + "/00000000000000000000.log";
    CHECK(harness.host->disk().contents(first).empty());
}

TEST_CASE("deleted records stay deleted, whatever happens after the answer") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Harness harness(seed);
        storage::LogConfig config;
        config.segment_bytes = 500;
        config.write_caching = seed % 2 == 0;
        delete_and_restart(harness, config);
    }
}

TEST_CASE("records are deleted up to the high watermark and no further") {
    Acks acks;
    std::vector<Result<Offset>> answers;
    Harness harness(16);
    const PartitionPtr partition = harness.open(0);
    harness.run(produce_all(partition, 0, 10, acks));
    harness.run(delete_records(partition, Offset{11}, answers));
    harness.run(delete_records(partition, Offset{-2}, answers));
    harness.run(delete_records(partition, Offset{4}, answers));
    harness.run(delete_records(partition, Offset{2}, answers));
    harness.run(delete_records(partition, std::nullopt, answers));
    const auto out_of_range = unexpected(Error::kOffsetOutOfRange);
    CHECK(answers == std::vector<Result<Offset>>{out_of_range, out_of_range, Offset{4}, Offset{4},
                                                 Offset{10}});
    CHECK(partition->status().size_bytes == 0);
    harness.run(produce_all(partition, 10, 1, acks));
    CHECK(acks.acknowledged.back().first == Offset{10});
}

TEST_CASE("what was acknowledged before its sync is synced before its deletion is") {
    Acks acks;
    std::vector<Result<Offset>> answers;
    Harness harness(18);
    storage::LogConfig config;
    config.write_caching = true;
    {
        const PartitionPtr partition = harness.open(0, config);
        harness.run(produce_all(partition, 0, 10, acks));
        REQUIRE(acks.acknowledged.size() == 10);
        config.write_caching = false;
        partition->set_config(config);
        harness.run(delete_records(partition, Offset{10}, answers));
        CHECK(answers.back() == Offset{10});
    }
    harness.world.crash(*harness.host);
    harness.world.restart(*harness.host);
    const PartitionPtr partition = harness.open(0, config, 1);
    CHECK(partition->log_start_offset() == Offset{10});
    CHECK(partition->log_end_offset() == Offset{10});
}

TEST_CASE("a deletion that cannot be made to last is not acknowledged") {
    Acks acks;
    std::vector<Result<Offset>> answers;
    Harness harness(17);
    const PartitionPtr partition = harness.open(0);
    harness.run(produce_all(partition, 0, 10, acks));
    harness.host->disk().set_capacity(0);
    harness.run(delete_records(partition, Offset{4}, answers));
    CHECK(answers.back() == unexpected(Error::kStorageFailed));
    harness.host->disk().set_capacity(1 << 30);
    harness.run(delete_records(partition, Offset{4}, answers));
    CHECK(answers.back() == Offset{4});
}

TEST_CASE("a damaged sealed segment is reported, and served before and after the damage") {
    Acks acks;
    Harness harness(11, {.tail_bytes = 0});
    storage::LogConfig config;
    config.segment_bytes = 1000;
    harness.run(produce_all(harness.open(0, config), 0, 50, acks));
    harness.run(stop_shard(harness.shard()));
    harness.world.kill(*harness.host);
    const std::string file = partition_folder("data", key_of(0)) + "/00000000000000000000.log";
    REQUIRE(harness.host->disk().flip_bit(file, 200, 3));
    harness.world.restart(*harness.host);
    const PartitionPtr partition = harness.open(0, config, 1);
    Read before;
    harness.run(read_all(*harness.host, partition, Offset{0}, before));
    REQUIRE(before.errors == std::vector<Error>{Error::kCorrupt});
    REQUIRE(!before.records.empty());
    const auto damaged = static_cast<std::int64_t>(before.records.size());
    Read after;
    harness.run(read_all(*harness.host, partition, Offset{damaged + 1}, after));
    CHECK(after.errors.empty());
    CHECK(before.records.size() + 1 + after.records.size() == acks.acknowledged.size());
    CHECK(harness.world.last_lines(50).find("damaged") != std::string::npos);
    CHECK(harness.shard().metrics().damaged_ranges == 1);
}

Task<void> find_time(PartitionPtr partition, Timestamp time, TimestampOffset& found) {
    found = *co_await partition->offset_for_timestamp(time);
}

TEST_CASE("an offset is found by its timestamp, across segments and in memory or not") {
    for (const std::size_t tail_bytes : {std::size_t{0}, std::size_t{64} << 20}) {
        Harness harness(12, {.tail_bytes = tail_bytes});
        storage::LogConfig config;
        config.segment_bytes = 400;
        const PartitionPtr partition = harness.open(0, config);
        for (int i = 0; i < 20; ++i) {
            record::BatchBuilder builder{record::BatchSpec{}};
            builder.append(Timestamp{i * 100}, std::nullopt, as_bytes("a"));
            builder.append(Timestamp{i * 100 + 50}, std::nullopt, as_bytes("b"));
            const auto admitted = partition->append(*builder.build(), Timestamp{i * 100});
            REQUIRE(admitted.has_value());
            harness.world.run_for(milliseconds(100));
        }
        TimestampOffset found;
        harness.run(find_time(partition, Timestamp{1050}, found));
        CHECK(found.offset == Offset{21});
        CHECK(found.timestamp == Timestamp{1050});
        harness.run(find_time(partition, Timestamp{1051}, found));
        CHECK(found.offset == Offset{22});
        harness.run(find_time(partition, Timestamp{99999}, found));
        CHECK(found.offset == kNoOffset);
    }
}

TEST_CASE("a removed partition refuses appends, wakes who waits, and leaves no folder") {
    Acks acks;
    Harness harness(13);
    const PartitionPtr partition = harness.open(0);
    harness.run(produce_all(partition, 0, 3, acks));
    harness.run(remove_partition(harness.shard(), 0));
    CHECK(harness.shard().find(kTopic, PartitionId(0)) == nullptr);
    CHECK(partition->append(batch_of("late"), Timestamp{1}).error() == Error::kClosed);
    const std::string first = partition_folder("data", key_of(0)) + "/00000000000000000000.log";
    CHECK(harness.host->disk().contents(first).empty());
}

TEST_CASE("the tails of all partitions together stay within their bound") {
    Acks acks;
    Harness harness(14, {.tail_bytes = 100'000});
    std::vector<PartitionPtr> partitions;
    for (int i = 0; i < 10; ++i) partitions.push_back(harness.open(i));
    for (int round = 0; round < 50; ++round) {
        for (const PartitionPtr& partition : partitions) {
            harness.host->ports().spawn.spawn(produce(partition, std::string(3000, 'x'), acks));
        }
        harness.world.run_for(milliseconds(200));
        CHECK(harness.shard().metrics().tail_bytes_held <= 100'000);
    }
    CHECK(acks.acknowledged.size() == 500);
}

}  // namespace
}  // namespace dlog::replication
