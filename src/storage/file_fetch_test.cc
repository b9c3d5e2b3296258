#include "storage/file_fetch.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "storage/batches.h"
#include "storage/testing_partition.h"

namespace dlog::storage {
namespace {

using testing::Bytes;
using testing::TestPartition;

constexpr Offset kFar{1'000'000};

LogConfig config_of(std::int64_t segment_bytes) {
    LogConfig config;
    config.segment_bytes = segment_bytes;
    config.index_interval_bytes = 500;
    return config;
}

/// 300 batches of 1 to 3 records in segments of `segment_bytes`, as a new process finds them: none
/// in memory, none verified.
struct Filled {
    TestPartition partition;
    Bytes all;
    std::vector<IndexEntry> starts;  ///< offset and position within `all`

    explicit Filled(std::int64_t segment_bytes = 4'000) : partition(config_of(segment_bytes)) {
        for (int i = 0; i < 300; ++i) {
            const auto appended = partition.append({.record_count = i % 3 + 1,
                                                    .value_bytes = static_cast<std::size_t>(i % 50),
                                                    .fill = static_cast<std::uint8_t>(i)});
            starts.push_back({appended->base_offset, 0});
        }
        partition.flush();
        partition.checkpoint();
        partition.recover();
        for (const auto& [base, file] : partition.folder.logs) {
            all.insert(all.end(), file.bytes.begin(), file.bytes.end());
        }
        BatchWalker walker(all, Offset{0}, CrcCheck::kNo);
        for (IndexEntry& start : starts) start.position = walker.next()->position;
    }
    [[nodiscard]] Offset end() { return partition.log().log_end_offset(); }
};

TEST_CASE("what lies in files is read back whole, by any size of reads") {
    for (const std::size_t max_bytes : {1UL, 100UL, 700UL, 5'000UL, 1UL << 20}) {
        Filled filled;
        const auto read = filled.partition.read_all(Offset{0}, kFar, max_bytes);
        CHECK(read.next_offset == filled.end());
        CHECK(read.bytes == filled.all);
        // And again, now that all of it has been verified.
        CHECK(filled.partition.read_all(Offset{0}, kFar, max_bytes).bytes == filled.all);
    }
}

TEST_CASE("a read may begin at any offset") {
    Filled filled;
    for (Offset from{0}; from < filled.end(); ++from) {
        const auto read = filled.partition.read({from, kFar, 200, true});
        REQUIRE(read);
        REQUIRE_FALSE(read->damage);
        std::size_t i = 0;
        while (i + 1 < filled.starts.size() && filled.starts[i + 1].offset <= from) ++i;
        CHECK(read->first_offset == filled.starts[i].offset);
        CHECK(read->next_offset > from);
        const auto begin =
            filled.all.begin() + static_cast<std::ptrdiff_t>(filled.starts[i].position);
        CHECK(std::equal(read->bytes.begin(), read->bytes.end(), begin));
    }
}

TEST_CASE("a read from a file ends at the limit, whether verified before or not") {
    Filled filled(1 << 20);
    for (int round = 0; round < 2; ++round) {
        for (Offset limit{0}; limit < filled.end(); limit = limit + 7) {
            const auto read = filled.partition.read({Offset{0}, limit, 1 << 20, true});
            CHECK(read->next_offset <= limit);
            // What is served unread ends at an index entry; the next read brings the rest.
            CHECK(read->next_offset.value >= limit.value - 40);
            CHECK(filled.partition.read_all(Offset{0}, limit, 1 << 20).next_offset.value >=
                  limit.value - 2);
        }
        CHECK(filled.partition.read_all(Offset{0}, kFar, 1 << 20).bytes == filled.all);
    }
}

TEST_CASE("a batch larger than max_bytes is served whole or not at all, as asked") {
    TestPartition partition{LogConfig{}};
    REQUIRE(partition.append({.value_bytes = 3'000'000}));
    REQUIRE(partition.append());
    partition.flush();
    partition.log().evict_tail(0);
    CHECK(partition.read({Offset{0}, kFar, 1'000, false})->bytes.empty());
    const auto whole = partition.read({Offset{0}, kFar, 1'000, true});
    CHECK(whole->next_offset == Offset{1});
    CHECK(whole->bytes.size() > 3'000'000);
}

TEST_CASE("what has been verified is served again without being read") {
    Filled filled(1 << 20);
    REQUIRE(filled.partition.read_all(Offset{0}, kFar, 2'000).bytes == filled.all);
    const auto again = filled.partition.read({Offset{0}, kFar, 8'000, true});
    CHECK(again->bytes_read == 0);
    CHECK(again->bytes.size() > 6'000);
    // From a place that is no entry of the index, only what finds the batch is read.
    const auto middle = filled.partition.read({Offset{101}, kFar, 8'000, true});
    CHECK(middle->bytes_read < 1'000);
    CHECK(middle->bytes.size() > 6'000);
    // A reader that goes on where it was needs no search.
    const auto next = filled.partition.read({middle->next_offset, kFar, 8'000, true});
    CHECK(next->bytes_read == 0);
}

TEST_CASE("what this process has written is served without being read") {
    TestPartition partition(config_of(4'000));
    for (int i = 0; i < 100; ++i) REQUIRE(partition.append({.value_bytes = 100}));
    partition.write();
    partition.log().evict_tail(0);
    Bytes all;
    for (const auto& [base, file] : partition.folder.logs) {
        all.insert(all.end(), file.bytes.begin(), file.bytes.end());
    }
    Bytes served;
    for (Offset from{0}; from < Offset{100};) {
        const auto read = partition.read({from, kFar, 2'000, true});
        REQUIRE(read);
        CHECK(read->bytes_read == 0);
        REQUIRE(read->next_offset > from);
        served.insert(served.end(), read->bytes.begin(), read->bytes.end());
        from = read->next_offset;
    }
    CHECK(served == all);
}

TEST_CASE("damage anywhere is never served, and everything around it is") {
    // One flipped bit in every batch in turn, at several of its bytes.
    for (const std::int64_t segment_bytes : {2'000, 1 << 20}) {
        for (std::size_t i = 0; i < 300; i += 7) {
            Filled filled(segment_bytes);
            const std::size_t begin = filled.starts[i].position;
            const std::size_t end = i + 1 < 300 ? filled.starts[i + 1].position : filled.all.size();
            const std::size_t places[] = {begin,      begin + 3,         begin + 8,
                                          begin + 11, begin + 16,        begin + 20,
                                          begin + 30, (begin + end) / 2, end - 1};
            const std::size_t place = places[i % std::size(places)];
            std::size_t at = place;
            auto file = filled.partition.folder.logs.begin();
            while (at >= file->second.bytes.size()) at -= (file++)->second.bytes.size();
            file->second.bytes[at] ^= static_cast<std::uint8_t>(1U << (i % 8));

            const Offset hurt = filled.starts[i].offset;
            const Offset next = i + 1 < 300 ? filled.starts[i + 1].offset : filled.end();
            for (const bool once_more : {false, true}) {
                const auto before = filled.partition.read_all(Offset{0}, kFar, 3'000);
                CHECK(before.next_offset == hurt);
                CHECK(std::equal(before.bytes.begin(), before.bytes.end(), filled.all.begin()));
                REQUIRE(before.damage);
                CHECK(before.damage->segment == file->first);
                CHECK(before.damage->first_offset == hurt);
                CHECK(before.damage->next_offset == next);
                CHECK(before.damage->position == at - (place - begin));
                const auto after = filled.partition.read_all(next, kFar, 3'000);
                CHECK_FALSE(after.damage);
                CHECK(after.next_offset == filled.end());
                CHECK(after.bytes.size() == filled.all.size() - end);
                if (once_more) CHECK(filled.partition.log().verified().damages().size() == 1);
            }
        }
    }
}

TEST_CASE("a reader that begins behind damage in the same stretch finds its batch") {
    for (std::size_t hurt = 100; hurt < 130; ++hurt) {
        Filled filled(1 << 20);
        Bytes& file = filled.partition.folder.logs.begin()->second.bytes;
        file[filled.starts[hurt].position + 40] ^= 4;
        for (std::size_t i = hurt + 1; i < hurt + 12; ++i) {
            const auto read = filled.partition.read({filled.starts[i].offset, kFar, 300, true});
            REQUIRE_FALSE(read->damage);
            CHECK(read->first_offset == filled.starts[i].offset);
        }
    }
}

TEST_CASE("a file that became shorter is damage from there on") {
    Filled filled;
    auto file = std::next(filled.partition.folder.logs.begin());
    const Offset next = std::next(file)->first;
    file->second.bytes.resize(file->second.bytes.size() / 2);
    const auto before = filled.partition.read_all(Offset{0}, kFar);
    REQUIRE(before.damage);
    CHECK(before.damage->segment == file->first);
    CHECK(before.damage->reason == DamageReason::kTruncated);
    CHECK(before.next_offset > file->first);
    const auto after = filled.partition.read_all(next, kFar);
    CHECK(after.next_offset == filled.end());
}

TEST_CASE("a missing file is a hole with readable ends") {
    Filled filled;
    auto file = std::next(filled.partition.folder.logs.begin());
    const Offset base = file->first;
    const Offset next = std::next(file)->first;
    filled.partition.folder.logs.erase(file);
    const auto before = filled.partition.read_all(Offset{0}, kFar);
    REQUIRE(before.damage);
    CHECK(before.next_offset == base);
    CHECK(before.damage->reason == DamageReason::kMissingFile);
    CHECK(before.damage->next_offset == next);
    CHECK(filled.partition.read_all(next, kFar).next_offset == filled.end());
}

TEST_CASE("a lost or damaged index is built anew from the segment") {
    Filled filled;
    filled.partition.folder.indexes.clear();
    CHECK(filled.partition.read_all(Offset{0}, kFar).bytes == filled.all);
    CHECK(filled.partition.index_reads > 0);
    Filled other;
    for (auto& [base, files] : other.partition.folder.indexes) {
        files.first.mutable_data()[70] ^= 1;
    }
    CHECK(other.partition.read_all(Offset{0}, kFar).bytes == other.all);
    CHECK(other.partition.index_reads > 0);
}

TEST_CASE("an index that is built anew equals the one that grew with the segment") {
    Filled filled;
    const Segment& segment = filled.partition.log().segments()[1];
    IndexBuilder builder(SegmentIndex(segment.base_offset),
                         {segment.end_offset, segment.size_bytes}, 500);
    while (const auto need = builder.need()) builder.feed(filled.partition.folder.read(*need));
    const SegmentIndex index = builder.take();
    const auto& files = filled.partition.folder.indexes.at(segment.base_offset);
    const auto is_same = [](const Buffer& a, const Buffer& b) {
        return std::equal(a.view().begin(), a.view().end(), b.view().begin(), b.view().end());
    };
    CHECK(is_same(index.encode_offsets(), files.first));
    CHECK(is_same(index.encode_times(), files.second));
    CHECK(builder.damages().empty());
}

}  // namespace
}  // namespace dlog::storage
