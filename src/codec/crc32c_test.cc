#include "codec/crc32c.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/random.h"

namespace dlog::codec {
namespace {

TEST_CASE("the vectors of RFC 3720 appendix B.4 hold") {
    CHECK(crc32c({}) == 0);
    CHECK(crc32c(as_bytes("123456789")) == 0xE3069283);
    std::vector<std::uint8_t> bytes(32, 0x00);
    CHECK(crc32c(bytes) == 0x8A9136AA);
    bytes.assign(32, 0xff);
    CHECK(crc32c(bytes) == 0x62A8AB43);
    for (std::uint8_t index = 0; index < 32; ++index) bytes[index] = index;
    CHECK(crc32c(bytes) == 0x46DD794E);
}

/// The definition, bit by bit.
std::uint32_t slow_crc32c(ByteView bytes) {
    std::uint32_t crc = ~0U;
    for (const std::uint8_t byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    }
    return ~crc;
}

TEST_CASE("every length and alignment agrees with the definition, in one piece and in two") {
    Random random(1);
    std::vector<std::uint8_t> bytes(5000);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
    for (std::size_t length = 0; length < 600; ++length) {
        const ByteView part = ByteView(bytes).subspan(random.below(16), length);
        const std::uint32_t expected = slow_crc32c(part);
        CHECK(crc32c(part) == expected);
        const std::size_t cut = random.below(length + 1);
        CHECK(extend_crc32c(crc32c(part.first(cut)), part.subspan(cut)) == expected);
    }
    CHECK(crc32c(bytes) == slow_crc32c(bytes));
}

}  // namespace
}  // namespace dlog::codec
