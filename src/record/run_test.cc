#include "record/run.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "record/builder.h"

namespace dlog::record {
namespace {

Buffer batch_at(std::int64_t base, int records, int epoch = 3) {
    BatchBuilder builder({.base_offset = Offset{base}, .leader_epoch = LeaderEpoch{epoch}});
    for (int i = 0; i < records; ++i) {
        builder.append(Timestamp{1000}, std::nullopt, as_bytes(std::string(20, 'v')));
    }
    return *builder.build();
}

Buffer join(const std::vector<Buffer>& parts) {
    std::vector<std::uint8_t> bytes;
    for (const Buffer& part : parts) {
        bytes.insert(bytes.end(), part.data(), part.data() + part.size());
    }
    return Buffer::copy_of(bytes);
}

Buffer filler(std::int64_t first, std::int64_t next) {
    return make_empty_batch(Offset{first}, Offset{next}, LeaderEpoch{3});
}

TEST_CASE("a run is split into its batches without copying them") {
    const Buffer bytes = join({batch_at(10, 2), batch_at(12, 3), batch_at(15, 1, 4)});
    const auto run = split_run(bytes, Offset{10}, Offset{16});
    REQUIRE(run);
    REQUIRE(run->size() == 3);
    CHECK((*run)[1].header.base_offset == Offset{12});
    CHECK((*run)[2].header.leader_epoch == LeaderEpoch{4});
    std::size_t size = 0;
    for (const RunBatch& batch : *run) {
        CHECK(batch.bytes.shares_block_with(bytes));
        size += batch.bytes.size();
    }
    CHECK(size == bytes.size());
    CHECK(split_run(Buffer(), Offset{10}, Offset{10})->empty());
}

TEST_CASE("a run with a gap, a step back, too much or too little is refused") {
    const auto error = [](const std::vector<Buffer>& parts, std::int64_t from, std::int64_t end) {
        return split_run(join(parts), Offset{from}, Offset{end}).error();
    };
    CHECK(error({batch_at(10, 2), batch_at(13, 1)}, 10, 14) == Error::kBadOffsets);
    CHECK(error({batch_at(10, 2), batch_at(11, 1)}, 10, 12) == Error::kBadOffsets);
    CHECK(error({batch_at(11, 2)}, 10, 13) == Error::kBadOffsets);
    CHECK(error({batch_at(10, 2)}, 10, 11) == Error::kBadOffsets);
    CHECK(error({batch_at(10, 2)}, 10, 13) == Error::kTruncated);
    CHECK(error({}, 10, 13) == Error::kTruncated);
    CHECK(error({batch_at(10, 2, 3), batch_at(12, 2, 2)}, 10, 14) == Error::kBadOffsets);
    CHECK(error({batch_at(10, 2, -1)}, 10, 12) == Error::kBadOffsets);
    CHECK(error({batch_at(-1, 2)}, 0, 1) == Error::kBadOffsets);
    CHECK(error({batch_at(INT64_MAX - 1, 3)}, INT64_MAX - 1, INT64_MAX) == Error::kBadOffsets);
}

TEST_CASE("a batch that compaction emptied is taken from the middle on, one with records is not") {
    const Buffer bytes = join({filler(10, 30), batch_at(30, 2)});
    auto run = split_run(bytes, Offset{20}, Offset{32});
    REQUIRE(run);
    REQUIRE(run->size() == 2);
    CHECK(run->front().header.base_offset == Offset{20});
    CHECK(run->front().header.next_offset() == Offset{30});
    CHECK(run->front().header.leader_epoch == LeaderEpoch{3});
    CHECK(verify_crc(run->front().bytes.view()));
    REQUIRE(trim_run(*run, Offset{25}));
    CHECK(run->front().header.base_offset == Offset{25});
    REQUIRE(trim_run(*run, Offset{30}));
    CHECK(run->size() == 1);
    CHECK(trim_run(*run, Offset{31}).error() == Error::kBadOffsets);

    CHECK(split_run(batch_at(10, 4), Offset{12}, Offset{14}).error() == Error::kBadOffsets);
    CHECK(split_run(filler(10, 30), Offset{12}, Offset{20}).error() == Error::kBadOffsets);
}

TEST_CASE("what lies before the asked offset is left out") {
    const Buffer bytes = join({batch_at(10, 2), batch_at(12, 3)});
    const auto run = split_run(bytes, Offset{12}, Offset{15});
    REQUIRE(run);
    REQUIRE(run->size() == 1);
    CHECK(run->front().header.base_offset == Offset{12});
}

TEST_CASE("a run that was cut short or changed in any bit is refused or still a run of its range") {
    const Buffer bytes = join({batch_at(10, 2), filler(12, 20), batch_at(20, 3, 4)});
    const auto check = [](ByteView changed) {
        // A copy of just the right size, so that ASan sees reads beyond it.
        const auto run = split_run(Buffer::copy_of(changed), Offset{10}, Offset{23});
        if (!run) return false;
        Offset next{10};
        for (const RunBatch& batch : *run) {
            REQUIRE(batch.header.base_offset == next);
            REQUIRE(verify_crc(batch.bytes.view()));
            next = batch.header.next_offset();
        }
        REQUIRE(next == Offset{23});
        return true;
    };
    REQUIRE(check(bytes.view()));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE_FALSE(check(bytes.view().first(size)));
    }
    int accepted = 0;
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::vector<std::uint8_t> changed(bytes.data(), bytes.data() + bytes.size());
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        accepted += check(changed) ? 1 : 0;
    }
    // The epoch lies outside the CRC: that of a batch may seem greater, up to the next one's.
    CHECK(accepted > 0);
    CHECK(accepted < 3 * 32);
    Random random(7);
    for (int i = 0; i < 20'000; ++i) {
        std::vector<std::uint8_t> changed(bytes.data(), bytes.data() + bytes.size());
        for (std::uint64_t n = random.between(1, 8); n > 0; --n) {
            changed[random.below(changed.size())] = static_cast<std::uint8_t>(random.below(256));
        }
        changed.resize(random.below(2) == 0 ? changed.size() : random.below(changed.size() + 1));
        static_cast<void>(check(changed));
    }
}

}  // namespace
}  // namespace dlog::record
