#include "storage/recovery.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "storage/batches.h"
#include "storage/testing_partition.h"

namespace dlog::storage {
namespace {

using testing::BatchOptions;
using testing::Bytes;
using testing::TestPartition;
using Kind = RecoveryNote::Kind;

constexpr Offset kFar{1'000'000};

LogConfig config_of(std::int64_t segment_bytes = 1'000) {
    LogConfig config;
    config.segment_bytes = segment_bytes;
    config.index_interval_bytes = 200;
    return config;
}

BatchOptions produced(std::int32_t sequence) {
    return {.value_bytes = 20,
            .timestamp = Timestamp{1'000 + sequence},
            .producer = ProducerId{5},
            .producer_epoch = ProducerEpoch{0},
            .sequence = sequence,
            .fill = static_cast<std::uint8_t>(sequence)};
}

/// `before` batches, a checkpoint, `after` more that are flushed but not in the checkpoint.
TestPartition filled(int before, int after, std::int64_t segment_bytes = 1'000) {
    TestPartition partition{config_of(segment_bytes)};
    for (int i = 0; i < before; ++i) REQUIRE(partition.append(produced(i)));
    partition.flush();
    partition.checkpoint();
    partition.epoch = LeaderEpoch{2};
    for (int i = before; i < before + after; ++i) REQUIRE(partition.append(produced(i)));
    partition.flush();
    return partition;
}

std::size_t count(const RecoveredLog& recovered, Kind kind) {
    return static_cast<std::size_t>(std::ranges::count(recovered.notes, kind, &RecoveryNote::kind));
}

bool is_same(const LogImage& a, const LogImage& b) {
    const auto is_same_segment = [](const Segment& one, const Segment& other) {
        Segment copy = other;
        copy.last_append = one.last_append;  // Scanning does not know it.
        return one == copy;
    };
    const auto is_same_producer = [&](const auto& entry) {
        const auto found = b.producers.find(entry.first);
        if (found == b.producers.end()) return false;
        ProducerState state = found->second;
        state.last_timestamp = entry.second.last_timestamp;  // Nor this.
        return entry.second == state;
    };
    return a.log_start_offset == b.log_start_offset &&
           std::ranges::equal(a.segments, b.segments, is_same_segment) &&
           a.active_first_timestamp == b.active_first_timestamp && a.epochs == b.epochs &&
           a.producers.size() == b.producers.size() &&
           std::ranges::all_of(a.producers, is_same_producer);
}

TEST_CASE("recovery makes the log that was, from the checkpoint and what came after") {
    for (const int before : {0, 1, 7, 8, 9, 30}) {
        for (const int after : {0, 1, 2, 7, 8, 9, 30}) {
            TestPartition partition = filled(before, after);
            const LogImage expected = partition.log().image(false);
            partition.recover();
            CHECK(is_same(partition.log().image(false), expected));
            CHECK(partition.recovered.notes.empty());
            CHECK(partition.recovered.repairs.empty());
            CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{before + after});
            // It goes on where it was: the sequence too.
            CHECK(partition.append(produced(before + after)));
            CHECK(partition.append(produced(before + after))->is_duplicate);
            CHECK_FALSE(partition.append(produced(before + after + 2)));
            partition.flush();
            CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{before + after + 1});
        }
    }
}

TEST_CASE("without a checkpoint, or with a damaged one, every segment is read") {
    for (const bool is_damaged : {false, true}) {
        TestPartition partition = filled(20, 20);
        const LogImage expected = partition.log().image(false);
        if (is_damaged) {
            partition.folder.checkpoint->mutable_data()[100] ^= 1;
        } else {
            partition.folder.checkpoint.reset();
        }
        partition.recover();
        CHECK(is_same(partition.log().image(false), expected));
        CHECK(count(partition.recovered,
                    is_damaged ? Kind::kCheckpointDamaged : Kind::kCheckpointMissing) == 1);
        CHECK(partition.recovered.notes.size() == 1);
        CHECK(partition.recovered.needs_checkpoint);
        CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{40});
    }
}

