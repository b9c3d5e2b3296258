/// Record batches (magic 2) that are encoded once and sent many times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace dlog::load {

struct BatchOptions {
    std::size_t record_bytes = 100;  ///< of each record's value
    std::size_t records = 100;
    bool is_lz4 = false;
};

/// A batch of `options.records` records without keys, values of words that lz4 halves. Different
/// seeds give different values.
[[nodiscard]] std::string encode_batch(const BatchOptions& options, std::uint64_t seed);

/// Sets what an idempotent producer writes, and the CRC over it (KIP-98).
void set_producer(std::string& batch, std::int64_t producer_id, std::int16_t epoch,
                  std::int32_t sequence);

/// CRC-32C as it stands in a batch.
[[nodiscard]] std::uint32_t crc32c(const std::uint8_t* bytes, std::size_t size);

// Where fields of a batch lie.
inline constexpr std::size_t kBatchLengthAt = 8;
inline constexpr std::size_t kCrcAt = 17;
inline constexpr std::size_t kCrcFrom = 21;
inline constexpr std::size_t kRecordCountAt = 57;
inline constexpr std::size_t kBatchHeaderBytes = 61;

}  // namespace dlog::load
