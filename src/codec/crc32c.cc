/// CRC-32C by ISA-L, whose crc32_iscsi leaves both inversions to the caller.
#include "codec/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace dlog::codec {

std::uint32_t crc32c(ByteView bytes) {
    return extend_crc32c(0, bytes);
}

std::uint32_t extend_crc32c(std::uint32_t crc, ByteView bytes) {
    constexpr std::size_t kPiece = std::size_t{1} << 30;  // the library counts in int
    std::uint32_t state = ~crc;
    while (!bytes.empty()) {
        const std::size_t length = std::min(bytes.size(), kPiece);
        // The library's signature lacks const; it does not write.
        state =
            crc32_iscsi(const_cast<std::uint8_t*>(bytes.data()), static_cast<int>(length), state);
        bytes = bytes.subspan(length);
    }
    return ~state;
}

}  // namespace dlog::codec
