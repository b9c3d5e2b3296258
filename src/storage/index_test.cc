#include "storage/index.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

namespace dlog::storage {
namespace {

/// 100 batches of 10 records and 100 bytes from offset 1000 on, an entry every 300 bytes or so.
SegmentIndex sample(int batches = 100) {
    SegmentIndex index(Offset{1'000});
    for (int i = 0; i < batches; ++i) {
        index.add({.base_offset = Offset{1'000 + i * 10},
                   .next_offset = Offset{1'010 + i * 10},
                   .position = static_cast<std::uint64_t>(i) * 100,
                   .size_bytes = 100,
                   .max_timestamp = Timestamp{5'000 + i / 2}},
                  250);
    }
    return index;
}

TEST_CASE("an index finds the last entry before an offset or a position") {
    const SegmentIndex index = sample();
    CHECK(index.entry_count() == 33);  // at 300, 600, ... 9900
    CHECK(index.floor(Offset{1'000}) == IndexEntry{Offset{1'000}, 0});
    CHECK(index.floor(Offset{1'029}) == IndexEntry{Offset{1'000}, 0});
    CHECK(index.floor(Offset{1'030}) == IndexEntry{Offset{1'030}, 300});
    CHECK(index.floor(Offset{1'059}) == IndexEntry{Offset{1'030}, 300});
    CHECK(index.floor(Offset{9'999}) == IndexEntry{Offset{1'990}, 9'900});
    CHECK(index.floor_position(299) == IndexEntry{Offset{1'000}, 0});
    CHECK(index.floor_position(300) == IndexEntry{Offset{1'030}, 300});
    CHECK(index.ceiling_position(0) == IndexEntry{Offset{1'030}, 300});
    CHECK(index.ceiling_position(300) == IndexEntry{Offset{1'060}, 600});
    CHECK(index.ceiling_position(9'900) == IndexEntry{Offset{2'000}, 10'000});
}

TEST_CASE("nothing at or after a time lies before its entry") {
    SegmentIndex index(Offset{0});
    const std::int64_t times[] = {10, 30, 20, 30, 40, 40, 35, 50};
    for (int i = 0; i < 8; ++i) {
        index.add({.base_offset = Offset{i},
                   .next_offset = Offset{i + 1},
                   .position = static_cast<std::uint64_t>(i) * 10,
                   .size_bytes = 10,
                   .max_timestamp = Timestamp{times[i]}},
                  5);
    }
    for (std::int64_t time = 0; time < 60; ++time) {
        const Offset floor = index.time_floor(Timestamp{time});
        for (int i = 0; i < floor.value; ++i) CHECK(times[i] < time);
    }
    CHECK(index.time_floor(Timestamp{45}) == Offset{4});
    CHECK(index.time_floor(Timestamp{30}) == Offset{1});
    CHECK(index.time_floor(Timestamp{5}) == Offset{0});
}

TEST_CASE("the files of an index say again what went into it") {
    const SegmentIndex index = sample();
    const auto again =
        SegmentIndex::decode(index.encode_offsets().view(), index.encode_times().view());
    REQUIRE(again);
    CHECK(again->covers_to() == IndexEntry{Offset{2'000}, 10'000});
    for (int i = 1'000; i < 2'000; ++i) CHECK(again->floor(Offset{i}) == index.floor(Offset{i}));
    for (int t = 4'990; t < 5'060; ++t) {
        CHECK(again->time_floor(Timestamp{t}) == index.time_floor(Timestamp{t}));
    }
    // An index read back can grow on.
    SegmentIndex grown = *again;
    SegmentIndex expected = index;
    for (SegmentIndex* one : {&grown, &expected}) {
        for (int i = 100; i < 110; ++i) {
            one->add({.base_offset = Offset{1'000 + i * 10},
                      .next_offset = Offset{1'010 + i * 10},
                      .position = static_cast<std::uint64_t>(i) * 100,
                      .size_bytes = 100,
                      .max_timestamp = Timestamp{5'000 + i / 2}},
                     250);
        }
    }
    CHECK(std::ranges::equal(grown.encode_offsets().view(), expected.encode_offsets().view()));
    CHECK(std::ranges::equal(grown.encode_times().view(), expected.encode_times().view()));
}

TEST_CASE("every flipped bit and missing byte of an index file is noticed") {
    const SegmentIndex index = sample(20);
    Buffer files[] = {index.encode_offsets(), index.encode_times()};
    const auto decode = [&] { return SegmentIndex::decode(files[0].view(), files[1].view()); };
    REQUIRE(decode());
    for (Buffer& file : files) {
        for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
            const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
            file.mutable_data()[bit / 8] ^= mask;
            CHECK_MESSAGE(!decode(), "bit ", bit);
            file.mutable_data()[bit / 8] ^= mask;
        }
        const Buffer whole = file;
        for (std::size_t size = 0; size < whole.size(); ++size) {
            file = Buffer::copy_of(whole.view().first(size));
            CHECK_MESSAGE(!decode(), "size ", size);
        }
        file = whole;
    }
}

TEST_CASE("two index files that do not belong together are refused") {
    const SegmentIndex one = sample(20);
    const SegmentIndex other = sample(21);
    CHECK(SegmentIndex::decode(one.encode_offsets().view(), other.encode_times().view()).error() ==
          Error::kBadContent);
    CHECK(SegmentIndex::decode(one.encode_times().view(), one.encode_times().view()).error() ==
          Error::kBadMagic);
}

TEST_CASE("cutting an index leaves what it was at that point") {
    for (const int keep : {0, 1, 3, 4, 50, 99, 100}) {
        SegmentIndex index = sample();
        const SegmentIndex expected = sample(keep);
        index.truncate(
            {.base_offset = Offset{1'000},
             .end_offset = Offset{1'000 + keep * 10},
             .size_bytes = static_cast<std::uint64_t>(keep) * 100,
             .max_timestamp = keep == 0 ? kNoTimestamp : Timestamp{5'000 + (keep - 1) / 2},
             .max_timestamp_offset = keep == 0 ? kNoOffset : Offset{1'000 + (keep - 1) / 2 * 20}});
        CHECK(std::ranges::equal(index.encode_offsets().view(), expected.encode_offsets().view()));
        for (int t = 4'990; t < 5'060; ++t) {
            CHECK(index.time_floor(Timestamp{t}) <= Offset{1'000 + std::max(0, t - 5'000) * 20});
            CHECK(index.time_floor(Timestamp{t}) >= expected.time_floor(Timestamp{t}));
        }
        CHECK(SegmentIndex::decode(index.encode_offsets().view(), index.encode_times().view()));
    }
}

TEST_CASE("an index that began in the middle is completed by the part before") {
    const SegmentIndex whole = sample();
    SegmentIndex late(Segment{.base_offset = Offset{1'000},
                              .end_offset = Offset{1'400},
                              .size_bytes = 4'000,
                              .max_timestamp = Timestamp{5'019},
                              .max_timestamp_offset = Offset{1'380}});
    for (int i = 40; i < 100; ++i) {
        late.add({.base_offset = Offset{1'000 + i * 10},
                  .next_offset = Offset{1'010 + i * 10},
                  .position = static_cast<std::uint64_t>(i) * 100,
                  .size_bytes = 100,
                  .max_timestamp = Timestamp{5'000 + i / 2}},
                 250);
    }
    CHECK_FALSE(late.is_complete());
    CHECK(late.floor(Offset{1'005}) == IndexEntry{Offset{1'400}, 4'000});
    late.prepend(sample(60));  // It may reach further than needed.
    CHECK(late.is_complete());
    CHECK(late.covers_to() == whole.covers_to());
    for (int i = 1'000; i < 2'000; ++i) {
        const IndexEntry entry = late.floor(Offset{i});
        CHECK(entry.offset <= Offset{i});
        CHECK(entry.position == static_cast<std::uint64_t>(entry.offset.value - 1'000) * 10);
        CHECK(entry.offset >= Offset{i - 60});
    }
    for (int t = 4'990; t < 5'060; ++t) {
        CHECK(late.time_floor(Timestamp{t}) <= Offset{1'000 + std::max(0, t - 5'000) * 20});
    }
    const auto decoded =
        SegmentIndex::decode(late.encode_offsets().view(), late.encode_times().view());
    CHECK(decoded);
}

TEST_CASE("the batch after damage has an entry") {
    SegmentIndex index(Offset{0});
    const auto add = [&](int i, std::uint64_t position) {
        index.add({.base_offset = Offset{i},
                   .next_offset = Offset{i + 1},
                   .position = position,
                   .size_bytes = 100,
                   .max_timestamp = Timestamp{i}},
                  4'096);
    };
    add(0, 0);
    index.skip_to({Offset{5}, 500});
    add(5, 500);
    CHECK(index.floor(Offset{5}) == IndexEntry{Offset{5}, 500});
    CHECK(index.floor(Offset{4}) == IndexEntry{Offset{0}, 0});
}

TEST_CASE("the bytes of the index files are those that docs/formats describes") {
    SegmentIndex index(Offset{16});
    for (int i = 0; i < 2; ++i) {
        index.add({.base_offset = Offset{16 + i * 2},
                   .next_offset = Offset{18 + i * 2},
                   .position = static_cast<std::uint64_t>(i) * 100,
                   .size_bytes = 100,
                   .max_timestamp = Timestamp{1'000 + i}},
                  0);
    }
    const auto hex = [](const Buffer& file) {
        std::string text;
        for (const std::uint8_t byte : file.view()) {
            text += "0123456789abcdef"[byte >> 4];
            text += "0123456789abcdef"[byte & 15];
        }
        return text;
    };
    const std::string common =
        "01000000"          // entries
        "1000000000000000"  // base offset 16
        "1400000000000000"
        "c800000000000000"  // covers to offset 20, 200 bytes
        "e903000000000000"
        "1200000000000000"   // largest timestamp 1001, at offset 18
        "0000000000000000";  // reserved
    const std::string offsets = hex(index.encode_offsets());
    CHECK(offsets.substr(0, 16) == "444c4f4901000800");
    CHECK(offsets.substr(24) == common +
                                    "02000000"
                                    "64000000");
    CHECK(offsets.substr(16, 8) == "51a3e643");
    const std::string times = hex(index.encode_times());
    CHECK(times.substr(0, 16) == "444c544901000c00");
    CHECK(times.substr(24) == common +
                                  "e903000000000000"
                                  "02000000");
    CHECK(times.substr(16, 8) == "46f7c18c");
}

}  // namespace
}  // namespace dlog::storage
