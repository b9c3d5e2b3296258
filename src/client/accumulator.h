/// Gathers records into batches, one open batch a partition, for a sender on another thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "client/batch_queue.h"
#include "client/error.h"
#include "client/partitioner.h"
#include "codec/compression.h"

namespace dlog::client {

struct ProducerRecord;

struct AccumulatorConfig {
    codec::Compression compression = codec::Compression::kNone;
    Partitioning partitioning = Partitioning::kMurmur2;
    Duration linger = milliseconds(5);
    std::size_t batch_bytes_max = 256 << 10;
    std::size_t memory_bytes_max = 32 << 20;
    /// Batches of one partition that may be with the sender; with more there an open batch goes on
    /// filling beyond its linger.
    std::uint32_t in_flight_max = 5;
    std::uint64_t seed = 0;
};

/// Where a batch came from and goes back to. Stays where it is as long as its accumulator.
struct AccumulatorPlace {
    std::string topic;
    std::int32_t partition = 0;
    PendingBatchPtr open;
    std::uint32_t with_sender = 0;
    std::size_t last_batch_bytes = 0;    ///< how much the next one will probably need
    std::size_t last_batch_records = 0;  ///< likewise
    bool is_listed = false;
};

/// Knows no clock, lock or thread: whoever shares one between threads guards it.
class Accumulator {
  public:
    explicit Accumulator(const AccumulatorConfig& config) : config_(config), random_(config.seed) {}
    Accumulator(const Accumulator&) = delete;
    Accumulator& operator=(const Accumulator&) = delete;

    enum class Append : std::uint8_t {
        kTaken,
        kTakenAndDue,   ///< The sender should look: a batch is full, or a new one begun.
        kFull,          ///< Not taken: too much waits for delivery.
        kUnknownTopic,  ///< Not taken: `set_partition_count` comes first.
    };
    /// `now` is for a record without a timestamp. The error: the record can never be sent.
    [[nodiscard]] Result<Append> append(const ProducerRecord& record, Timestamp now);

    /// Nothing while it is unknown.
    [[nodiscard]] std::optional<std::int32_t> partition_count(std::string_view topic);
    void set_partition_count(std::string_view topic, std::int32_t count);

    /// The batches that are full, have waited for `linger`, or, with `all`, are there; in order for
    /// each partition. A batch's age counts from the first call that meets it, so that `append`
    /// needs no clock. `wake_at`: when the next one will be due by itself.
    [[nodiscard]] std::vector<PendingBatchPtr> take_due(Instant now, bool all, Instant& wake_at);
    /// A batch that was taken is delivered or has failed. True when that made its partition's open
    /// batch due.
    bool release(AccumulatorPlace& place, std::size_t records, std::size_t memory_bytes);

    /// Records that are neither delivered nor failed.
    [[nodiscard]] std::uint64_t records() const { return records_; }
    [[nodiscard]] std::size_t memory_bytes() const { return memory_bytes_; }

  private:
    struct Topic {
        std::int32_t partition_count = 0;
        std::unique_ptr<Partitioner> partitioner;
        std::vector<std::unique_ptr<AccumulatorPlace>> places;  ///< by partition, where used
    };

    [[nodiscard]] Topic* known_topic(std::string_view name);
    [[nodiscard]] AccumulatorPlace& place_of(Topic& topic, std::string_view name,
                                             std::int32_t partition);
    void begin_batch(AccumulatorPlace& place);
    void seal(AccumulatorPlace& place);

    const AccumulatorConfig config_;
    Random random_;
    std::map<std::string, Topic, std::less<>> topics_;
    /// The topic of the last record: most come in runs.
    std::string_view last_name_;
    Topic* last_topic_ = nullptr;
    std::vector<PendingBatchPtr> full_;
    std::vector<AccumulatorPlace*> listed_;  ///< have, or had, an open batch
    std::uint64_t records_ = 0;
    std::size_t memory_bytes_ = 0;
};

}  // namespace dlog::client
