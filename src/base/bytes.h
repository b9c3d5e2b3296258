/// Views of bytes and the loads and stores of fixed-width integers, big-endian as Kafka's wire has
/// them and little-endian as our own files have them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace dlog {

using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

static_assert(std::endian::native == std::endian::little, "DLog runs on little-endian machines");

template <class T>
[[nodiscard]] constexpr T byte_swap(T value) {
    if constexpr (sizeof(T) == 1) return value;
    if constexpr (sizeof(T) == 2)
        return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    if constexpr (sizeof(T) == 4)
        return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    if constexpr (sizeof(T) == 8)
        return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
}

/// Reads a T at `at`, which has at least sizeof(T) bytes.
template <class T>
[[nodiscard]] inline T load_little_endian(const std::uint8_t* at) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
}
template <class T>
[[nodiscard]] inline T load_big_endian(const std::uint8_t* at) {
    return byte_swap(load_little_endian<T>(at));
}
template <class T>
inline void store_little_endian(std::uint8_t* at, T value) {
    std::memcpy(at, &value, sizeof(T));
}
template <class T>
inline void store_big_endian(std::uint8_t* at, T value) {
    store_little_endian(at, byte_swap(value));
}

[[nodiscard]] inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace dlog
