/// Why this room refused bytes.
#pragma once

#include <cstdint>
#include <expected>

namespace dlog::consensus {

enum class Error : std::uint8_t {
    kMalformed,           ///< Cut short, or its parts contradict each other.
    kUnsupportedVersion,  ///< Of a newer program.
    kDamaged,             ///< Of a file: what was on stable storage has changed.
};

template <class T>
using Result = std::expected<T, Error>;

}  // namespace dlog::consensus
