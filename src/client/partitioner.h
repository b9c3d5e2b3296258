/// Which partition a record goes to when its sender did not say.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/random.h"

namespace dlog::client {

/// MurmurHash2 with the seed that Kafka's Java client uses
/// (org.apache.kafka.common.utils.Utils.murmur2).
[[nodiscard]] std::uint32_t murmur2(ByteView bytes);

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

}  // namespace dlog::client
