/// The frame that the Java library snappy-java ("xerial") puts around snappy blocks: a header of 16
/// bytes, then blocks, each behind its big-endian 32-bit length.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dlog::codec {

/// The magic "\x82SNAPPY\0", version 1, oldest compatible version 1.
inline constexpr std::uint8_t kSnappyFrameHeader[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                                      0,    0,   0,   1,   0,   0,   0,   1};
inline constexpr std::size_t kSnappyMagicBytes = 8;
inline constexpr std::size_t kSnappyBlockLengthBytes = 4;

}  // namespace dlog::codec
