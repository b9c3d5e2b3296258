// A follower's partition in the simulated world: batches as the leader has them, the log's end cut
// off or the log begun anew, with power loss, failing disks and readers in between.

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "port/clock.h"
#include "port/spawn.h"
#include "record/batch.h"
#include "record/builder.h"
#include "record/reader.h"
#include "replication/consensus.h"
#include "replication/partition.h"
#include "replication/shard.h"
#include "replication/testing_reads.h"
#include "sim/world.h"

namespace dlog::replication {
namespace {

using port::Task;

const PartitionKey kKey{"orders", {7, 42}, PartitionId(0)};

/// Leaves every decision to the test.
class Deaf final : public Consensus {
  public:
    void appended() override {}
    void stored() override {}
    void lost() override { ++losses; }
    void trimmed() override {}
    [[nodiscard]] bool may_serve_reads() const override { return true; }
    int losses = 0;
};

struct Program final : sim::Program {
    Program(sim::Host& host, const ShardConfig& config) : shard(host.ports(), config) {}
    Shard shard;
};

storage::LogConfig small_segments() {
    storage::LogConfig config;
    config.segment_bytes = 1'000;
    config.index_interval_bytes = 200;
    return config;
}

/// What a log holds: the text of each offset's record.
using Records = std::vector<std::string>;

class Harness {
  public:
    explicit Harness(std::uint64_t seed, storage::LogConfig config = small_segments(),
                     std::size_t tail_bytes = 0)
        : world(seed), config_(config), host_(world.add_host("node")) {
        const ShardConfig shard_config{.data_dir = "data",
                                       .tail_bytes = tail_bytes,
                                       .checkpoint_interval = milliseconds(20),
                                       .cleaner = {.backoff = milliseconds(20)}};
        host_.boot([shard_config](sim::Host& host) {
            auto program = std::make_unique<Program>(host, shard_config);
            program->shard.start();
            return program;
        });
        open();
    }
    ~Harness() { leave(); }
    Harness(const Harness&) = delete;
    Harness& operator=(const Harness&) = delete;

    [[nodiscard]] Shard& shard() { return static_cast<Program*>(host_.program())->shard; }
    [[nodiscard]] sim::HostDisk& disk() { return host_.disk(); }
    [[nodiscard]] Offset end() const { return partition->log_end_offset(); }

    void run(Task<void> task) {
        bool is_done = false;
        host_.ports().spawn.spawn(note_end(std::move(task), is_done));
        REQUIRE(world.run_until([&] { return is_done; }, seconds(600)));
    }
    void start(Task<void> task) { host_.ports().spawn.spawn(std::move(task)); }
    void open() {
        run(open_task(*this));
        partition->join(deaf);
    }
    void restart(bool with_power_loss) {
        leave();
        partition.reset();
        if (with_power_loss) {
            world.crash(host_);
        } else {
            world.kill(host_);
        }
        world.restart(host_);
        open();
    }
    /// Appends the leader's batch of one record; false when it was refused.
    bool append(const std::string& text, int epoch, std::int64_t sequence = -1) {
        record::BatchSpec spec{.base_offset = end(), .leader_epoch = LeaderEpoch(epoch)};
        if (sequence >= 0) {
            spec.producer_id = ProducerId{9};
            spec.producer_epoch = ProducerEpoch{0};
            spec.base_sequence = static_cast<std::int32_t>(sequence);
        }
        record::BatchBuilder builder{spec};
        builder.append(Timestamp{1000}, as_bytes(text), as_bytes(text));
        return partition->append_replicated(*builder.build()).has_value();
    }
    /// `count` records of a leader, on stable storage.
    void fill(int count, int epoch) {
        for (int i = 0; i < count; ++i) {
            REQUIRE(append(text_at(end(), epoch), epoch, end().value));
        }
        wait_stored();
    }
    void wait_stored() {
        REQUIRE(world.run_until([&] { return partition->stored_offset() == end(); }, seconds(60)));
    }
    static std::string text_at(Offset offset, int epoch) {
        return "offset " + std::to_string(offset.value) + " epoch " + std::to_string(epoch) +
               std::string(150, '.');
    }
    /// What it has after `fill`: records of epoch 1 before `from`, of `epoch` up to `to`.
    static Records records_of(Offset from, int epoch, Offset to) {
        Records records;
        for (Offset at{0}; at < to; at = at + 1) {
            records.push_back(text_at(at, at < from ? 1 : epoch));
        }
        return records;
    }

