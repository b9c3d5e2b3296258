/// Which partition a record goes to when its sender does not say. Clients in other languages choose
/// by the same functions, so that the records of one key meet in one partition whoever wrote them.
#pragma once

#include <cstdint>
#include <string_view>

#include "dlog/record.h"

namespace dlog {

enum class Partitioning : std::uint8_t {
    kMurmur2,           ///< Kafka's Java client: murmur2 of the key; sticky without a key.
    kMurmur2Random,     ///< librdkafka's murmur2_random: at random without a key.
    kConsistent,        ///< librdkafka's consistent: CRC-32 of the key, no key as an empty one.
    kConsistentRandom,  ///< librdkafka's default: at random without a key or with an empty one.
    kFnv1a,             ///< librdkafka's fnv1a and Sarama's hash, no key as an empty one.
    kFnv1aRandom,       ///< librdkafka's fnv1a_random: at random without a key.
    kRoundRobin,        ///< One after the other, whatever the key.
    kSticky,            ///< Whatever the key: one until its batch is full, then another (KIP-480).
    kRandom,            ///< At random, whatever the key.
};

/// A partitioner of your own. `choose` is called by the thread that sends, one record at a time
/// for one producer; it must not call the producer.
class Partitioner {
  public:
    virtual ~Partitioner() = default;
    /// A number from 0 to partition_count - 1; anything else is refused.
    [[nodiscard]] virtual std::int32_t choose(const ProducerRecord& record,
                                              std::int32_t partition_count) = 0;
};

/// The partition that `kMurmur2`, `kConsistent` or `kFnv1a` (and their random kin) give a key;
/// -1 for one that does not look at keys. `partition_count` is above 0.
[[nodiscard]] std::int32_t partition_of_key(Partitioning partitioning, std::string_view key,
                                            std::int32_t partition_count);

}  // namespace dlog
