#include "storage/tail.h"

#include <doctest/doctest.h>

#include "storage/batches.h"
#include "storage/testing_folder.h"

namespace dlog::storage {
namespace {

using testing::Bytes;

constexpr std::size_t kNoLimit = 1 << 30;

Buffer batch_at(std::int64_t offset, int records = 1, std::size_t value_bytes = 10) {
    return testing::make_batch({.record_count = records,
                                .value_bytes = value_bytes,
                                .fill = static_cast<std::uint8_t>(offset),
                                .base_offset = Offset{offset}});
}

Bytes join(const std::vector<Buffer>& parts) {
    Bytes all;
    for (const Buffer& part : parts) {
        all.insert(all.end(), part.view().begin(), part.view().end());
    }
    return all;
}

TEST_CASE("small batches lie in one slice, large ones stay in their frame") {
    Tail tail(LogPosition{});
    for (int i = 0; i < 20; ++i) tail.append(batch_at(i), Offset{i + 1});
    CHECK(tail.slices_from(Offset{0}, 0).size() == 1);
    const Buffer large = batch_at(20, 1, 100'000);
    tail.append(large, Offset{21});
    const auto slices = tail.slices_from(Offset{0}, 0);
    REQUIRE(slices.size() == 2);
    CHECK(slices[1].shares_block_with(large));
}

TEST_CASE("a large batch stays in a much larger frame, and the whole frame counts as held") {
    const Buffer batch = batch_at(0, 1, 20'000);
    const Buffer frame = Buffer::allocate(1 << 20);
    Buffer inside = frame.slice(100, batch.size());
    std::memcpy(inside.mutable_data(), batch.data(), batch.size());
    Tail tail(LogPosition{});
    tail.append(inside, Offset{1});
    CHECK(tail.slices_from(Offset{0}, 0)[0].shares_block_with(frame));
    CHECK(tail.bytes_held() == frame.block_size());
    tail.evict(frame.block_size() - 1, Offset{1});
    CHECK(tail.bytes_held() == 0);
}

TEST_CASE("a slice given out does not change when the tail grows, is cut and grows again") {
    Tail tail(LogPosition{});
    tail.append(batch_at(0), Offset{1});
    const LogPosition cut = tail.end();
    tail.append(batch_at(1), Offset{2});
    const auto before = tail.slices_from(Offset{0}, 0);
    const Bytes copy = join(before);
    tail.truncate(cut);
    tail.append(testing::make_batch({.fill = 'z', .base_offset = Offset{1}}), Offset{2});
    CHECK(join(before) == copy);
    CHECK(join(tail.slices_from(Offset{0}, 0)) != copy);
}

TEST_CASE("a read begins at the batch that holds the offset and ends at the limit") {
    Tail tail(LogPosition{});
    for (int i = 0; i < 10; ++i) tail.append(batch_at(i * 3, 3), Offset{i * 3 + 3});
    auto read = tail.read({Offset{4}, Offset{30}, kNoLimit}, std::nullopt);
    CHECK(read.first_offset == Offset{3});
    CHECK(read.next_offset == Offset{30});
    read = tail.read({Offset{4}, Offset{11}, kNoLimit}, std::nullopt);
    CHECK(read.next_offset == Offset{9});  // [9, 12) reaches beyond the limit
    const std::size_t size = batch_at(0, 3).size();
    read = tail.read({Offset{0}, Offset{30}, 2 * size + 1}, std::nullopt);
    CHECK(read.next_offset == Offset{6});
    CHECK(read.size_bytes == 2 * size);
    read = tail.read({Offset{0}, Offset{30}, 1}, std::nullopt);
    CHECK(read.parts.empty());
    read = tail.read({Offset{0}, Offset{30}, 1, true}, std::nullopt);
    CHECK(read.next_offset == Offset{3});
}

TEST_CASE("a hint saves the walk and changes nothing else") {
    Tail tail(LogPosition{});
    std::vector<IndexEntry> starts;
    for (int i = 0; i < 50; ++i) {
        starts.push_back({tail.end().offset, tail.end().position});
        tail.append(batch_at(i * 3, 3), Offset{i * 3 + 3});
    }
    for (Offset from{0}; from < Offset{150}; ++from) {
        const ReadRequest request{from, Offset{150}, 1'000, true};
        const auto plain = tail.read(request, std::nullopt);
        for (const IndexEntry& hint : starts) {
            if (hint.offset > from) break;
            const auto hinted = tail.read(request, hint);
            CHECK(hinted.first_offset == plain.first_offset);
            CHECK(hinted.next_offset == plain.next_offset);
            CHECK(join(hinted.parts) == join(plain.parts));
        }
    }
}

TEST_CASE("a read does not cross into the next segment") {
    Tail tail(LogPosition{});
    tail.append(batch_at(0), Offset{1});
    tail.roll(Offset{1});
    CHECK(tail.end() == LogPosition{Offset{1}, Offset{1}, 0});
    tail.append(batch_at(1), Offset{2});
    CHECK(tail.read({Offset{0}, Offset{2}, kNoLimit}, std::nullopt).next_offset == Offset{1});
    CHECK(tail.read({Offset{1}, Offset{2}, kNoLimit}, std::nullopt).next_offset == Offset{2});
    CHECK(tail.slices_from(Offset{0}, 0).size() == 1);
    CHECK(tail.slices_from(Offset{1}, 0).size() == 1);
}

TEST_CASE("eviction drops the oldest and keeps what has not been written") {
    Tail tail(LogPosition{});
    for (int i = 0; i < 100; ++i) tail.append(batch_at(i, 1, 1'000), Offset{i + 1});
    const std::size_t held = tail.bytes_held();
    tail.evict(held / 2, Offset{100});
    CHECK(tail.bytes_held() <= held / 2);
    CHECK(tail.begin().offset > Offset{0});
    CHECK(tail.read({tail.begin().offset, Offset{100}, kNoLimit}, std::nullopt).next_offset ==
          Offset{100});
    const Offset begin = tail.begin().offset;
    tail.evict(0, begin);
    CHECK(tail.begin().offset == begin);
    tail.evict(0, Offset{100});
    CHECK(tail.begin() == tail.end());
    CHECK(tail.bytes_held() == 0);
    tail.append(batch_at(100), Offset{101});
    CHECK(tail.read({Offset{100}, Offset{101}, kNoLimit}, std::nullopt).next_offset == Offset{101});
}

TEST_CASE("an idle partition's tail is small, a busy one's chunks are large") {
    Tail tail(LogPosition{});
    tail.append(batch_at(0), Offset{1});
    CHECK(tail.bytes_held() <= 4'096);
    for (int i = 1; i < 5'000; ++i) tail.append(batch_at(i), Offset{i + 1});
    CHECK(tail.slices_from(Offset{0}, 0).size() < 20);
    CHECK(tail.bytes_held() < 2 * tail.end().position);
}

TEST_CASE("writes take up where the last one ended") {
    Tail tail(LogPosition{});
    Bytes written;
    for (int i = 0; i < 50; ++i) {
        tail.append(batch_at(i, 1, static_cast<std::size_t>(i) * 40), Offset{i + 1});
        if (i % 7 != 0) continue;
        const Bytes more = join(tail.slices_from(Offset{0}, written.size()));
        written.insert(written.end(), more.begin(), more.end());
        CHECK(written.size() == tail.end().position);
    }
    const Bytes all = join(tail.slices_from(Offset{0}, 0));
    CHECK(std::equal(written.begin(), written.end(), all.begin()));
    CHECK(verify_range(all, Offset{0}).next_offset == Offset{50});
}

}  // namespace
}  // namespace dlog::storage
