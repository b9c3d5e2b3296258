/// Kafka's variable-length integers: little-endian groups of seven bits, plain ("unsigned varint",
/// lengths of the flexible protocol versions) and zig-zag ("varint", the fields of a record).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace dlog::codec {

inline constexpr std::size_t kVarintBytesMax = 5;
inline constexpr std::size_t kVarlongBytesMax = 10;

namespace detail {
template <class T>
struct ReadGroups {
    const std::uint8_t* after;
    T value;
};

/// The loop behind the fast paths. `T` is unsigned; a value that does not fit it is refused. The
/// result comes back in registers: through a reference it would cost the callers of the fast paths
/// a trip to memory.
template <class T>
[[nodiscard, gnu::noinline]] constexpr ReadGroups<T> read_groups(const std::uint8_t* at,
                                                                 const std::uint8_t* end) {
    constexpr unsigned kBits = sizeof(T) * 8;
    T result = 0;
    for (unsigned shift = 0; shift < kBits && at != end; shift += 7) {
        const std::uint8_t byte = *at++;
        const T group = byte & 0x7f;
        if (shift + 7 > kBits && (group >> (kBits - shift)) != 0) break;
        result |= static_cast<T>(group << shift);
        if (byte < 0x80) return {at, result};
    }
    return {nullptr, 0};
}

/// Numbers of one and two bytes, which most are, without a loop.
template <class T>
[[nodiscard, gnu::always_inline]] constexpr const std::uint8_t* read_short_or_groups(
    const std::uint8_t* at, const std::uint8_t* end, T& value) {
    if (at != end) [[likely]] {
        if (at[0] < 0x80) {
            value = at[0];
            return at + 1;
        }
        if (end - at >= 2 && at[1] < 0x80) {
            value = static_cast<T>((at[0] & 0x7f) | (at[1] << 7));
            return at + 2;
        }
    }
    const ReadGroups<T> read = read_groups<T>(at, end);
    if (read.after != nullptr) value = read.value;
    return read.after;
}

template <class T>
[[nodiscard]] constexpr std::uint8_t* write_groups(std::uint8_t* at, T value) {
    while (value >= 0x80) {
        *at++ = static_cast<std::uint8_t>(value | 0x80);
        value >>= 7;
    }
    *at++ = static_cast<std::uint8_t>(value);
    return at;
}
}  // namespace detail

[[nodiscard]] constexpr std::uint32_t zig_zag(std::int32_t value) {
    return (static_cast<std::uint32_t>(value) << 1) ^ static_cast<std::uint32_t>(value >> 31);
}
[[nodiscard]] constexpr std::uint64_t zig_zag(std::int64_t value) {
    return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
[[nodiscard]] constexpr std::int32_t un_zig_zag(std::uint32_t bits) {
    return static_cast<std::int32_t>((bits >> 1) ^ (~(bits & 1) + 1));
}
[[nodiscard]] constexpr std::int64_t un_zig_zag(std::uint64_t bits) {
    return static_cast<std::int64_t>((bits >> 1) ^ (~(bits & 1) + 1));
}

// Readers: `value` from [at, end). They return the position after it, or nullptr (and leave
// `value`) when the bytes end inside the number, when it has more than 5 (10) bytes, or when it
// does not fit. Padded encodings that do fit are taken, as Kafka takes them.

[[nodiscard, gnu::always_inline]] constexpr const std::uint8_t* read_unsigned_varint(
    const std::uint8_t* at, const std::uint8_t* end, std::uint32_t& value) {
    return detail::read_short_or_groups(at, end, value);
}
[[nodiscard, gnu::always_inline]] constexpr const std::uint8_t* read_unsigned_varlong(
    const std::uint8_t* at, const std::uint8_t* end, std::uint64_t& value) {
    return detail::read_short_or_groups(at, end, value);
}
[[nodiscard, gnu::always_inline]] constexpr const std::uint8_t* read_varint(const std::uint8_t* at,
                                                                            const std::uint8_t* end,
                                                                            std::int32_t& value) {
    std::uint32_t bits = 0;
    const std::uint8_t* after = read_unsigned_varint(at, end, bits);
    if (after != nullptr) value = un_zig_zag(bits);
    return after;
}
[[nodiscard, gnu::always_inline]] constexpr const std::uint8_t* read_varlong(
    const std::uint8_t* at, const std::uint8_t* end, std::int64_t& value) {
    std::uint64_t bits = 0;
    const std::uint8_t* after = read_unsigned_varlong(at, end, bits);
    if (after != nullptr) value = un_zig_zag(bits);
    return after;
}

// Writers: they need as many bytes at `at` as the size functions below say and return the position
// after the number.

[[nodiscard]] constexpr std::uint8_t* write_unsigned_varint(std::uint8_t* at, std::uint32_t value) {
    return detail::write_groups(at, value);
}
[[nodiscard]] constexpr std::uint8_t* write_unsigned_varlong(std::uint8_t* at,
                                                             std::uint64_t value) {
    return detail::write_groups(at, value);
}
[[nodiscard]] constexpr std::uint8_t* write_varint(std::uint8_t* at, std::int32_t value) {
    return detail::write_groups(at, zig_zag(value));
}
[[nodiscard]] constexpr std::uint8_t* write_varlong(std::uint8_t* at, std::int64_t value) {
    return detail::write_groups(at, zig_zag(value));
}

[[nodiscard]] constexpr std::size_t unsigned_varint_size(std::uint32_t value) {
    return (static_cast<std::size_t>(std::bit_width(value | 1U)) + 6) / 7;
}
[[nodiscard]] constexpr std::size_t unsigned_varlong_size(std::uint64_t value) {
    return (static_cast<std::size_t>(std::bit_width(value | 1U)) + 6) / 7;
}
[[nodiscard]] constexpr std::size_t varint_size(std::int32_t value) {
    return unsigned_varint_size(zig_zag(value));
}
[[nodiscard]] constexpr std::size_t varlong_size(std::int64_t value) {
    return unsigned_varlong_size(zig_zag(value));
}

}  // namespace dlog::codec
