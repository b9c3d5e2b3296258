/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of Kafka's record batches and of our
/// own files.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace dlog::codec {

/// The checksum of `bytes`: crc32c("123456789") is 0xE3069283.
[[nodiscard]] std::uint32_t crc32c(ByteView bytes);

/// The checksum of the bytes that `crc` covers followed by `bytes`; `crc` is 0 for none.
[[nodiscard]] std::uint32_t extend_crc32c(std::uint32_t crc, ByteView bytes);

}  // namespace dlog::codec
