/// What can go wrong with bytes from outside in this room.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/result.h"

namespace dlog::codec {

enum class Error : std::uint8_t {
    kUnknownCodec,  ///< a compression id that Kafka does not define
    kTruncated,     ///< the compressed bytes end too early
    kCorrupt,       ///< the compressed bytes break their format or fail its checksum
    kTooLarge,      ///< more output, or a larger window, than the caller allows
    kNoMemory,      ///< a compression library could not allocate its bounded working memory
};

[[nodiscard]] std::string_view error_text(Error error);

template <class T>
using Result = std::expected<T, Error>;

}  // namespace dlog::codec
