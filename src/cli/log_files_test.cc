#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/json.h"
#include "cli/log_check.h"
#include "cli/log_dump.h"
#include "cli/segment_scan.h"
#include "record/builder.h"
#include "storage/checkpoint.h"
#include "storage/index.h"
#include "storage/segment.h"

namespace dlog::cli {
namespace {

namespace fs = std::filesystem;

/// A folder that goes away with the object.
struct TemporaryFolder {
    TemporaryFolder() {
        char name[] = "/tmp/dlog-cli-test-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path = name;
    }
    ~TemporaryFolder() { fs::remove_all(path); }
    std::string path;
};

void write_file(const std::string& path, ByteView bytes) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    REQUIRE(file != nullptr);
    REQUIRE(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
    std::fclose(file);
}

/// What `body` prints to standard output.
std::string printed(const std::function<void()>& body) {
    std::fflush(stdout);
    std::FILE* file = std::tmpfile();
    const int saved = ::dup(STDOUT_FILENO);
    ::dup2(::fileno(file), STDOUT_FILENO);
    body();
    std::fflush(stdout);
    ::dup2(saved, STDOUT_FILENO);
    ::close(saved);
    std::rewind(file);
    std::string text;
    char chunk[4096];
    while (const std::size_t count = std::fread(chunk, 1, sizeof(chunk), file)) {
        text.append(chunk, count);
    }
    std::fclose(file);
    return text;
}

struct BuiltSegment {
    std::vector<std::uint8_t> bytes;
    std::vector<std::size_t> positions;
    storage::Segment facts;
    storage::SegmentIndex index{Offset{0}};
};

/// Batches of two records each, from `base` on.
BuiltSegment build_segment(std::int64_t base, int batches) {
    BuiltSegment built{.index = storage::SegmentIndex(Offset{base})};
    for (int i = 0; i < batches; ++i) {
        const Offset offset{base + 2 * i};
        record::BatchBuilder builder({.base_offset = offset, .leader_epoch = LeaderEpoch{1}});
        const std::string value(200, static_cast<char>('a' + i % 26));
        builder.append(Timestamp{1000 + i}, as_bytes("key"), as_bytes(value));
        builder.append(Timestamp{1000 + i}, std::nullopt, as_bytes("second"));
        const auto batch = builder.build();
        REQUIRE(batch.has_value());
        built.index.add({.base_offset = offset,
                         .next_offset = offset + 2,
                         .position = built.bytes.size(),
                         .size_bytes = batch->size(),
                         .max_timestamp = Timestamp{1000 + i}},
                        512);
        built.positions.push_back(built.bytes.size());
        built.bytes.insert(built.bytes.end(), batch->data(), batch->data() + batch->size());
    }
    built.facts = {.base_offset = Offset{base},
                   .end_offset = Offset{base + 2 * batches},
                   .size_bytes = built.bytes.size(),
                   .max_timestamp = Timestamp{1000 + batches - 1},
                   .max_timestamp_offset = Offset{base + 2 * (batches - 1)},
                   .last_append = Timestamp{5000}};
    return built;
}

std::string name_of(std::int64_t base, storage::FileKind kind) {
    return storage::segment_file_name(Offset{base}, kind);
}

/// A partition of two segments with indexes and a checkpoint, in `folder`/topics/orders/0-00000000.
struct DataFolder {
    DataFolder() : partition(temporary.path + "/topics/orders/0-00000000") {
        fs::create_directories(partition);
        first = build_segment(0, 20);
        second = build_segment(40, 10);
        write(name_of(0, storage::FileKind::kLog), first.bytes);
        write(name_of(40, storage::FileKind::kLog), second.bytes);
        write(name_of(0, storage::FileKind::kIndex), first.index.encode_offsets().view());
        write(name_of(0, storage::FileKind::kTimeIndex), first.index.encode_times().view());
        storage::LogImage image;
        image.segments = {first.facts, second.facts};
        write(std::string(storage::kCheckpointFileName), storage::encode_checkpoint(image).view());
    }
    void write(const std::string& name, ByteView bytes) const {
        write_file(partition + "/" + name, bytes);
    }
    [[nodiscard]] CheckReport check() const {
        const auto report = check_folder(temporary.path);
        REQUIRE(report.has_value());
        return *report;
    }
    TemporaryFolder temporary;
    std::string partition;
    BuiltSegment first;
    BuiltSegment second;
};

std::string all_text(const CheckReport& report) {
    std::string text;
    for (const CheckFinding& finding : report.findings) {
        text +=
            finding.file + " at " + std::to_string(finding.position) + ": " + finding.text + '\n';
    }
    return text;
}

TEST_CASE("an intact data folder is found to be well") {
    const DataFolder folder;
    const CheckReport report = folder.check();
    CHECK_MESSAGE(report.findings.empty(), all_text(report));
    CHECK(report.partitions == 1);
    CHECK(report.segments == 2);
    CHECK(report.batches == 30);
    CHECK(report.records == 60);
}

TEST_CASE("a flipped bit anywhere in a segment is found, with file and position of its batch") {
    DataFolder folder;
    for (std::size_t at = 0; at < folder.first.bytes.size(); at += 61) {
        CAPTURE(at);
        // The base offset, and the epoch outside the CRC, are checked by what stands around them or
        // not at all.
        const auto batch =
            std::upper_bound(folder.first.positions.begin(), folder.first.positions.end(), at) - 1;
        const std::size_t within = at - *batch;
        if (within >= 12 && within < 16) continue;
        std::vector<std::uint8_t> damaged = folder.first.bytes;
        damaged[at] ^= 0x10;
        folder.write(name_of(0, storage::FileKind::kLog), damaged);
        const CheckReport report = folder.check();
        CHECK(report.has_damage());
        bool is_named = false;
        for (const CheckFinding& finding : report.findings) {
            is_named = is_named || (finding.position == *batch &&
                                    finding.file.ends_with("00000000000000000000.log"));
        }
        CHECK_MESSAGE(is_named, all_text(report));
        CHECK(report.batches >= 28);
    }
}

TEST_CASE("a torn end behind the recovery point is no damage, before it it is") {
    DataFolder folder;
    std::vector<std::uint8_t> torn = folder.second.bytes;
    torn.insert(torn.end(), folder.first.bytes.begin(), folder.first.bytes.begin() + 70);
    folder.write(name_of(40, storage::FileKind::kLog), torn);
    const CheckReport behind = folder.check();
    CHECK_FALSE(behind.has_damage());
    REQUIRE(behind.findings.size() == 1);
    CHECK(behind.findings[0].position == folder.second.bytes.size());
    CHECK(behind.findings[0].text.find("cuts it off") != std::string::npos);

    torn = folder.second.bytes;
    torn.resize(torn.size() - 10);
    folder.write(name_of(40, storage::FileKind::kLog), torn);
    CHECK(folder.check().has_damage());
}

TEST_CASE("missing segments, foreign offsets and damaged small files are named") {
    {
        const DataFolder folder;
        fs::remove(folder.partition + "/" + name_of(0, storage::FileKind::kLog));
        CHECK(all_text(folder.check()).find("offsets 0-39 are lost") != std::string::npos);
    }
    {
        const DataFolder folder;
        const BuiltSegment gap = build_segment(50, 3);
        fs::remove(folder.partition + "/" + name_of(40, storage::FileKind::kLog));
        folder.write(name_of(50, storage::FileKind::kLog), gap.bytes);
        CHECK(all_text(folder.check()).find("offsets 40-49 are missing") != std::string::npos);
    }
    for (const std::string& name :
         {name_of(0, storage::FileKind::kIndex), std::string(storage::kCheckpointFileName)}) {
        CAPTURE(name);
        const DataFolder folder;
        auto bytes = read_whole(folder.partition + "/" + name, 1 << 20).value();
        bytes[bytes.size() / 2] ^= 1;
        folder.write(name, bytes);
        const CheckReport report = folder.check();
        CHECK(report.has_damage());
        CHECK(all_text(report).find(name) != std::string::npos);
    }
}

TEST_CASE("an index that belongs to other bytes is found") {
    const DataFolder folder;
    // The second batch is gone: everything behind it lies elsewhere.
    std::vector<std::uint8_t> shifted = build_segment(0, 1).bytes;
    const auto from = static_cast<std::ptrdiff_t>(folder.first.positions[2]);
    shifted.insert(shifted.end(), folder.first.bytes.begin() + from, folder.first.bytes.end());
    folder.write(name_of(0, storage::FileKind::kLog), shifted);
    const std::string text = all_text(folder.check());
    CHECK(text.find("no such batch begins") != std::string::npos);
    CHECK_MESSAGE(text.find("0 bytes, offsets 2-3 are lost") != std::string::npos, text);
}

/// As a compaction leaves it that was interrupted: the new file of offsets 0-39 still has the name
/// under which it waits.
struct InterruptedCompaction : DataFolder {
    /// `is_decided`: the checkpoint says that the new file is part of the log.
    explicit InterruptedCompaction(bool is_decided) {
        rewritten = build_segment(0, 20);
        write(swap, rewritten.bytes);
        write(cleaned, second.bytes);
        storage::LogImage image;
        image.segments = {first.facts, second.facts};
        if (is_decided) image.swapping = Offset{0};
        write(std::string(storage::kCheckpointFileName), storage::encode_checkpoint(image).view());
    }
    const std::string swap = storage::swap_file_name(Offset{0}, Offset{40});
    const std::string cleaned = storage::cleaned_file_name(Offset{40});
    BuiltSegment rewritten;
};

TEST_CASE("of an interrupted compaction that was decided the new file counts, not the old ones") {
    const InterruptedCompaction folder(true);
    // What the new file replaces may be anything by now.
    folder.write(name_of(0, storage::FileKind::kLog), as_bytes("gone"));
    folder.write(name_of(20, storage::FileKind::kLog), as_bytes("an old segment of its offsets"));
    CheckReport report = folder.check();
    const std::string text = all_text(report);
    CHECK_FALSE_MESSAGE(report.has_damage(), text);
    CHECK(report.segments == 2);
    CHECK(report.records == 60);
    CHECK(text.find(folder.swap + " at 0: holds the offsets 0-39") != std::string::npos);
    CHECK(text.find(folder.cleaned + " at 0: is left from a compaction") != std::string::npos);
    CHECK(text.find(name_of(20, storage::FileKind::kLog) + " at 0: is left") != std::string::npos);
    CHECK(text.find(name_of(0, storage::FileKind::kIndex) + " at 0: is left") != std::string::npos);

    std::vector<std::uint8_t> damaged = folder.rewritten.bytes;
    damaged[folder.rewritten.positions[7] + 90] ^= 1;
    folder.write(folder.swap, damaged);
    report = folder.check();
    CHECK(report.has_damage());
    const std::string found =
        folder.swap + " at " + std::to_string(folder.rewritten.positions[7]) + ": ";
    CHECK_MESSAGE(all_text(report).find(found) != std::string::npos, all_text(report));
}

TEST_CASE("of an interrupted compaction that was not decided the old files count") {
    const InterruptedCompaction folder(false);
    folder.write(folder.swap, as_bytes("half of it"));
    CheckReport report = folder.check();
    CHECK_FALSE_MESSAGE(report.has_damage(), all_text(report));
    CHECK(report.records == 60);
    CHECK(report.findings.size() == 2);
    CHECK(all_text(report).find(folder.swap + " at 0: is left") != std::string::npos);
    fs::remove(folder.partition + "/" + name_of(0, storage::FileKind::kLog));
    CHECK(folder.check().has_damage());
}

TEST_CASE(
    "without a checkpoint a rewritten segment that is whole takes the place of the old ones") {
    const InterruptedCompaction folder(false);
    fs::remove(folder.partition + "/" + std::string(storage::kCheckpointFileName));
    fs::remove(folder.partition + "/" + name_of(0, storage::FileKind::kLog));
    const CheckReport report = folder.check();
    CHECK_FALSE_MESSAGE(report.has_damage(), all_text(report));
    CHECK(report.records == 60);
}

TEST_CASE("a check as JSON has the sums and every finding, or those of damage only") {
    const InterruptedCompaction folder(true);
    const std::string path = folder.partition + "/" + folder.cleaned;
    const std::string note = R"({"damage":false,"file":")" + path +
                             R"(","position":0,"text":"is left from a compaction that was )"
                             R"(interrupted; the next start removes it"})";
    const std::string text = check_json(folder.check(), false);
    CHECK(text.starts_with(R"({"damaged":false,"partitions":1,"segments":2,"batches":30,)"
                           R"("records":60,"bytes":)"));
    CHECK_MESSAGE(text.find(note) != std::string::npos, text);
    CHECK(text.ends_with("]}\n"));
    CHECK(check_json(folder.check(), true).ends_with("\"findings\":[]}\n"));
    CHECK(check_text(folder.check(), true).empty());
    folder.write(name_of(40, storage::FileKind::kLog), as_bytes("short"));
    const std::string damaged = check_json(folder.check(), true);
    CHECK(damaged.starts_with(R"({"damaged":true,)"));
    CHECK(damaged.find(R"("findings":[{"damage":true,"file":")") != std::string::npos);
}