TEST_CASE("a good checkpoint saves reading the segments, however many there are") {
    TestPartition partition{config_of(300)};
    for (int i = 0; i < 2'000; ++i) REQUIRE(partition.append(produced(i)));
    partition.flush();
    partition.checkpoint(true);
    REQUIRE(partition.log().segments().size() > 400);
    partition.recover();
    CHECK(partition.read_count <= 2);
    CHECK(partition.recovered.scanned_bytes == 0);
    CHECK(partition.recovered.unsynced.empty());
    CHECK_FALSE(partition.recovered.needs_checkpoint);
    CHECK(partition.log().log_end_offset() == Offset{2'000});
    CHECK(partition.recovered.image.is_clean);
}

TEST_CASE("a start with 100,000 segments reads the end of one") {
    LogImage image;
    std::vector<std::string> names{std::string(kCheckpointFileName)};
    for (int i = 0; i < 100'000; ++i) {
        image.segments.push_back({Offset{i * 10}, Offset{i * 10 + 10}, 1'000, Timestamp{i},
                                  Offset{i * 10}, Timestamp{i}});
        for (const FileKind kind : {FileKind::kLog, FileKind::kIndex, FileKind::kTimeIndex}) {
            names.push_back(segment_file_name(Offset{i * 10}, kind));
        }
    }
    const Buffer checkpoint = encode_checkpoint(image);
    Recovery recovery({.now = Timestamp{1}, .checkpoint = checkpoint.view(), .names = names});
    std::size_t reads = 0;
    while (recovery.need()) {
        ++reads;
        const Bytes last_byte(1);
        recovery.feed(last_byte);
    }
    CHECK(reads == 1);
    const RecoveredLog recovered = recovery.finish();
    CHECK(recovered.notes.empty());
    CHECK(recovered.image.segments == image.segments);
    const Log log(LogConfig{}, recovered.image, recovered.active_index, true, 1);
    CHECK(log.log_end_offset() == Offset{1'000'000});
}

TEST_CASE("a tail torn at any byte ends at its last whole batch") {
    const std::uint64_t whole = filled(3, 0).folder.logs.begin()->second.bytes.size();
    const std::uint64_t full = filled(3, 3).folder.logs.begin()->second.bytes.size();
    REQUIRE(filled(3, 3).folder.logs.size() == 1);
    for (std::uint64_t size = whole; size <= full; ++size) {
        TestPartition partition = filled(3, 3);
        Bytes& file = partition.folder.logs.begin()->second.bytes;
        file.resize(size);
        const Verified expected = verify_range(file, Offset{0});
        partition.recover();
        CHECK(partition.log().log_end_offset() == expected.next_offset);
        CHECK(partition.log().log_end_offset() >= Offset{3});
        const std::size_t dropped = size - expected.size_bytes;
        CHECK(count(partition.recovered, Kind::kTornTail) == (dropped > 0 ? 1 : 0));
        if (dropped > 0) {
            const RecoveryNote& note = partition.recovered.notes[0];
            CHECK(note.file == "00000000000000000000.log");
            CHECK(note.position == expected.size_bytes);
            CHECK(note.size_bytes == dropped);
            CHECK_FALSE(note.has_intact_after);
        }
        CHECK(partition.folder.logs.begin()->second.bytes.size() == expected.size_bytes);
        REQUIRE(partition.append({.fill = 'n'}));
        partition.flush();
        CHECK(partition.read_all(Offset{0}, kFar).next_offset == expected.next_offset + 1);
    }
}

TEST_CASE("a bit that flipped behind the recovery point ends the log there and says what follows") {
    TestPartition sample = filled(3, 3);
    const Bytes& intact = sample.folder.logs.begin()->second.bytes;
    const std::size_t batch = intact.size() / 6;
    for (std::size_t at = batch * 3; at < batch * 5; at += 5) {
        // The leader epoch lies outside the CRC.
        if (at % batch >= record::kLeaderEpochAt && at % batch < record::kMagicAt) continue;
        TestPartition partition = filled(3, 3);
        partition.folder.logs.begin()->second.bytes[at] ^= 0x10;
        partition.recover();
        CHECK(partition.log().log_end_offset() == Offset{static_cast<std::int64_t>(at / batch)});
        REQUIRE(count(partition.recovered, Kind::kTornTail) == 1);
        CHECK(partition.recovered.notes[0].has_intact_after);
    }
}

TEST_CASE("damage below the recovery point is not looked for at the start and never cut off") {
    TestPartition partition = filled(6, 1);
    const std::size_t size = partition.folder.logs.begin()->second.bytes.size();
    partition.folder.logs.begin()->second.bytes[70] ^= 1;
    partition.recover();
    CHECK(partition.recovered.notes.empty());
    CHECK(partition.folder.logs.begin()->second.bytes.size() == size);
    const auto read = partition.read_all(Offset{0}, kFar);
    REQUIRE(read.damage);
    CHECK(read.damage->first_offset == Offset{0});
    CHECK(partition.read_all(Offset{1}, kFar).next_offset == Offset{7});
}

TEST_CASE(
    "without a checkpoint damage in the middle is kept and reported, also in the last segment") {
    for (const bool in_last : {false, true}) {
        TestPartition partition = filled(40, 0);
        partition.folder.checkpoint.reset();
        const auto& segments = partition.log().segments();
        REQUIRE(segments.size() > 3);
        const Offset base = (in_last ? segments.back() : segments[1]).base_offset;
        REQUIRE(segments.back().end_offset.since(segments.back().base_offset) > 3);
        Bytes& file = partition.folder.logs[base].bytes;
        const std::size_t size = file.size();
        file[file.size() / 3] ^= 1;
        partition.recover();
        REQUIRE(count(partition.recovered, Kind::kDamage) == 1);
        CHECK(partition.folder.logs[base].bytes.size() == size);
        CHECK(partition.log().log_end_offset() == Offset{40});
        const auto before = partition.read_all(Offset{0}, kFar);
        REQUIRE(before.damage);
        CHECK(before.damage->segment == base);
        const auto after = partition.read_all(before.damage->next_offset, kFar);
        CHECK(after.next_offset == Offset{40});
        CHECK_FALSE(after.damage);
        // The same once there is a checkpoint again.
        partition.recover();
        CHECK(partition.read_all(Offset{0}, kFar).damage->first_offset ==
              before.damage->first_offset);
        CHECK(partition.read_all(before.damage->next_offset, kFar).next_offset == Offset{40});
    }
}

TEST_CASE("a log too young for a checkpoint ends at its first torn batch") {
    TestPartition partition{config_of(1 << 20)};
    for (int i = 0; i < 6; ++i) REQUIRE(partition.append(produced(i)));
    partition.flush();
    Bytes& file = partition.folder.logs[Offset{0}].bytes;
    file[file.size() / 2 + 70] ^= 1;
    partition.recover();
    CHECK(partition.log().log_end_offset() == Offset{3});
    CHECK(count(partition.recovered, Kind::kTornTail) == 1);
    CHECK(partition.recovered.needs_checkpoint);
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{4});
}

TEST_CASE("a torn end of a segment in the middle reaches to the next segment") {
    TestPartition partition = filled(40, 0);
    partition.folder.checkpoint.reset();
    const Segment hurt = partition.log().segments()[1];
    partition.folder.logs[hurt.base_offset].bytes.resize(hurt.size_bytes - 5);
    partition.recover();
    CHECK(partition.log().log_end_offset() == Offset{40});
    const auto before = partition.read_all(Offset{0}, kFar);
    REQUIRE(before.damage);
    CHECK(before.damage->next_offset == hurt.end_offset);
    CHECK(partition.read_all(hurt.end_offset, kFar).next_offset == Offset{40});
}

TEST_CASE("a missing sealed segment is a hole, with a checkpoint and without") {
    for (const bool has_checkpoint : {true, false}) {
        TestPartition partition = filled(40, 0);
        const Segment lost = partition.log().segments()[1];
        partition.folder.logs.erase(lost.base_offset);
        if (!has_checkpoint) partition.folder.checkpoint.reset();
        for (int round = 0; round < 2; ++round) {
            partition.recover();
            if (has_checkpoint || round == 0) {
                REQUIRE(count(partition.recovered, Kind::kMissingSegment) == 1);
                const auto note = std::ranges::find(partition.recovered.notes,
                                                    Kind::kMissingSegment, &RecoveryNote::kind);
                CHECK(note->file == segment_file_name(lost.base_offset, FileKind::kLog));
            }
            const auto before = partition.read_all(Offset{0}, kFar);
            CHECK(before.next_offset == lost.base_offset);
            REQUIRE(before.damage);
            CHECK(before.damage->reason == DamageReason::kMissingFile);
            CHECK(before.damage->first_offset == lost.base_offset);
            CHECK(before.damage->next_offset == lost.end_offset);
            CHECK(partition.read_all(lost.end_offset, kFar).next_offset == Offset{40});
        }
    }
}

TEST_CASE("the log goes on behind a missing active segment") {
    TestPartition partition = filled(12, 3);
    const Segment lost = partition.log().segments().back();
    partition.folder.logs.erase(lost.base_offset);
    partition.recover();
    CHECK(count(partition.recovered, Kind::kMissingSegment) == 1);
    CHECK(partition.log().log_end_offset() == Offset{12});
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.read_all(Offset{12}, kFar).next_offset == Offset{13});
    CHECK(partition.read_all(Offset{0}, kFar).damage->first_offset == lost.base_offset);
    CHECK(partition.folder.logs.contains(Offset{12}));
}

TEST_CASE("nothing is written into a file that ends before the recovery point") {
    TestPartition partition = filled(6, 0);
    Bytes& file = partition.folder.logs.begin()->second.bytes;
    file.resize(file.size() - 10);
    const Bytes before = file;
    partition.recover();
    CHECK(count(partition.recovered, Kind::kDamage) == 1);
    CHECK(partition.log().log_end_offset() == Offset{6});
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.folder.logs[Offset{0}].bytes == before);
    const auto read = partition.read_all(Offset{0}, kFar);
    CHECK(read.next_offset == Offset{5});
    CHECK(read.damage.has_value());
    CHECK(partition.read_all(Offset{6}, kFar).next_offset == Offset{7});
}