    std::optional<Result<void>> truncate(Offset to) {
        answer.reset();
        run(truncate_task(*this, to));
        return answer;
    }
    std::optional<Result<void>> reset(Offset to) {
        answer.reset();
        run(reset_task(*this, to));
        return answer;
    }
    /// Everything that the log holds from its start on.
    Records read_all() {
        errors.clear();
        Records records;
        run(read_task(*this, partition->log_start_offset(), end(), &records));
        return records;
    }
    [[nodiscard]] std::int32_t last_sequence() const {
        const auto producers = partition->producers();
        return producers.empty() ? -1 : producers.front().last_sequence;
    }

    static Task<void> truncate_task(Harness& self, Offset to) {
        const PartitionPtr partition = self.partition;
        self.answer = co_await partition->truncate_to(to);
    }
    static Task<void> reset_task(Harness& self, Offset to) {
        const PartitionPtr partition = self.partition;
        self.answer = co_await partition->reset_to(to);
    }
    static Task<void> read_task(Harness& self, Offset from, Offset limit, Records* records) {
        const PartitionPtr partition = self.partition;
        while (from < limit) {
            auto result = co_await partition->read(
                {.from = from, .max_bytes = 900, .at_least_one = true, .limit = limit});
            if (!result) {
                self.errors.push_back(result.error());
                co_return;
            }
            const auto bytes =
                co_await bytes_of(&self.host_.ports().disk, std::move(result->parts));
            REQUIRE(bytes.has_value());
            from = note(*bytes, from, records);
        }
    }

    sim::World world;
    PartitionPtr partition;
    Deaf deaf;
    std::optional<Result<void>> answer;
    std::vector<Error> errors;

  private:
    void leave() {
        if (partition != nullptr) partition->leave();
    }
    static Task<void> note_end(Task<void> task, bool& is_done) {
        co_await std::move(task);
        is_done = true;
    }
    static Task<void> open_task(Harness& self) {
        auto opened = co_await self.shard().open(kKey, self.config_, kNoEpoch);
        REQUIRE(opened.has_value());
        self.partition = *opened;
    }
    static Offset note(ByteView bytes, Offset from, Records* records) {
        const Offset begin = from;
        record::ReaderScratch scratch;
        record::BatchSplitter splitter(bytes);
        while (true) {
            const auto item = splitter.next();
            if (!item || !item->has_value()) break;
            REQUIRE(record::verify_crc((*item)->bytes).has_value());
            REQUIRE((*item)->header.base_offset == from);
            auto reader = record::BatchReader::open((*item)->bytes, scratch);
            record::Record record;
            while (*reader->next(record)) records->emplace_back(as_text(*record.value));
            from = (*item)->header.next_offset();
        }
        REQUIRE(from > begin);
        return from;
    }

