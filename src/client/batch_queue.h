/// The batches of one partition on their way from a producer to the leader.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "client/error.h"
#include "record/builder.h"

namespace dlog::client {

/// Which producer's numbers a batch bears.
struct ProducerIdentity {
    ProducerId id = kNoProducer;
    ProducerEpoch epoch{-1};
};

struct AccumulatorPlace;

struct PendingBatch {
    explicit PendingBatch(const record::BatchSpec& spec) : builder(spec) {}

    record::BatchBuilder builder;
    std::vector<std::uint64_t> tags;
    Instant created_at;
    std::size_t memory_bytes = 0;        ///< what it counts for in the producer's limit
    AccumulatorPlace* origin = nullptr;  ///< nullptr when no accumulator gathered it
    bool is_sealed = false;              ///< It takes no more records.
    std::uint64_t number = 0;            ///< its place in the partition's order
    Buffer bytes;                        ///< once built
    std::int32_t base_sequence = -1;
    std::uint32_t tries = 0;
    /// A try ended without an answer: it may have been written.
    bool is_unknown = false;
    std::optional<Error> last_error;

    [[nodiscard]] std::int32_t record_count() const {
        return static_cast<std::int32_t>(tags.size());
    }
    [[nodiscard]] bool is_numbered() const { return base_sequence >= 0; }
};
using PendingBatchPtr = std::unique_ptr<PendingBatch>;

/// Writes the producer's identity and the batch's sequence into the bytes of a built batch, and its
/// CRC.
void number_batch(MutableBytes batch, const ProducerIdentity& identity, std::int32_t base_sequence);

/// In order: batches that wait to be sent (again), the last of which may still take records.
struct BatchQueue {
    std::string topic;
    std::int32_t partition = 0;
    std::deque<PendingBatchPtr> waiting;
    std::uint32_t in_flight = 0;
    std::uint64_t next_number = 0;
    std::int32_t next_sequence = 0;
    Instant retry_at;
    std::int64_t backoff_ns = 0;

    /// Puts a batch that was sent back into its place.
    void put_back(PendingBatchPtr batch);
};

}  // namespace dlog::client