TEST_CASE("segments behind a torn one cannot be part of the log and are set aside") {
    TestPartition partition = filled(3, 40);
    REQUIRE(partition.folder.logs.size() > 3);
    Bytes& first = partition.folder.logs[Offset{0}].bytes;
    first.resize(first.size() - 3);
    const std::size_t others = partition.folder.logs.size() - 1;
    partition.recover();
    CHECK(count(partition.recovered, Kind::kTornTail) == 1);
    CHECK(count(partition.recovered, Kind::kSetAside) == others);
    CHECK(partition.folder.logs.size() == 1);
    CHECK(partition.folder.aside.size() == others);
    const Offset end = partition.log().log_end_offset();
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == end);
    partition.recover();
    CHECK(partition.recovered.notes.empty());
    CHECK(partition.log().log_end_offset() == end);
}

TEST_CASE("foreign files are left alone, leftovers of retention are removed") {
    TestPartition partition = filled(40, 0);
    partition.folder.foreign = {"lost+found", "readme.txt", "0001.log", "99999999999999999999.log",
                                "log.checkpoint.tmp"};
    LogConfig config = config_of();
    config.retention_ms = 0;
    partition.log().set_config(config);
    const Offset keep = partition.log().segments()[2].base_offset;
    CHECK(partition.log().apply_retention(Timestamp{INT64_MAX / 2}, keep).segments.size() == 2);
    partition.checkpoint();  // The crash comes before the files are removed.
    partition.recover();
    CHECK(count(partition.recovered, Kind::kForeignFile) == 4);
    CHECK(count(partition.recovered, Kind::kLeftover) == 2);
    CHECK(partition.folder.logs.begin()->first == keep);
    CHECK(partition.log().log_start_offset() == keep);
    CHECK(partition.read_all(keep, kFar).next_offset == Offset{40});
}

