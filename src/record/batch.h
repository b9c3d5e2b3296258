/// The header of a Kafka record batch (magic 2): where its fields lie, reading it, checking its CRC
/// and patching it in place. docs/formats/record-batch.md describes every byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "codec/compression.h"
#include "record/error.h"

namespace dlog::record {

using codec::Compression;

// Positions of the header's fields, all big-endian.
inline constexpr std::size_t kBaseOffsetAt = 0;
inline constexpr std::size_t kBatchLengthAt = 8;
inline constexpr std::size_t kLeaderEpochAt = 12;
inline constexpr std::size_t kMagicAt = 16;
inline constexpr std::size_t kCrcAt = 17;
inline constexpr std::size_t kAttributesAt = 21;
inline constexpr std::size_t kLastOffsetDeltaAt = 23;
inline constexpr std::size_t kBaseTimestampAt = 27;
inline constexpr std::size_t kMaxTimestampAt = 35;
inline constexpr std::size_t kProducerIdAt = 43;
inline constexpr std::size_t kProducerEpochAt = 51;
inline constexpr std::size_t kBaseSequenceAt = 53;
inline constexpr std::size_t kRecordCountAt = 57;
inline constexpr std::size_t kBatchHeaderSize = 61;

/// The base offset and the length field itself, which `batch_length` does not count.
inline constexpr std::size_t kLogOverhead = 12;
/// The CRC covers everything from here to the batch's end.
inline constexpr std::size_t kCrcCoversFrom = kAttributesAt;
/// A record has at least this many bytes: length, attributes, two deltas, key length, value length,
/// header count.
inline constexpr std::size_t kRecordBytesMin = 7;

inline constexpr std::uint16_t kCompressionMask = 0x07;
inline constexpr std::uint16_t kLogAppendTimeBit = 0x08;
inline constexpr std::uint16_t kTransactionalBit = 0x10;
inline constexpr std::uint16_t kControlBit = 0x20;
inline constexpr std::uint16_t kDeleteHorizonBit = 0x40;

inline constexpr std::int8_t kMagic = 2;
inline constexpr ProducerEpoch kNoProducerEpoch{-1};
inline constexpr std::int32_t kNoSequence = -1;

/// `sequence + delta`, wrapping from the largest 32-bit number to 0 as Kafka's sequences do. Both
/// are 0 or more.
[[nodiscard]] constexpr std::int32_t advance_sequence(std::int32_t sequence, std::int32_t delta) {
    return static_cast<std::int32_t>(
        (static_cast<std::uint32_t>(sequence) + static_cast<std::uint32_t>(delta)) & 0x7fff'ffffU);
}

struct BatchHeader {
    Offset base_offset;
    std::int32_t batch_length = 0;  ///< bytes after the length field
    LeaderEpoch leader_epoch;
    std::int8_t magic = 0;
    std::uint32_t crc = 0;
    std::uint16_t attributes = 0;
    std::int32_t last_offset_delta = 0;
    Timestamp base_timestamp;
    Timestamp max_timestamp;
    ProducerId producer_id;
    ProducerEpoch producer_epoch;
    std::int32_t base_sequence = 0;
    std::int32_t record_count = 0;

    /// The whole batch, header and records.
    [[nodiscard]] std::size_t size_bytes() const {
        return static_cast<std::size_t>(batch_length) + kLogOverhead;
    }
    /// Wraps where a damaged base offset overflows: it lies outside the CRC.
    [[nodiscard]] Offset last_offset() const { return offset_at(last_offset_delta); }
    [[nodiscard]] Offset offset_at(std::int32_t delta) const {
        return Offset(static_cast<std::int64_t>(static_cast<std::uint64_t>(base_offset.value) +
                                                static_cast<std::uint64_t>(delta)));
    }
    [[nodiscard]] Offset next_offset() const {
        return Offset(
            static_cast<std::int64_t>(static_cast<std::uint64_t>(last_offset().value) + 1));
    }
    /// Valid ids only: read_batch_header has refused the others.
    [[nodiscard]] Compression compression() const {
        return static_cast<Compression>(attributes & kCompressionMask);
    }
    [[nodiscard]] bool is_compressed() const { return (attributes & kCompressionMask) != 0; }
    [[nodiscard]] bool has_log_append_time() const { return (attributes & kLogAppendTimeBit) != 0; }
    [[nodiscard]] bool is_transactional() const { return (attributes & kTransactionalBit) != 0; }
    [[nodiscard]] bool is_control() const { return (attributes & kControlBit) != 0; }
    [[nodiscard]] bool has_delete_horizon() const { return (attributes & kDeleteHorizonBit) != 0; }
    [[nodiscard]] bool has_producer() const { return producer_id.value >= 0; }
    /// The last record's sequence; kNoSequence when the batch has none.
    [[nodiscard]] std::int32_t last_sequence() const {
        return base_sequence < 0 ? kNoSequence : advance_sequence(base_sequence, last_offset_delta);
    }
};

/// Reads the header at the start of `bytes`, which may be longer or shorter than the batch. Checks
/// the structure only: at least 61 bytes, a length from 49 up, magic 2, a known codec, a count and
/// a last offset delta of 0 or more. Whether the rest of the batch is there is the caller's to ask
/// (size_bytes).
[[nodiscard]] Result<BatchHeader> read_batch_header(ByteView bytes);

/// The size of the batch that begins at `bytes`, from its length field alone: kTruncated below 12
/// bytes.
[[nodiscard]] Result<std::size_t> read_batch_size(ByteView bytes);

/// `batch` is one whole batch whose header has been read.
[[nodiscard]] Result<void> verify_crc(ByteView batch);

// Patches of one whole batch in place.

/// These two lie outside the CRC.
void set_base_offset(MutableBytes batch, Offset offset);
void set_leader_epoch(MutableBytes batch, LeaderEpoch epoch);
/// Marks the batch LogAppendTime with `now` as its max timestamp (readers then ignore the records'
/// own) and writes the CRC.
void set_log_append_time(MutableBytes batch, Timestamp now);
/// Corrects a max timestamp that validate_for_produce found untrue, and writes the CRC.
void set_max_timestamp(MutableBytes batch, Timestamp max_timestamp);

/// Walks the batches that lie one after the other in a `records` field or a piece of a log.
class BatchSplitter {
  public:
    explicit BatchSplitter(ByteView records) : rest_(records) {}

    /// The next whole batch with its header read, or nothing at the end. kTruncated when the bytes
    /// end inside a batch, as they may at the end of a fetch response; after an error rest() begins
    /// at the batch that caused it.
    struct Item {
        ByteView bytes;
        BatchHeader header;
    };
    [[nodiscard]] Result<std::optional<Item>> next();
    [[nodiscard]] ByteView rest() const { return rest_; }

  private:
    ByteView rest_;
};

}  // namespace dlog::record
