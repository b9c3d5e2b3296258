/// Which partition a record goes to when its sender did not say.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/random.h"

namespace dlog::client {

/// MurmurHash2 with the seed that Kafka's Java client uses
/// (org.apache.kafka.common.utils.Utils.murmur2).
[[nodiscard]] std::uint32_t murmur2(ByteView bytes);

/// CRC-32 as zlib has it: crc32("123456789") is 0xCBF43926.
[[nodiscard]] std::uint32_t crc32(ByteView bytes);

/// 32-bit FNV-1a, as a signed number without its sign: that is how Sarama's and librdkafka's
/// partitioners use it.
[[nodiscard]] std::uint32_t positive_fnv1a(ByteView bytes);

/// The partition of a key, as Kafka's Java client chooses it: records of one key meet in one
/// partition whichever client wrote them. `partition_count` > 0.
[[nodiscard]] std::int32_t partition_for_key(ByteView key, std::int32_t partition_count);

/// Where records without a key go: to one partition until `batch_bytes` have gone there, then to
/// another (KIP-480, KIP-794). One per topic.
class StickyPartitioner {
  public:
    StickyPartitioner(std::uint64_t seed, std::size_t batch_bytes)
        : random_(seed), batch_bytes_(batch_bytes) {}

    /// `record_bytes` is what the record adds to its batch.
    [[nodiscard]] std::int32_t next(std::size_t record_bytes, std::int32_t partition_count);

  private:
    Random random_;
    std::size_t batch_bytes_;
    std::size_t sent_bytes_ = 0;
    std::int32_t partition_ = -1;
};

/// How partitions are chosen; the names are those of librdkafka's `partitioner` property, where it
/// has them.
enum class Partitioning : std::uint8_t {
    kMurmur2,           ///< Kafka's Java client: murmur2 of the key; sticky without one.
    kMurmur2Random,     ///< murmur2_random: murmur2 of the key; at random without one.
    kConsistent,        ///< consistent: CRC-32 of the key; no key as an empty one.
    kConsistentRandom,  ///< consistent_random: CRC-32; at random when the key is missing or empty.
    kFnv1a,             ///< fnv1a: no key as an empty one.
    kFnv1aRandom,       ///< fnv1a_random: at random without a key.
    kRoundRobin,        ///< One after the other, whatever the key.
    kSticky,            ///< Whatever the key.
    kRandom,            ///< At random, whatever the key.
};

/// The partition that the hash of `partitioning` gives the key; nothing when it has none.
/// `partition_count` > 0.
[[nodiscard]] std::optional<std::int32_t> hashed_partition(Partitioning partitioning, ByteView key,
                                                           std::int32_t partition_count);

/// Chooses for the records of one topic.
class Partitioner {
  public:
    Partitioner(Partitioning partitioning, std::uint64_t seed, std::size_t batch_bytes)
        : partitioning_(partitioning), random_(seed), sticky_(random_.next(), batch_bytes) {}

    [[nodiscard]] std::int32_t next(const std::optional<ByteView>& key, std::size_t record_bytes,
                                    std::int32_t partition_count);

  private:
    const Partitioning partitioning_;
    Random random_;
    StickyPartitioner sticky_;
    std::int32_t turn_ = -1;
};

}  // namespace dlog::client