TEST_CASE("a device that cannot read the log's end keeps the partition offline") {
    TestPartition partition = filled(3, 3);
    partition.unreadable.insert(Offset{0});
    partition.recover();
    CHECK(partition.recovered.must_stay_offline);
    TestPartition other = filled(40, 0);
    other.folder.checkpoint.reset();
    const Segment hurt = other.log().segments()[1];
    other.unreadable.insert(hurt.base_offset);
    other.recover();
    CHECK_FALSE(other.recovered.must_stay_offline);
    CHECK(other.log().log_end_offset() == Offset{40});
    CHECK(other.read_all(Offset{0}, kFar).damage->reason == DamageReason::kUnreadable);
    CHECK(other.read_all(hurt.end_offset, kFar).next_offset == Offset{40});
}

TEST_CASE("a folder of garbage gives an empty log and loses nothing") {
    TestPartition partition{config_of()};
    Random random(7);
    Bytes garbage(5'000);
    for (std::uint8_t& byte : garbage) byte = static_cast<std::uint8_t>(random.next());
    partition.folder.logs[Offset{0}].bytes = garbage;
    partition.folder.checkpoint = Buffer::copy_of(ByteView(garbage).first(300));
    partition.recover();
    CHECK(partition.log().log_end_offset() == Offset{0});
    CHECK(partition.folder.aside.contains(Offset{0}));
    REQUIRE(partition.append());
    partition.flush();
    partition.recover();
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{1});
}

