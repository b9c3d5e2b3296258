/// The checksum of our small files (indexes, checkpoints): where it lies and what it covers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "codec/crc32c.h"

namespace dlog::storage {

/// A little-endian CRC-32C of the whole file but its own four bytes.
inline constexpr std::size_t kCrcAt = 8;

/// `file` reaches beyond the checksum.
[[nodiscard]] inline std::uint32_t file_crc(ByteView file) {
    const std::uint32_t before = codec::crc32c(file.first(kCrcAt));
    return codec::extend_crc32c(before, file.subspan(kCrcAt + 4));
}

}  // namespace dlog::storage
