#include "client/partitioner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace dlog;
using namespace dlog::client;

namespace {
std::int32_t hashed(std::string_view key) {
    return static_cast<std::int32_t>(murmur2(as_bytes(key)));
}
}  // namespace

TEST_CASE("murmur2 agrees with the Java client's own test vectors (UtilsTest.testMurmur2)") {
    CHECK(hashed("21") == -973932308);
    CHECK(hashed("foobar") == -790332482);
    CHECK(hashed("a-little-bit-long-string") == -985981536);
    CHECK(hashed("a-little-bit-longer-string") == -1486304829);
    CHECK(hashed("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8") == -58897971);
    CHECK(hashed("abc") == 479470107);
}

TEST_CASE("a key's partition is the positive hash modulo the number of partitions") {
    CHECK(partition_for_key(as_bytes("abc"), 10) == 479470107 % 10);
    CHECK(partition_for_key(as_bytes("21"), 7) == (-973932308 & 0x7fffffff) % 7);
    CHECK(partition_for_key(as_bytes(""), 1) == 0);
}

TEST_CASE("records without a key stay in one partition for a batch and then move on") {
    StickyPartitioner partitioner(7, 1000);
    std::vector<int> changes_at;
    std::int32_t last = -1;
    for (int i = 0; i < 50; ++i) {
        const std::int32_t partition = partitioner.next(100, 4);
        REQUIRE(partition >= 0);
        REQUIRE(partition < 4);
        if (partition != last) changes_at.push_back(i);
        last = partition;
    }
    CHECK(changes_at == std::vector<int>{0, 10, 20, 30, 40});
}

TEST_CASE("a sticky partitioner copes with a topic of one partition and with a topic that shrank") {
    StickyPartitioner partitioner(7, 100);
    for (int i = 0; i < 10; ++i) CHECK(partitioner.next(99, 1) == 0);
    StickyPartitioner other(3, 1'000'000);
    for (int i = 0; i < 10; ++i) CHECK(other.next(1, 8) < 8);
    for (int i = 0; i < 10; ++i) CHECK(other.next(1, 2) < 2);
}

// The expected hashes are those of librdkafka's own unit tests (rdmurmur2.c, rdfnv1a.c), which took
// them from Java and Go.
TEST_CASE("murmur2 and FNV-1a agree with librdkafka's test vectors") {
    struct Vector {
        std::string_view key;
        std::uint32_t murmur2;
        std::uint32_t fnv1a;
    };
    const std::vector<Vector> vectors = {
        {"kafka", 0xd067cf64, 0xd33c4e1},
        {"giberish123456789", 0x8f552b0c, 0x77a58295},
        {"1234", 0x9fc97b14, 0x23bdd03},
        {"234", 0xe7c009ca, 0x2dea3cd2},
        {"34", 0x873930da, 0x740fa83e},
        {"4", 0x5a4b5ca1, 0x310ca263},
        {"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x78424f1c, 0x65cbd69c},
        {"reAmbleWillBeRemoved,ThePrePartThatIs", 0x4a62b377, 0x6e49c79a},
        {"eAmbleWillBeRemoved,ThePrePartThatIs", 0xe0e4e09e, 0x69eed356},
        {"AmbleWillBeRemoved,ThePrePartThatIs", 0x62b8b43f, 0x6abcc023},
        {"", 0x106e08d9, 0x7ee3623b},
    };
    for (const Vector& vector : vectors) {
        CAPTURE(vector.key);
        CHECK(murmur2(as_bytes(vector.key)) == vector.murmur2);
        CHECK(positive_fnv1a(as_bytes(vector.key)) == vector.fnv1a);
    }
}

TEST_CASE("CRC-32 has the check value of its catalogue and of nothing") {
    CHECK(crc32(as_bytes("123456789")) == 0xcbf43926);
    CHECK(crc32({}) == 0);
}

TEST_CASE("a missing key goes where the partitioning says: hashed as empty, stuck, or anywhere") {
    const auto distinct = [](Partitioning partitioning, std::optional<ByteView> key) {
        Partitioner partitioner(partitioning, 5, 1'000'000);
        std::vector<bool> is_used(8);
        for (int i = 0; i < 400; ++i) {
            is_used.at(static_cast<std::size_t>(partitioner.next(key, 10, 8))) = true;
        }
        return std::count(is_used.begin(), is_used.end(), true);
    };
    const std::optional<ByteView> empty(as_bytes(""));
    CHECK(distinct(Partitioning::kMurmur2, {}) == 1);
    CHECK(distinct(Partitioning::kSticky, as_bytes("k")) == 1);
    CHECK(distinct(Partitioning::kConsistent, {}) == 1);
    CHECK(distinct(Partitioning::kFnv1a, {}) == 1);
    CHECK(distinct(Partitioning::kMurmur2Random, {}) == 8);
    CHECK(distinct(Partitioning::kMurmur2Random, empty) == 1);
    CHECK(distinct(Partitioning::kFnv1aRandom, {}) == 8);
    CHECK(distinct(Partitioning::kConsistentRandom, {}) == 8);
    CHECK(distinct(Partitioning::kConsistentRandom, empty) == 8);
    CHECK(distinct(Partitioning::kConsistentRandom, as_bytes("k")) == 1);
    CHECK(distinct(Partitioning::kRoundRobin, as_bytes("k")) == 8);
    CHECK(distinct(Partitioning::kRandom, as_bytes("k")) == 8);
}

TEST_CASE("round robin takes each partition in turn and copes with a topic that shrank") {
    Partitioner partitioner(Partitioning::kRoundRobin, 1, 100);
    for (int i = 0; i < 10; ++i) CHECK(partitioner.next({}, 1, 3) == i % 3);
    CHECK(partitioner.next({}, 1, 1) == 0);
}