TEST_CASE("a dump as JSON is an object for each batch and record, and one for the file") {
    DataFolder folder;
    const std::string path = folder.partition + "/" + name_of(40, storage::FileKind::kLog);
    std::string text =
        printed([&] { CHECK(dump_file(path, {.shows_values = true, .is_json = true}).value()); });
    CHECK(text.starts_with(R"({"kind":"batch","position":0,"base_offset":40,"last_offset":41,)"
                           R"("records":2,)"));
    CHECK(text.find(R"({"kind":"record","offset":41,"timestamp_ms":1000,"key":null,)"
                    R"("value":"second","headers":[]})"
                    "\n") != std::string::npos);
    CHECK(text.ends_with(R"(,"batches":10,"records":20,"bytes":)" +
                         std::to_string(folder.second.bytes.size()) + ",\"next_offset\":60}\n"));
    CHECK(std::ranges::count(text, '\n') == 31);

    folder.second.bytes[folder.second.positions[3] + 100] ^= 1;
    folder.write(name_of(40, storage::FileKind::kLog), folder.second.bytes);
    text = printed(
        [&] { CHECK_FALSE(dump_file(path, {.shows_records = true, .is_json = true}).value()); });
    CHECK(text.find(R"({"kind":"damage","position":)" + std::to_string(folder.second.positions[3]) +
                    ",") != std::string::npos);
    CHECK(text.find(R"("first_lost_offset":46,"next_offset":48})") != std::string::npos);
    CHECK(text.find(R"("key_bytes":null,"value_bytes":6,)") != std::string::npos);
}

