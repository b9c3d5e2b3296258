#include "codec/varint.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/bytes.h"
#include "base/random.h"

namespace dlog::codec {
namespace {

std::vector<std::uint8_t> encode_unsigned(std::uint64_t value) {
    std::vector<std::uint8_t> bytes(kVarlongBytesMax);
    bytes.resize(
        static_cast<std::size_t>(write_unsigned_varlong(bytes.data(), value) - bytes.data()));
    return bytes;
}

using Bytes = std::vector<std::uint8_t>;

TEST_CASE("varints are written as in Kafka's ByteUtils") {
    struct {
        std::int64_t value;
        Bytes bytes;
    } const cases[] = {
        {0, {0x00}},
        {-1, {0x01}},
        {1, {0x02}},
        {63, {0x7e}},
        {-64, {0x7f}},
        {64, {0x80, 0x01}},
        {-65, {0x81, 0x01}},
        {8191, {0xfe, 0x7f}},
        {-8192, {0xff, 0x7f}},
        {8192, {0x80, 0x80, 0x01}},
        {INT32_MAX, {0xfe, 0xff, 0xff, 0xff, 0x0f}},
        {INT32_MIN, {0xff, 0xff, 0xff, 0xff, 0x0f}},
    };
    for (const auto& [value, bytes] : cases) {
        std::uint8_t buffer[kVarlongBytesMax];
        const auto narrow = static_cast<std::int32_t>(value);
        const std::uint8_t* after = write_varint(buffer, narrow);
        CHECK(Bytes(static_cast<const std::uint8_t*>(buffer), after) == bytes);
        CHECK(varint_size(narrow) == bytes.size());
        after = write_varlong(buffer, value);
        CHECK(Bytes(static_cast<const std::uint8_t*>(buffer), after) == bytes);
        std::int32_t read = 0;
        CHECK(read_varint(bytes.data(), bytes.data() + bytes.size(), read) ==
              bytes.data() + bytes.size());
        CHECK(read == narrow);
        std::int64_t read_long = 0;
        CHECK(read_varlong(bytes.data(), bytes.data() + bytes.size(), read_long) ==
              bytes.data() + bytes.size());
        CHECK(read_long == value);
    }
}

TEST_CASE("every length of number reads back, and its truncations do not") {
    Random random(7);
    for (unsigned bits = 0; bits <= 64; ++bits) {
        for (int round = 0; round < 50; ++round) {
            const std::uint64_t value = bits == 0 ? 0 : random.next() >> (64 - bits);
            const Bytes bytes = encode_unsigned(value);
            CHECK(bytes.size() == unsigned_varlong_size(value));
            for (std::size_t length = 0; length <= bytes.size(); ++length) {
                std::uint64_t read = 99;
                const auto* after =
                    read_unsigned_varlong(bytes.data(), bytes.data() + length, read);
                CHECK((after != nullptr) == (length == bytes.size()));
                CHECK(read == (length == bytes.size() ? value : 99));
                std::uint32_t narrow = 99;
                const auto* narrow_after =
                    read_unsigned_varint(bytes.data(), bytes.data() + length, narrow);
                CHECK((narrow_after != nullptr) == (length == bytes.size() && value <= UINT32_MAX));
            }
            const auto as_signed = static_cast<std::int64_t>(value);
            CHECK(un_zig_zag(zig_zag(as_signed)) == as_signed);
            const auto as_narrow = static_cast<std::int32_t>(value);
            CHECK(un_zig_zag(zig_zag(as_narrow)) == as_narrow);
        }
    }
}

TEST_CASE("numbers that are too long or too large are refused, padded ones are read") {
    const auto read_narrow = [](const Bytes& bytes) {
        std::uint32_t value = 0;
        return read_unsigned_varint(bytes.data(), bytes.data() + bytes.size(), value) != nullptr;
    };
    const auto read_wide = [](const Bytes& bytes) {
        std::uint64_t value = 0;
        return read_unsigned_varlong(bytes.data(), bytes.data() + bytes.size(), value) != nullptr;
    };
    CHECK(read_narrow({0x80, 0x80, 0x80, 0x80, 0x00}));
    CHECK(read_narrow({0xff, 0xff, 0xff, 0xff, 0x0f}));
    CHECK_FALSE(read_narrow({0xff, 0xff, 0xff, 0xff, 0x1f}));
    CHECK_FALSE(read_narrow({0x80, 0x80, 0x80, 0x80, 0x80, 0x00}));
    CHECK_FALSE(read_narrow({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}));
    CHECK(read_wide({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}));
    CHECK_FALSE(read_wide({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}));
    CHECK_FALSE(read_wide({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}));
}

}  // namespace
}  // namespace dlog::codec
