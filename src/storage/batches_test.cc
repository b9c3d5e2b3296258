#include "storage/batches.h"

#include <doctest/doctest.h>

#include "storage/scanner.h"
#include "storage/testing_folder.h"
#include "storage/verified.h"

namespace dlog::storage {
namespace {

using testing::Bytes;

/// Batches of 1, 2, 3, ... records from offset 0 on, and where they begin.
struct Sample {
    Bytes bytes;
    std::vector<IndexEntry> starts;
    Offset end;

    explicit Sample(int count, std::size_t value_bytes = 20) {
        for (int i = 0; i < count; ++i) {
            starts.push_back({end, bytes.size()});
            const Buffer batch = testing::make_batch({.record_count = i % 4 + 1,
                                                      .value_bytes = value_bytes,
                                                      .fill = static_cast<std::uint8_t>(i),
                                                      .base_offset = end});
            bytes.insert(bytes.end(), batch.view().begin(), batch.view().end());
            end = end + (i % 4 + 1);
        }
    }
};

TEST_CASE("every offset is found in the batch that holds it") {
    const Sample sample(12);
    for (Offset wanted{0}; wanted < sample.end; ++wanted) {
        const Located found = locate_in_bytes(sample.bytes, Offset{0}, wanted);
        REQUIRE(found.outcome == Located::Outcome::kFound);
        std::size_t i = 0;
        while (i + 1 < sample.starts.size() && sample.starts[i + 1].offset <= wanted) ++i;
        CHECK(found.position == sample.starts[i].position);
        CHECK(found.first_offset == sample.starts[i].offset);
    }
    CHECK(locate_in_bytes(sample.bytes, Offset{0}, sample.end).outcome ==
          Located::Outcome::kNotHere);
}

TEST_CASE("behind damage only a batch that ends within the segment counts as intact") {
    const Sample sample(4);
    const IndexEntry last = sample.starts[3];
    const ByteView bytes = ByteView(sample.bytes).subspan(last.position);
    const auto look = [&](Offset high) {
        return find_intact_batch(bytes, last.offset, high, bytes.size());
    };
    CHECK(look(sample.end).outcome == Resync::Outcome::kFound);
    CHECK(look(sample.end).offset == last.offset);
    CHECK(look(sample.end - 1).outcome == Resync::Outcome::kNone);
}

TEST_CASE("bytes that end inside a batch say how many more it needs") {
    const Sample sample(3);
    const std::size_t last = sample.starts[2].position;
    for (std::size_t size = last + 1; size < sample.bytes.size(); ++size) {
        const ByteView cut = ByteView(sample.bytes).first(size);
        const Located found = locate_in_bytes(cut, Offset{0}, sample.end - 1);
        CHECK(found.outcome == Located::Outcome::kMoreBytes);
        CHECK(found.position == last);
        CHECK(last + found.bytes_needed <= sample.bytes.size());
        CHECK(found.bytes_needed > size - last);
        const Verified verified = verify_range(cut, Offset{0});
        CHECK(verified.size_bytes == last);
        CHECK(verified.stop == BatchWalker::Stop::kMoreBytes);
    }
}

TEST_CASE("every flipped bit of a batch is noticed, except in its leader epoch") {
    Sample sample(2);
    const std::size_t end = sample.starts[1].position;
    for (std::size_t bit = 0; bit < end * 8; ++bit) {
        const std::size_t byte = bit / 8;
        // The leader epoch lies outside the CRC (Kafka's format), and nothing else tells it.
        if (byte >= record::kLeaderEpochAt && byte < record::kMagicAt) continue;
        const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
        sample.bytes[byte] ^= mask;
        CHECK_MESSAGE(verify_range(sample.bytes, Offset{0}).size_bytes == 0, "bit ", bit);
        sample.bytes[byte] ^= mask;
    }
    CHECK(verify_range(sample.bytes, Offset{0}).size_bytes == sample.bytes.size());
}

TEST_CASE("a cut ends at a whole batch, the limit and the size asked for") {
    const Sample sample(4);  // 1 + 2 + 3 + 4 records
    const auto cut = [&](Offset limit, std::size_t max_bytes, bool at_least_one) {
        return cut_batches(sample.bytes, {Offset{0}, limit, max_bytes, at_least_one});
    };
    CHECK(cut(Offset{10}, 1 << 20, false).size_bytes == sample.bytes.size());
    CHECK(cut(Offset{9}, 1 << 20, false).next_offset == Offset{6});
    CHECK(cut(Offset{6}, 1 << 20, false).next_offset == Offset{6});
    CHECK(cut(Offset{0}, 1 << 20, true).size_bytes == 0);
    CHECK(cut(Offset{10}, sample.starts[2].position, false).next_offset == Offset{3});
    CHECK(cut(Offset{10}, sample.starts[2].position - 1, false).next_offset == Offset{1});
    CHECK(cut(Offset{10}, 1, true).next_offset == Offset{1});
    CHECK(cut(Offset{10}, 1, false).size_bytes == 0);
}

/// Feeds the scanner from `bytes` as a file, in exact copies.
std::vector<SegmentScanner::Event> scan(const Bytes& bytes, SegmentScanner& scanner) {
    std::vector<SegmentScanner::Event> events;
    while (const auto need = scanner.need()) {
        const std::size_t begin = std::min<std::size_t>(need->position, bytes.size());
        const std::size_t size = std::min(need->size_bytes, bytes.size() - begin);
        const Bytes part(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                         bytes.begin() + static_cast<std::ptrdiff_t>(begin + size));
        scanner.feed(part);
        while (auto event = scanner.next()) events.push_back(*event);
    }
    return events;
}

constexpr IndexEntry kFileEnd{Offset{INT64_MAX}, UINT64_MAX};

TEST_CASE("a scan yields every batch of a file, however large they are") {
    for (const std::size_t value_bytes : {0UL, 1'000UL, 60'000UL, 700'000UL}) {
        const Sample sample(8, value_bytes);
        SegmentScanner scanner(Offset{0}, {Offset{0}, 0}, kFileEnd);
        const auto events = scan(sample.bytes, scanner);
        REQUIRE(events.size() == 8);
        for (std::size_t i = 0; i < 8; ++i) {
            const auto& batch = std::get<SegmentScanner::Batch>(events[i]);
            CHECK(batch.place.base_offset == sample.starts[i].offset);
            CHECK(batch.place.position == sample.starts[i].position);
        }
        CHECK(scanner.intact_to() == IndexEntry{sample.end, sample.bytes.size()});
        CHECK(scanner.end_position() == sample.bytes.size());
    }
}

TEST_CASE("a scan steps over a damaged batch to the next intact one") {
    for (const std::size_t value_bytes : {20UL, 100'000UL}) {
        Sample sample(6, value_bytes);
        sample.bytes[sample.starts[2].position + 65] ^= 1;
        SegmentScanner scanner(Offset{0}, {Offset{0}, 0}, kFileEnd);
        const auto events = scan(sample.bytes, scanner);
        REQUIRE(events.size() == 6);
        const Damage& damage = std::get<Damage>(events[2]);
        CHECK(damage == Damage{.segment = Offset{0},
                               .position = sample.starts[2].position,
                               .end_position = sample.starts[3].position,
                               .first_offset = sample.starts[2].offset,
                               .next_offset = sample.starts[3].offset,
                               .reason = DamageReason::kBadCrc});
        CHECK(std::get<SegmentScanner::Batch>(events[3]).place.base_offset ==
              sample.starts[3].offset);
    }
}

TEST_CASE("a length that lies costs a scan no more than the file") {
    Sample sample(6, 1'000);
    store_big_endian(sample.bytes.data() + sample.starts[1].position + record::kBatchLengthAt,
                     std::int32_t{0x7000'0000});
    SegmentScanner scanner(Offset{0}, {Offset{0}, 0}, kFileEnd);
    const auto events = scan(sample.bytes, scanner);
    REQUIRE(events.size() == 6);
    CHECK(std::get<Damage>(events[1]).reason == DamageReason::kTruncated);
    CHECK(std::get<Damage>(events[1]).next_offset == sample.starts[2].offset);
}

TEST_CASE("a scan of a torn file ends with the damage up to its end") {
    const Sample sample(4);
    const std::size_t last = sample.starts[3].position;
    for (std::size_t size = last + 1; size < sample.bytes.size(); ++size) {
        const Bytes torn(sample.bytes.begin(),
                         sample.bytes.begin() + static_cast<std::ptrdiff_t>(size));
        SegmentScanner scanner(Offset{0}, {Offset{0}, 0}, kFileEnd);
        const auto events = scan(torn, scanner);
        REQUIRE(events.size() == 4);
        const Damage& damage = std::get<Damage>(events[3]);
        CHECK(damage.position == last);
        CHECK(damage.end_position == size);
        CHECK(damage.first_offset == damage.next_offset);
    }
}

TEST_CASE("verified ranges grow together") {
    VerifiedRanges ranges;
    const Offset segment{0};
    ranges.mark_verified(segment, 100, 200);
    ranges.mark_verified(segment, 300, 400);
    CHECK(ranges.is_verified(segment, 100, 200));
    CHECK_FALSE(ranges.is_verified(segment, 100, 201));
    CHECK_FALSE(ranges.is_verified(segment, 99, 200));
    CHECK(ranges.verified_end(segment, 150) == 200);
    CHECK(ranges.verified_end(segment, 250) == 250);
    ranges.mark_verified(segment, 150, 350);
    CHECK(ranges.is_verified(segment, 100, 400));
    ranges.mark_verified(segment, 400, 500);
    CHECK(ranges.is_verified(segment, 100, 500));
    CHECK_FALSE(ranges.is_verified(Offset{1}, 100, 500));
    ranges.forget(segment, 250);
    CHECK(ranges.is_verified(segment, 100, 250));
    CHECK_FALSE(ranges.is_verified(segment, 100, 251));
}

TEST_CASE("damage is found by the offsets that it covers") {
    VerifiedRanges ranges;
    const Damage one{Offset{0}, 100, 200, Offset{10}, Offset{20}, DamageReason::kBadCrc};
    const Damage two{Offset{0}, 500, 600, Offset{50}, Offset{60}, DamageReason::kBadCrc};
    CHECK(ranges.note_damage(two));
    CHECK(ranges.note_damage(one));
    CHECK_FALSE(ranges.note_damage(one));
    CHECK(ranges.damage_at(Offset{9}) == nullptr);
    CHECK(*ranges.damage_at(Offset{10}) == one);
    CHECK(*ranges.damage_at(Offset{19}) == one);
    CHECK(ranges.damage_at(Offset{20}) == nullptr);
    CHECK(*ranges.damage_before(Offset{0}, Offset{20}) == one);
    CHECK(*ranges.damage_before(Offset{0}, Offset{99}) == two);
    CHECK(ranges.damage_before(Offset{0}, Offset{19}) == nullptr);
    CHECK(ranges.damage_before(Offset{1}, Offset{99}) == nullptr);
    // What is found later and reaches further takes the place of what was known.
    CHECK(ranges.note_damage({Offset{0}, 90, 300, Offset{9}, Offset{30}, DamageReason::kBadCrc}));
    CHECK(ranges.damages().size() == 2);
    CHECK(ranges.damage_at(Offset{25})->position == 90);
}

}  // namespace
}  // namespace dlog::storage
