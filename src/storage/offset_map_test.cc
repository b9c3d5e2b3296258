#include "storage/offset_map.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "base/random.h"

namespace dlog::storage {
namespace {

TEST_CASE("the hash is SipHash-2-4 with 128 bits, as its authors' reference code has it") {
    // The key is the bytes 0 to 15, the message the bytes 0 to n - 1 (vectors.h, 2012).
    const HashKey secret{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    const KeyHash empty = hash_key({}, secret);
    CHECK(empty.low == 0xe6a825ba047f81a3ULL);
    CHECK(empty.high == 0x930255c71472f66dULL);
}

TEST_CASE("every bit of a key and of the secret changes the hash") {
    std::array<std::uint8_t, 19> key{};
    const HashKey secret{1, 2};
    const KeyHash plain = hash_key(key, secret);
    for (std::size_t bit = 0; bit < key.size() * 8; ++bit) {
        key[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        CHECK(hash_key(key, secret) != plain);
        key[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    CHECK(hash_key(ByteView(key).first(18), secret) != plain);
    CHECK(hash_key(key, {1, 3}) != plain);
    CHECK(hash_key(key, {0, 2}) != plain);
}

TEST_CASE("a map says what a map of whole keys says, until it is full") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Random random(seed);
        OffsetMap map(24 * 1000, UINT64_MAX, {random.next(), random.next()});
        CHECK(map.memory_bytes() <= 24 * 1000);
        CHECK(map.keys_max() == 900);
        std::map<std::string, Offset> model;
        for (Offset offset{0}; offset < Offset{5000}; offset = offset + 1) {
            const std::string key = "key " + std::to_string(random.below(1200));
            const bool has_room = model.size() < map.keys_max() || model.contains(key);
            REQUIRE(map.put(map.hash(as_bytes(key)), offset) == has_room);
            if (has_room) model[key] = offset;
            const std::string asked = "key " + std::to_string(random.below(1200));
            const auto known = model.find(asked);
            const auto found = map.find(map.hash(as_bytes(asked)));
            REQUIRE(found.has_value() == (known != model.end()));
            if (found) REQUIRE(*found == known->second);
        }
        CHECK(map.size() == map.keys_max());
    }
}

TEST_CASE("a map with room for many keys grows with those that come, and forgets none") {
    OffsetMap map(std::size_t{64} << 20, 1'000'000, {3, 4});
    CHECK(map.memory_bytes() < 1'000'000);
    const auto key = [](std::int64_t number) { return "key " + std::to_string(number); };
    for (std::int64_t i = 0; i < 200'000; ++i) {
        REQUIRE(map.put(map.hash(as_bytes(key(i % 100'000))), Offset{i}));
    }
    CHECK(map.size() == 100'000);
    CHECK(map.memory_bytes() < 8'000'000);
    for (std::int64_t i = 0; i < 100'000; ++i) {
        REQUIRE(map.find(map.hash(as_bytes(key(i)))) == Offset{100'000 + i});
    }
    CHECK_FALSE(map.find(map.hash(as_bytes(key(100'000)))).has_value());
}

TEST_CASE("a map takes no more memory than the keys there can be") {
    const OffsetMap map(std::size_t{1} << 40, 10, {});
    CHECK(map.keys_max() == 10);
    CHECK(map.memory_bytes() <= 24 * 13);
    OffsetMap smallest(0, 0, {});
    CHECK(smallest.put(smallest.hash(as_bytes("one")), Offset{0}));
    CHECK_FALSE(smallest.put(smallest.hash(as_bytes("two")), Offset{1}));
    CHECK(smallest.find(smallest.hash(as_bytes("one"))) == Offset{0});
    CHECK_FALSE(smallest.find(smallest.hash(as_bytes("two"))).has_value());
}

}  // namespace
}  // namespace dlog::storage
