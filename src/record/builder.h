/// Makes record batches, and makes one again with another codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "codec/compression.h"
#include "record/batch.h"
#include "record/error.h"
#include "record/reader.h"

namespace dlog::record {

/// What a batch says of itself beside its records.
struct BatchSpec {
    Offset base_offset{0};
    LeaderEpoch leader_epoch = kNoEpoch;
    Compression compression = Compression::kNone;
    std::optional<int> level;  ///< the codec's default without a value
    ProducerId producer_id = kNoProducer;
    ProducerEpoch producer_epoch = kNoProducerEpoch;
    std::int32_t base_sequence = kNoSequence;
    bool is_transactional = false;
    bool is_control = false;
    /// When set, the batch is LogAppendTime with this time.
    std::optional<Timestamp> log_append_time;
};

/// Collects records and builds one batch of them. The first record's timestamp is the base
/// timestamp.
class BatchBuilder {
  public:
    explicit BatchBuilder(const BatchSpec& spec) : spec_(spec) {}

    void append(Timestamp timestamp, std::optional<ByteView> key, std::optional<ByteView> value,
                std::span<const RecordHeader> headers = {});
    [[nodiscard]] std::int32_t record_count() const { return record_count_; }
    /// The size that an uncompressed batch of the records so far has.
    [[nodiscard]] std::size_t size_bytes() const { return used_; }

    /// Makes room for an uncompressed batch of that size at once.
    void reserve(std::size_t size_bytes);
    /// Whose numbers the batch will bear, instead of the spec's.
    void set_producer(ProducerId id, ProducerEpoch epoch, std::int32_t base_sequence);

    /// The batch; at least one record has been appended. The builder is then empty again.
    [[nodiscard]] Result<Buffer> build();

  private:
    BatchSpec spec_;
    Buffer block_;  ///< The batch as it grows: room for the header, then the records.
    std::size_t used_ = kBatchHeaderSize;
    Timestamp base_timestamp_ = kNoTimestamp;
    Timestamp max_timestamp_ = kNoTimestamp;
    std::int32_t record_count_ = 0;
};

/// The same batch (offsets, epochs, timestamps, producer, records byte for byte) with its records
/// compressed by `target`, for a broker's compression.type. `batch` is whole and has been
/// validated.
[[nodiscard]] Result<Buffer> recompress(ByteView batch, Compression target,
                                        std::optional<int> level, ReaderScratch& scratch);

/// What remains of a batch when only `records` of it are kept, for compaction: it covers the same
/// offsets with the same epochs, producer and codec, and its max timestamp is that of the records
/// left. Without records it is a batch of a header alone, without a timestamp. A `delete_horizon`
/// takes the place of the base timestamp and sets its attribute bit (KIP-534). `header` is that of
/// the batch that the records were read from.
[[nodiscard]] Result<Buffer> rebuild(const BatchHeader& header, std::span<const Record> records,
                                     std::optional<Timestamp> delete_horizon);

/// A batch without records, producer and timestamp that covers the offsets [first, next), at most
/// 2^31 of them.
[[nodiscard]] Buffer make_empty_batch(Offset first, Offset next, LeaderEpoch epoch);

}  // namespace dlog::record