    storage::LogConfig config_;
    sim::Host& host_;
};

TEST_CASE("a follower serves what the leader sent it, also after a crash") {
    Harness harness(1);
    harness.fill(20, 1);
    CHECK(harness.partition->high_watermark() == Offset{0});
    harness.partition->set_committed(Offset{20});
    CHECK(harness.read_all() == Harness::records_of(Offset{20}, 1, Offset{20}));
    harness.restart(true);
    CHECK(harness.read_all() == Harness::records_of(Offset{20}, 1, Offset{20}));
    CHECK(harness.errors.empty());
    CHECK(harness.last_sequence() == 19);
}

TEST_CASE("a follower refuses what does not continue its log") {
    Harness harness(2);
    harness.fill(3, 2);
    record::BatchBuilder builder({.base_offset = Offset{4}, .leader_epoch = LeaderEpoch{2}});
    builder.append(Timestamp{1000}, std::nullopt, as_bytes("text"));
    CHECK(harness.partition->append_replicated(*builder.build()).error() == Error::kCorrupt);
    CHECK_FALSE(harness.append("text", 1));
    CHECK(harness.end() == Offset{3});
}

TEST_CASE("an epoch's records give way to another's, wherever the log is cut") {
    for (std::int64_t to = 4; to <= 24; ++to) {
        CAPTURE(to);
        Harness harness(static_cast<std::uint64_t>(to));
        harness.fill(to % 2 == 0 ? 12 : 20, 1);
        // A checkpoint that vouches for more than is kept, or for less.
        if (to % 3 != 0) harness.world.run_for(milliseconds(50));
        const Offset old_end = harness.end();
        harness.fill(24 - static_cast<int>(old_end.value), 1);
        if (to % 5 == 0) {
            for (int i = 0; i < 3; ++i) REQUIRE(harness.append("unwritten", 1));
        }
        harness.partition->set_committed(Offset{4});
        REQUIRE(harness.truncate(Offset{to}) == Result<void>());
        CHECK(harness.end() == Offset{to});
        CHECK_FALSE(harness.partition->is_end_unsettled());
        CHECK(harness.last_sequence() == to - 1);
        const Records kept = Harness::records_of(Offset{to}, 1, Offset{to});
        CHECK(harness.read_all() == kept);
        harness.restart(to % 4 != 0);
        REQUIRE(harness.end() == Offset{to});
        CHECK(harness.read_all() == kept);
        harness.fill(10, 2);
        const Records all = Harness::records_of(Offset{to}, 2, Offset{to + 10});
        CHECK(harness.read_all() == all);
        CHECK(harness.partition->epoch_of(Offset{to}) == LeaderEpoch{2});
        CHECK(harness.partition->epoch_of(Offset{to - 1}) == LeaderEpoch{1});
        harness.restart(true);
        CHECK(harness.read_all() == all);
        CHECK(harness.last_sequence() == to + 9);
        CHECK(harness.errors.empty());
    }
}

/// A crash `after` a cut began: what the node finds is what it had, or a part of it.
void crash_in_a_cut(Harness& harness, Offset to, Duration after, bool with_power_loss) {
    harness.fill(24, 1);
    harness.start(Harness::truncate_task(harness, to));
    harness.world.run_for(after);
    const bool is_done = harness.answer.has_value();
    if (is_done) REQUIRE(*harness.answer == Result<void>());
    harness.restart(with_power_loss);
    REQUIRE(harness.end() >= to);
    if (is_done) REQUIRE(harness.end() == to);
    REQUIRE(harness.read_all() == Harness::records_of(Offset{24}, 1, harness.end()));
    REQUIRE(harness.truncate(to) == Result<void>());
    harness.fill(8, 2);
    harness.restart(true);
    REQUIRE(harness.read_all() == Harness::records_of(to, 2, to + 8));
    REQUIRE(harness.last_sequence() == to.value + 7);
    REQUIRE(harness.errors.empty());
}

TEST_CASE("a crash at any moment of a cut leaves no hole, and nothing comes back when it is done") {
    int moments_done = 0;
    for (int moment = 0; moment < 150; ++moment) {
        CAPTURE(moment);
        Harness harness(static_cast<std::uint64_t>(moment + 1));
        crash_in_a_cut(harness, Offset{3 + moment % 19}, microseconds(60 * moment),
                       moment % 4 != 0);
        moments_done += harness.answer ? 1 : 0;
    }
    CHECK(moments_done > 0);
}

TEST_CASE("a disk that fails or is full does not let a cut end, and appends wait for its end") {
    int refusals = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        Harness harness(seed);
        harness.fill(24, 1);
        if (seed % 3 == 0) harness.disk().options.write_error = {3};
        if (seed % 3 == 1) harness.disk().options.sync_error = {2};
        if (seed % 3 == 2) harness.disk().set_capacity(harness.disk().image.used_bytes());
        const Offset to{5 + static_cast<std::int64_t>(seed % 15)};
        auto answer = harness.truncate(to);
        if (!*answer) {
            ++refusals;
            const bool is_cut = harness.end() == to;
            if (is_cut) CHECK(harness.partition->is_end_unsettled());
            if (is_cut) CHECK_FALSE(harness.append("too early", 2));
            if (seed % 2 == 0) {
                harness.world.heal();
                harness.disk().set_capacity(1 << 30);
                harness.restart(true);
                REQUIRE(harness.end() >= to);
                REQUIRE(harness.read_all() == Harness::records_of(Offset{24}, 1, harness.end()));
            }
        }
        harness.world.heal();
        harness.disk().set_capacity(1 << 30);
        REQUIRE(harness.truncate(to) == Result<void>());
        harness.fill(8, 2);
        REQUIRE(harness.read_all() == Harness::records_of(to, 2, to + 8));
        harness.restart(true);
        REQUIRE(harness.read_all() == Harness::records_of(to, 2, to + 8));
        REQUIRE(harness.errors.empty());
    }
    CHECK(refusals > 10);
}

TEST_CASE("an append that a cut takes is told that another leads") {
    Harness harness(3);
    harness.fill(5, 1);
    const Admitted admitted{.base_offset = Offset{3},
                            .next_offset = Offset{4},
                            .leader_epoch = harness.partition->leader_epoch()};
    REQUIRE(harness.truncate(Offset{3}) == Result<void>());
    const auto outcome = harness.partition->outcome_of(admitted);
    REQUIRE(outcome);
    CHECK(outcome->error() == Error::kNotLeader);
    CHECK(harness.deaf.losses == 0);
}

TEST_CASE("a cut outside the log is refused, and one at its end changes nothing") {
    Harness harness(4);
    harness.fill(5, 1);
    CHECK(harness.truncate(Offset{6})->error() == Error::kOffsetOutOfRange);
    CHECK(harness.truncate(Offset{5}) == Result<void>());
    CHECK(harness.read_all().size() == 5);
    harness.partition->set_committed(Offset{5});
    REQUIRE(harness.reset(Offset{9}) == Result<void>());
    CHECK(harness.truncate(Offset{9}) == Result<void>());
}

TEST_CASE("readers of what is committed go on while the end of the log is cut") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        storage::LogConfig config = small_segments();
        config.index_interval_bytes = 4'096;  // So reads check more than they serve.
        Harness harness(seed, config, seed % 2 == 0 ? 0 : 64 << 10);
        harness.fill(24, 1);
        // What a start finds is checked when it is first read.
        harness.restart(false);
        harness.partition->set_committed(Offset{15});
        harness.disk().options.read.most = milliseconds(20);
        std::vector<Records> read(30);
        const Offset to{15 + static_cast<std::int64_t>(seed % 5)};
        for (std::size_t i = 0; i < read.size(); ++i) {
            harness.start(Harness::read_task(harness, Offset{13}, Offset{15}, &read[i]));
            if (i == 12) harness.start(Harness::truncate_task(harness, to));
            harness.world.run_for(microseconds(10 * static_cast<int>(seed)));
        }
        REQUIRE(harness.world.run_until([&] { return harness.answer.has_value(); }, seconds(60)));
        harness.fill(5, 2);
        harness.world.run_for(seconds(1));
        const Records all = Harness::records_of(Offset{15}, 1, Offset{15});
        for (const Records& records : read) CHECK(records == Records(all.begin() + 13, all.end()));
        CHECK(harness.read_all() == Harness::records_of(to, 2, to + 5));
        CHECK(harness.errors.empty());
    }
}

