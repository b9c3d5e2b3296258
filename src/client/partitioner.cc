#include "client/partitioner.h"

#include <array>

#include "base/assert.h"

namespace dlog::client {

namespace {

/// The remainders of the 256 bytes by the polynomial of IEEE 802.3, reflected.
constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1U) * 0xedb88320U);
        table[byte] = rest;
    }
    return table;
}
constexpr std::array<std::uint32_t, 256> kCrcTable = make_crc_table();

}  // namespace

std::uint32_t murmur2(ByteView bytes) {
    constexpr std::uint32_t kSeed = 0x9747b28c;
    constexpr std::uint32_t kMultiplier = 0x5bd1e995;
    std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(bytes.size());
    while (bytes.size() >= 4) {
        auto word = load_little_endian<std::uint32_t>(bytes.data());
        word *= kMultiplier;
        word ^= word >> 24;
        word *= kMultiplier;
        hash = (hash * kMultiplier) ^ word;
        bytes = bytes.subspan(4);
    }
    if (bytes.size() == 3) hash ^= static_cast<std::uint32_t>(bytes[2]) << 16;
    if (bytes.size() >= 2) hash ^= static_cast<std::uint32_t>(bytes[1]) << 8;
    if (!bytes.empty()) hash = (hash ^ bytes[0]) * kMultiplier;
    hash ^= hash >> 13;
    hash *= kMultiplier;
    return hash ^ (hash >> 15);
}

std::uint32_t crc32(ByteView bytes) {
    std::uint32_t crc = 0xffffffffU;
    for (const std::uint8_t byte : bytes) crc = kCrcTable[(crc ^ byte) & 0xffU] ^ (crc >> 8);
    return crc ^ 0xffffffffU;
}

std::uint32_t positive_fnv1a(ByteView bytes) {
    std::uint32_t hash = 2166136261U;
    for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 16777619U;
    return (hash & 0x80000000U) != 0 ? 0U - hash : hash;
}

std::int32_t partition_for_key(ByteView key, std::int32_t partition_count) {
    DLOG_ASSERT(partition_count > 0, partition_count);
    const auto positive = static_cast<std::int32_t>(murmur2(key) & 0x7fffffffU);
    return positive % partition_count;
}

std::int32_t StickyPartitioner::next(std::size_t record_bytes, std::int32_t partition_count) {
    DLOG_ASSERT(partition_count > 0, partition_count);
    const bool is_full = sent_bytes_ + record_bytes > batch_bytes_;
    if (partition_ < 0 || partition_ >= partition_count || is_full) {
        const auto count = static_cast<std::uint64_t>(partition_count);
        const auto before = partition_;
        partition_ = static_cast<std::int32_t>(random_.below(count));
        if (partition_ == before) partition_ = (partition_ + 1) % partition_count;
        sent_bytes_ = 0;
    }
    sent_bytes_ += record_bytes;
    return partition_;
}

std::optional<std::int32_t> hashed_partition(Partitioning partitioning, ByteView key,
                                             std::int32_t partition_count) {
    DLOG_ASSERT(partition_count > 0, partition_count);
    const auto count = static_cast<std::uint32_t>(partition_count);
    switch (partitioning) {
        case Partitioning::kMurmur2:
        case Partitioning::kMurmur2Random:
            return partition_for_key(key, partition_count);
        case Partitioning::kConsistent:
        case Partitioning::kConsistentRandom:
            return static_cast<std::int32_t>(crc32(key) % count);
        case Partitioning::kFnv1a:
        case Partitioning::kFnv1aRandom:
            return static_cast<std::int32_t>(positive_fnv1a(key) % count);
        case Partitioning::kRoundRobin:
        case Partitioning::kSticky:
        case Partitioning::kRandom:
            return std::nullopt;
    }
    DLOG_UNREACHABLE();
}

std::int32_t Partitioner::next(const std::optional<ByteView>& key, std::size_t record_bytes,
                               std::int32_t partition_count) {
    DLOG_ASSERT(partition_count > 0, partition_count);
    switch (partitioning_) {
        case Partitioning::kMurmur2:
            if (!key) return sticky_.next(record_bytes, partition_count);
            break;
        case Partitioning::kSticky:
            return sticky_.next(record_bytes, partition_count);
        case Partitioning::kRoundRobin:
            turn_ = (turn_ + 1) % partition_count;
            return turn_;
        case Partitioning::kMurmur2Random:
        case Partitioning::kFnv1aRandom:
        case Partitioning::kConsistentRandom:
        case Partitioning::kRandom: {
            const bool is_keyless =
                !key || (partitioning_ == Partitioning::kConsistentRandom && key->empty());
            if (!is_keyless && partitioning_ != Partitioning::kRandom) break;
            return static_cast<std::int32_t>(
                random_.below(static_cast<std::uint64_t>(partition_count)));
        }
        case Partitioning::kConsistent:
        case Partitioning::kFnv1a:
            break;
    }
    const auto hashed = hashed_partition(partitioning_, key.value_or(ByteView()), partition_count);
    DLOG_ASSERT(hashed.has_value());
    return *hashed;
}

}  // namespace dlog::client