TEST_CASE("indexes and checkpoints as JSON are one object each") {
    const DataFolder folder;
    const auto dumped = [&](const std::string& name, bool is_intact) {
        return printed([&] {
            CHECK(dump_file(folder.partition + "/" + name, {.is_json = true}).value() == is_intact);
        });
    };
    std::string text = dumped("log.checkpoint", true);
    CHECK(text.starts_with(R"({"kind":"checkpoint","file":")"));
    CHECK(text.find(R"("recovery_offset":60,"recovery_segment":40,)") != std::string::npos);
    CHECK(text.find(R"("swapping":null,"segments":[{"base_offset":0,"end_offset":40,)") !=
          std::string::npos);
    text = dumped(name_of(0, storage::FileKind::kIndex), true);
    CHECK(text.starts_with(R"({"kind":"index","file":")"));
    CHECK(text.find(R"("base_offset":0,"end_offset":40,)") != std::string::npos);
    folder.write("log.checkpoint", as_bytes("nothing of the kind"));
    CHECK(dumped("log.checkpoint", false).starts_with(R"({"kind":"damaged_file","file":")"));
}

TEST_CASE("the files of a compaction are dumped as the segments that they are to become") {
    const InterruptedCompaction folder(true);
    for (const auto& [name, first] :
         {std::pair{folder.swap, "offsets 0-1 "}, std::pair{folder.cleaned, "offsets 40-41 "}}) {
        CAPTURE(name);
        const std::string path = folder.partition + "/" + name;
        const std::string text = printed([&] { CHECK(dump_file(path, {}).value()); });
        CHECK(text.starts_with(std::string("batch at 0: ") + first));
    }
}

TEST_CASE("bytes in JSON are text, or hexadecimal digits when they are not UTF-8") {
    const auto bytes = [](std::string_view text) { return json_bytes(as_bytes(text)); };
    CHECK(json_bytes(std::nullopt) == "null");
    CHECK(bytes("") == "\"\"");
    CHECK(bytes("a\"\n\xc3\xa9") == "\"a\\\"\\u000a\xc3\xa9\"");
    CHECK(bytes(std::string_view("\x00\xff", 2)) == R"({"hex":"00ff"})");
    CHECK(json_string("a\xff") == R"("a\ufffd")");
}

TEST_CASE("a dump shows batches and records, and where it is damaged") {
    DataFolder folder;
    const std::string path = folder.partition + "/" + name_of(40, storage::FileKind::kLog);
    std::string text = printed(
        [&] { CHECK(dump_file(path, {.shows_records = true, .shows_values = true}).value()); });
    CHECK(text.find("batch at 0: offsets 40-41 records=2") != std::string::npos);
    CHECK(text.find("record 41 1970-01-01T00:00:01.000Z key=null value=\"second\"") !=
          std::string::npos);
    CHECK(text.find("10 batches, 20 records") != std::string::npos);

    std::vector<std::uint8_t> damaged = folder.second.bytes;
    damaged[folder.second.positions[3] + 100] ^= 1;
    folder.write(name_of(40, storage::FileKind::kLog), damaged);
    text = printed([&] { CHECK_FALSE(dump_file(path, {}).value()); });
    CHECK(text.find("DAMAGED at " + std::to_string(folder.second.positions[3])) !=
          std::string::npos);
    CHECK(text.find("offsets 46-47 are lost") != std::string::npos);
    CHECK(text.find("batch at " + std::to_string(folder.second.positions[4])) != std::string::npos);
}

TEST_CASE("indexes and checkpoints are dumped, other files refused with what would do") {
    const DataFolder folder;
    std::string text =
        printed([&] { CHECK(dump_file(folder.partition + "/log.checkpoint", {}).value()); });
    CHECK(text.find("recovery point offset 60") != std::string::npos);
    CHECK(text.find("segment 40: end offset 60") != std::string::npos);
    text = printed([&] {
        CHECK(dump_file(folder.partition + "/" + name_of(0, storage::FileKind::kTimeIndex), {})
                  .value());
    });
    CHECK(text.find("covers offsets 0-39") != std::string::npos);
    CHECK(dump_file(folder.partition + "/notes.txt", {}).error().find("00000000000000000000.log") !=
          std::string::npos);
    CHECK_FALSE(
        dump_file(folder.partition + "/" + name_of(7, storage::FileKind::kLog), {}).has_value());
}

TEST_CASE("a scan goes on behind damage that is larger than its window") {
    const TemporaryFolder folder;
    const BuiltSegment before = build_segment(0, 3);
    const BuiltSegment after = build_segment(100, 3);
    std::vector<std::uint8_t> bytes = before.bytes;
    bytes.resize(bytes.size() + (9 << 20), 0xee);
    const std::size_t good_again = bytes.size();
    bytes.insert(bytes.end(), after.bytes.begin(), after.bytes.end());
    const std::string path = folder.path + "/00000000000000000000.log";
    write_file(path, bytes);
    const auto file = InputFile::open(path);
    REQUIRE(file.has_value());
    SegmentScanner scanner(*file, Offset{0});
    int batches = 0;
    int damages = 0;
    while (const auto item = scanner.next()) {
        if (const auto* damage = std::get_if<ScannedDamage>(&*item)) {
            ++damages;
            CHECK(damage->position == before.bytes.size());
            CHECK(damage->end_position == good_again);
            CHECK(damage->next_offset == Offset{100});
        } else {
            ++batches;
        }
    }
    CHECK(batches == 6);
    CHECK(damages == 1);
}

}  // namespace
}  // namespace dlog::cli