Task<void> delete_records(PartitionPtr partition, Offset before, int& deletions) {
    const auto done = co_await partition->delete_records(before);
    REQUIRE(done.has_value());
    ++deletions;
}

Task<void> keep_house(PartitionPtr partition) {
    partition->keep_house();
    co_await partition->apply_retention();
}

TEST_CASE("records are deleted and old segments dropped while the end of the log is cut") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        storage::LogConfig config = small_segments();
        config.retention_bytes = 2'000;
        Harness harness(seed, config);
        harness.fill(24, 1);
        harness.partition->set_committed(Offset{14});
        int deletions = 0;
        harness.start(Harness::truncate_task(harness, Offset{16}));
        harness.world.run_for(microseconds(50 * static_cast<int>(seed)));
        harness.start(delete_records(harness.partition, Offset{9}, deletions));
        harness.start(keep_house(harness.partition));
        REQUIRE(harness.world.run_until(
            [&] { return harness.answer.has_value() && deletions == 1; }, seconds(60)));
        REQUIRE(*harness.answer == Result<void>());
        harness.fill(5, 2);
        harness.restart(true);
        const Offset start = harness.partition->log_start_offset();
        REQUIRE(start >= Offset{9});
        REQUIRE(start <= Offset{14});
        Records expected = Harness::records_of(Offset{16}, 2, Offset{21});
        Records read = harness.read_all();
        REQUIRE(read.size() <= expected.size());
        expected.erase(expected.begin(), expected.end() - static_cast<std::ptrdiff_t>(read.size()));
        REQUIRE(read == expected);
        REQUIRE(read.size() >= static_cast<std::size_t>(Offset{21}.since(start)));
        REQUIRE(harness.errors.empty());
    }
}

