#include "payload.h"

#include "base/assert.h"
#include "base/ids.h"

namespace dlog::simtest {

namespace {

constexpr std::uint32_t kMark = 0x51a7e57d;

std::uint8_t filler(RecordName name, std::size_t at) {
    return static_cast<std::uint8_t>(
        mix_bits(name.number * 0x9e3779b97f4a7c15ULL + name.producer + at / 8) >> (at % 8 * 8));
}

}  // namespace

std::vector<std::uint8_t> make_payload(RecordName name, std::size_t size_bytes) {
    DLOG_ASSERT(size_bytes >= kPayloadBytesMin, size_bytes);
    std::vector<std::uint8_t> bytes(size_bytes);
    store_little_endian<std::uint32_t>(bytes.data(), kMark);
    store_little_endian<std::uint32_t>(bytes.data() + 4, name.producer);
    store_little_endian<std::uint64_t>(bytes.data() + 8, name.number);
    store_little_endian<std::uint32_t>(bytes.data() + 16, static_cast<std::uint32_t>(size_bytes));
    for (std::size_t at = kPayloadBytesMin; at < size_bytes; ++at) bytes[at] = filler(name, at);
    return bytes;
}

std::optional<RecordName> read_payload(ByteView payload) {
    if (payload.size() < kPayloadBytesMin) return std::nullopt;
    if (load_little_endian<std::uint32_t>(payload.data()) != kMark) return std::nullopt;
    if (load_little_endian<std::uint32_t>(payload.data() + 16) != payload.size()) {
        return std::nullopt;
    }
    const RecordName name{load_little_endian<std::uint32_t>(payload.data() + 4),
                          load_little_endian<std::uint64_t>(payload.data() + 8)};
    for (std::size_t at = kPayloadBytesMin; at < payload.size(); ++at) {
        if (payload[at] != filler(name, at)) return std::nullopt;
    }
    return name;
}

std::uint32_t key_of(RecordName name, std::uint32_t key_count) {
    DLOG_ASSERT(key_count > 0);
    const std::uint64_t bits = mix_bits(name.number * 31 + name.producer);
    // Every fourth record has a key that is written seldom: its latest value gets old.
    constexpr std::uint64_t kSeldom = 40;
    if (bits % 4 != 0) return static_cast<std::uint32_t>((bits >> 8) % key_count);
    return static_cast<std::uint32_t>(key_count + (bits >> 8) % (kSeldom * key_count));
}

bool is_tombstone(RecordName name, std::uint32_t key_count) {
    return may_be_deleted(key_of(name, key_count)) && mix_bits(name.number ^ 77) % 3 == 0;
}

}  // namespace dlog::simtest
