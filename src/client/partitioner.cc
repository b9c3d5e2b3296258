#include "client/partitioner.h"

#include "base/assert.h"

namespace dlog::client {

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

}  // namespace dlog::client
