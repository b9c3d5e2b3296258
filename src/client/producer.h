/// Writes records to partitions: gathers them into batches, sends the batches to the partitions'
/// leaders, and sends again what failed on the way, in order and, when idempotent, without writing
/// anything twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "client/batch_queue.h"
#include "client/cluster.h"
#include "client/error.h"
#include "codec/compression.h"
#include "port/sync.h"
#include "port/task.h"
#include "record/reader.h"

namespace dlog::client {

enum class Acks : std::int16_t { kNone = 0, kLeader = 1, kAll = -1 };

struct ProducerConfig {
    Acks acks = Acks::kAll;
    /// Number the batches so that the broker recognises one that comes twice (KIP-98). Needs kAll.
    bool is_idempotent = true;
    codec::Compression compression = codec::Compression::kNone;
    /// How long a batch waits for more records before it is sent.
    Duration linger = milliseconds(5);
    std::size_t batch_bytes_max = 256 << 10;
    std::size_t request_bytes_max = 1 << 20;
    /// Records that are not delivered yet may take this much; `send` waits beyond it.
    std::size_t memory_bytes_max = 32 << 20;
    /// Requests under way to one broker. At most 5, since brokers remember five batches of a
    /// producer.
    std::uint32_t in_flight_max = 5;
    /// From `send` to success or failure.
    Duration delivery_timeout = seconds(120);
    bool may_create_topics = true;
};

struct ProducerRecord {
    std::string_view topic;
    /// -1: by the key as Kafka's Java client does, or sticky without a key.
    std::int32_t partition = -1;
    Timestamp timestamp = kNoTimestamp;  ///< kNoTimestamp: now
    std::optional<ByteView> key;
    std::optional<ByteView> value;
    std::span<const record::RecordHeader> headers;
    /// What the listener gets back.
    std::uint64_t tag = 0;

    /// About what it takes in a batch, and a little more.
    [[nodiscard]] std::size_t estimated_bytes() const;
};

/// A record may be this large; brokers refuse much smaller ones.
inline constexpr std::size_t kRecordBytesMax = std::size_t{1} << 30;

[[nodiscard]] Error too_large(std::size_t record_bytes);
[[nodiscard]] Error no_such_partition(const ProducerRecord& record, std::int32_t partition_count);

/// What became of the records of one batch.
struct Delivery {
    std::string_view topic;
    std::int32_t partition = 0;
    /// The records' tags in the order of their offsets.
    std::span<const std::uint64_t> tags;
    /// The first record's offset; kNoOffset when the broker did not say (acks=0, or a repeated
    /// batch).
    Offset base_offset = kNoOffset;
    /// nullptr when the records are written.
    const Error* error = nullptr;
    /// With an error: nobody knows whether the records were written.
    bool is_unknown = false;
    /// Where an accumulator gathered the batch, and how much of its memory it takes.
    AccumulatorPlace* origin = nullptr;
    std::size_t memory_bytes = 0;
};

class DeliveryListener {
  public:
    virtual ~DeliveryListener() = default;
    /// Called on the producer's core; it must not call the producer, and may wake who does.
    virtual void delivered(const Delivery& delivery) = 0;
};

/// Belongs to one core. Start it with `start`; end it with `co_await close()` before it is
/// destroyed. Invariants: batches of one partition are sent in order, and one that failed is sent
/// again before later ones; a batch keeps its sequence numbers as long as its fate is unknown. When
/// a numbered batch fails for good the numbering begins anew under another producer id, once
/// nothing is under way.
class Producer {
  public:
    Producer(Cluster& cluster, ProducerConfig config, DeliveryListener& listener);
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;
    ~Producer();

    void start();
    /// Takes the record when there is room and its topic is known; what it views is copied. False:
    /// call `ready`. The error: it can never be sent.
    [[nodiscard]] Result<bool> try_send(const ProducerRecord& record);
    /// Takes batches that an accumulator has gathered, for each partition in their order. Their
    /// memory is the accumulator's to bound.
    void submit(std::vector<PendingBatchPtr> batches);
    /// Waits until `try_send` has a chance for `topic`.
    [[nodiscard]] port::Task<Result<void>> ready(std::string topic);
    /// The two together. What the record views must live until this returns.
    [[nodiscard]] port::Task<Result<void>> send(ProducerRecord record);
    /// Sends everything now and waits until all of it is delivered or has failed.
    [[nodiscard]] port::Task<void> flush();
    /// Fails what is not delivered yet, and waits until nothing is under way.
    [[nodiscard]] port::Task<void> close();

    [[nodiscard]] std::uint64_t undelivered_records() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace dlog::client
