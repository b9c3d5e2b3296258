/// Kafka's wire types, as far as the load generator and the floor programs need them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace dlog::load {

template <class T>
[[nodiscard]] inline T load_big(const void* at) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    if constexpr (sizeof(T) == 2)
        return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    if constexpr (sizeof(T) == 4)
        return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    if constexpr (sizeof(T) == 8)
        return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
    return value;
}
template <class T>
inline void store_big(void* at, T value) {
    const T swapped = load_big<T>(&value);
    std::memcpy(at, &swapped, sizeof(T));
}

/// Appends to a request.
class Writer {
  public:
    template <class T>
    Writer& put(T value) {
        char bytes[sizeof(T)];
        store_big(bytes, value);
        out.append(bytes, sizeof(T));
        return *this;
    }
    Writer& i8(std::int8_t v) { return put(v); }
    Writer& i16(std::int16_t v) { return put(v); }
    Writer& i32(std::int32_t v) { return put(v); }
    Writer& i64(std::int64_t v) { return put(v); }
    Writer& unsigned_varint(std::uint64_t v) {
        for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
        out.push_back(static_cast<char>(v));
        return *this;
    }
    Writer& varint(std::int64_t v) {
        return unsigned_varint((static_cast<std::uint64_t>(v) << 1) ^
                               static_cast<std::uint64_t>(v >> 63));
    }
    Writer& string(std::string_view text) {
        i16(static_cast<std::int16_t>(text.size()));
        out.append(text);
        return *this;
    }
    Writer& compact_string(std::string_view text) {
        unsigned_varint(text.size() + 1);
        out.append(text);
        return *this;
    }
    std::string out;
};

/// Takes a response apart. Once something is missing `ok` is false and everything reads as zero.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest(bytes) {}
    template <class T>
    T get() {
        if (rest.size() < sizeof(T)) {
            ok = false;
            return 0;
        }
        const T value = load_big<T>(rest.data());
        rest.remove_prefix(sizeof(T));
        return value;
    }
    std::int8_t i8() { return get<std::int8_t>(); }
    std::int16_t i16() { return get<std::int16_t>(); }
    std::int32_t i32() { return get<std::int32_t>(); }
    std::int64_t i64() { return get<std::int64_t>(); }
    std::uint64_t unsigned_varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto byte = static_cast<std::uint8_t>(i8());
            value |= std::uint64_t{byte & 0x7fU} << shift;
            if (byte < 0x80) return value;
        }
        ok = false;
        return 0;
    }
    std::string_view bytes(std::int64_t size) {
        if (size < 0) return {};
        if (rest.size() < static_cast<std::size_t>(size)) {
            ok = false;
            return {};
        }
        const std::string_view part = rest.substr(0, static_cast<std::size_t>(size));
        rest.remove_prefix(part.size());
        return part;
    }
    std::string_view string() { return bytes(i16()); }
    std::string_view compact_string() {
        return bytes(static_cast<std::int64_t>(unsigned_varint()) - 1);
    }
    /// Tagged fields, skipped.
    void tags() {
        for (std::uint64_t left = unsigned_varint(); left > 0 && ok; --left) {
            unsigned_varint();
            bytes(static_cast<std::int64_t>(unsigned_varint()));
        }
    }
    std::string_view rest;
    bool ok = true;
};

}  // namespace dlog::load