TEST_CASE("a log that begins anew is the old one or the new one after a crash at any moment") {
    int moments_done = 0;
    int moments_old = 0;
    for (int moment = 0; moment < 150; ++moment) {
        CAPTURE(moment);
        Harness harness(static_cast<std::uint64_t>(moment + 1));
        harness.fill(24, 1);
        // Within the log, where one of its segments begins, at its end, or behind it.
        const Offset start{moment % 3 == 0 ? 24 + moment % 9 : 4 + moment % 20};
        harness.start(Harness::reset_task(harness, start));
        harness.world.run_for(microseconds(90 * moment));
        const bool is_done = harness.answer.has_value();
        if (is_done) REQUIRE(*harness.answer == Result<void>());
        harness.restart(moment % 4 != 0);
        const bool is_old = harness.partition->log_start_offset() == Offset{0};
        moments_done += is_done ? 1 : 0;
        moments_old += is_old ? 1 : 0;
        if (is_old) {
            REQUIRE_FALSE(is_done);
            REQUIRE(harness.end() >= std::min(start, Offset{24}));
            REQUIRE(harness.read_all() == Harness::records_of(Offset{24}, 1, harness.end()));
        } else {
            REQUIRE(harness.partition->log_start_offset() == start);
            REQUIRE(harness.end() == start);
            REQUIRE(harness.partition->producers().empty());
        }
        REQUIRE(harness.reset(start) == Result<void>());
        harness.fill(8, 2);
        harness.restart(true);
        REQUIRE(harness.partition->log_start_offset() == start);
        Records expected;
        for (Offset at = start; at < start + 8; at = at + 1) {
            expected.push_back(Harness::text_at(at, 2));
        }
        REQUIRE(harness.read_all() == expected);
        REQUIRE(harness.errors.empty());
    }
    CHECK(moments_done > 10);
    CHECK(moments_old > 10);
}

TEST_CASE("a log that is being compacted begins anew") {
    storage::LogConfig config = small_segments();
    config.compacts = true;
    config.deletes_old = false;
    config.min_cleanable_dirty_ratio = 0.01;
    int rounds = 0;
    for (int moment = 0; moment < 60; ++moment) {
        CAPTURE(moment);
        Harness harness(static_cast<std::uint64_t>(moment + 1), config);
        for (int i = 0; i < 40; ++i) REQUIRE(harness.append(std::string(150, '.'), 1));
        harness.wait_stored();
        harness.partition->set_committed(Offset{40});
        if (moment % 3 == 1) harness.disk().options.write_error = {8};
        harness.world.run_for(milliseconds(4 * moment));
        rounds += static_cast<int>(harness.shard().metrics().cleaner_removed_records > 0);
        harness.world.heal();
        REQUIRE(harness.reset(Offset{50}) == Result<void>());
        harness.fill(8, 2);
        if (moment % 2 == 0) harness.restart(true);
        harness.world.run_for(milliseconds(100));
        CHECK(harness.partition->log_start_offset() == Offset{50});
        CHECK(harness.read_all().size() == 8);
        CHECK(harness.errors.empty());
        CHECK(harness.shard().metrics().uncleanable_partitions == 0);
    }
    // Some of them came before it had rewritten anything, some after.
    CHECK(rounds > 5);
    CHECK(rounds < 55);
}

}  // namespace
}  // namespace dlog::replication
