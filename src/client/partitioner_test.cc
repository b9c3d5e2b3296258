#include "client/partitioner.h"

#include <doctest/doctest.h>

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