TEST_CASE("an empty folder, or none, gives an empty log") {
    TestPartition partition{config_of()};
    partition.recover();
    CHECK(partition.log().log_end_offset() == Offset{0});
    CHECK(partition.recovered.notes.empty());
    REQUIRE(partition.append());
    partition.flush();
    CHECK(partition.log().persisted_offset() == Offset{1});
}

TEST_CASE("an index from the recovery point on is removed: its segment may be another one now") {
    TestPartition partition = filled(40, 40);
    const auto image = decode_checkpoint(partition.folder.checkpoint->view());
    REQUIRE(image.has_value());
    const Offset first_read = image->segments.back().base_offset;
    auto& indexes = partition.folder.indexes;
    const std::size_t vouched_for =
        static_cast<std::size_t>(std::distance(indexes.begin(), indexes.lower_bound(first_read)));
    REQUIRE(vouched_for > 0);
    REQUIRE(indexes.size() > vouched_for);
    // Of a segment that is gone, and whose offsets will be given out again.
    indexes.emplace(Offset{80}, indexes.begin()->second);
    partition.recover();
    CHECK(indexes.size() == vouched_for);
    CHECK(indexes.lower_bound(first_read) == indexes.end());
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{80});
}

TEST_CASE("the index of the active segment is completed when somebody reads from before it") {
    TestPartition partition = filled(40, 10, 1 << 20);
    partition.recover();
    CHECK_FALSE(partition.log().active_index()->is_complete());
    CHECK(partition.read_all(Offset{45}, kFar).next_offset == Offset{50});
    CHECK(partition.index_reads == 0);
    CHECK(partition.read_all(Offset{0}, kFar).next_offset == Offset{50});
    CHECK(partition.log().active_index()->is_complete());
    const std::size_t reads = partition.index_reads;
    CHECK(reads > 0);
    CHECK(partition.read_all(Offset{3}, kFar).next_offset == Offset{50});
    CHECK(partition.index_reads == reads);
}

}  // namespace
}  // namespace dlog::storage
