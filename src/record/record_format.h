/// One record's bytes taken apart in place. For this room alone: validate.h and reader.h are what
/// others use.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "codec/varint.h"

namespace dlog::record {

/// A record's fields as they lie; a size below 0 is a null.
struct RecordFields {
    std::int64_t timestamp_delta = 0;
    std::int32_t offset_delta = 0;
    std::int32_t key_size = 0;
    std::int32_t value_size = 0;
    std::int32_t header_count = 0;
    const std::uint8_t* key = nullptr;
    const std::uint8_t* value = nullptr;
    const std::uint8_t* headers = nullptr;
};

/// True when `count` record headers fill [at, end) exactly.
[[nodiscard]] bool headers_are_whole(const std::uint8_t* at, const std::uint8_t* end,
                                     std::int32_t count);

/// Reads a size and steps over that many bytes; nullptr when they do not lie within [at, end).
[[nodiscard, gnu::always_inline]] inline const std::uint8_t* skip_sized(const std::uint8_t* at,
                                                                        const std::uint8_t* end,
                                                                        const std::uint8_t*& bytes,
                                                                        std::int32_t& size) {
    at = codec::read_varint(at, end, size);
    if (at == nullptr) [[unlikely]]
        return nullptr;
    bytes = at;
    if (size <= 0) return at;
    if (size > end - at) [[unlikely]]
        return nullptr;
    return at + size;
}

/// Takes apart the record whose bytes after the length field are exactly [at, end). False when they
/// are no record.
[[nodiscard, gnu::always_inline]] inline bool read_record_body(const std::uint8_t* at,
                                                               const std::uint8_t* end,
                                                               RecordFields& fields) {
    if (at == end) [[unlikely]]
        return false;
    ++at;  // the record's attributes: no bit of them is in use
    at = codec::read_varlong(at, end, fields.timestamp_delta);
    if (at == nullptr) [[unlikely]]
        return false;
    at = codec::read_varint(at, end, fields.offset_delta);
    if (at == nullptr) [[unlikely]]
        return false;
    at = skip_sized(at, end, fields.key, fields.key_size);
    if (at == nullptr) [[unlikely]]
        return false;
    at = skip_sized(at, end, fields.value, fields.value_size);
    if (at == nullptr) [[unlikely]]
        return false;
    at = codec::read_varint(at, end, fields.header_count);
    if (at == nullptr) [[unlikely]]
        return false;
    fields.headers = at;
    if (fields.header_count == 0) [[likely]]
        return at == end;
    return headers_are_whole(at, end, fields.header_count);
}

}  // namespace dlog::record
