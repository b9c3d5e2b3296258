/// Walks the batches in a piece of a segment: their structure, their order, their CRC, and where
/// the next intact one begins after damage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "record/batch.h"
#include "storage/segment.h"

namespace dlog::storage {

/// Stops at a batch that claims to be larger: more than Kafka's largest max.message.bytes.
inline constexpr std::size_t kBatchBytesMax = std::size_t{1} << 31;

enum class CrcCheck : std::uint8_t { kYes, kNo };

/// Reads batch after batch from bytes that begin at a batch's first byte.
class BatchWalker {
  public:
    enum class Stop : std::uint8_t {
        kNone,       ///< not at an end yet
        kEnd,        ///< the bytes end where a batch ends
        kMoreBytes,  ///< the bytes end inside the batch at position()
        kDamaged,    ///< the batch at position() is damaged, see damage_reason()
    };

    /// The first batch begins at `bytes` and has the offset `expected`; each one continues the one
    /// before it. The base offset lies outside the CRC, so this is what guards it.
    BatchWalker(ByteView bytes, Offset expected, CrcCheck crc)
        : bytes_(bytes), expected_(expected), crc_(crc) {}

    struct Item {
        ByteView bytes;
        record::BatchHeader header;
        std::size_t position = 0;  ///< within the bytes given
    };
    /// Nothing at an end; stop() says which.
    [[nodiscard]] std::optional<Item> next();

    [[nodiscard]] Stop stop() const { return stop_; }
    [[nodiscard]] DamageReason damage_reason() const { return reason_; }
    /// Where the next batch begins, within the bytes given.
    [[nodiscard]] std::size_t position() const { return position_; }
    /// The offset that the next batch must have.
    [[nodiscard]] Offset expected() const { return expected_; }
    /// After kMoreBytes: how many bytes from position() on the batch needs at least.
    [[nodiscard]] std::size_t bytes_needed() const { return needed_; }

  private:
    std::optional<Item> stop_at(Stop stop, DamageReason reason);

    ByteView bytes_;
    Offset expected_;
    CrcCheck crc_;
    std::size_t position_ = 0;
    std::size_t needed_ = 0;
    Stop stop_ = Stop::kNone;
    DamageReason reason_ = DamageReason::kBadHeader;
};

/// Where in `bytes`, which begin at a batch, the batch with `wanted` lies, and how far a read may
/// go.
struct Located {
    enum class Outcome : std::uint8_t {
        kFound,
        kMoreBytes,  ///< read `bytes_needed` bytes from `position` on and try again from there
        kNotHere,    ///< all batches lie before `wanted`; the next one begins at `position`
        kDamaged,    ///< at `position`
    };
    Outcome outcome = Outcome::kNotHere;
    std::size_t position = 0;      ///< of the batch, within the bytes given
    std::size_t bytes_needed = 0;  ///< kFound: the batch's whole size
    Offset first_offset = kNoOffset;
    DamageReason reason = DamageReason::kBadHeader;
};
/// Reads headers only. The first batch that ends after `wanted` is the one.
[[nodiscard]] Located locate_in_bytes(ByteView bytes, Offset expected, Offset wanted);

/// The longest run of intact batches at the beginning of `bytes`.
struct Verified {
    std::size_t size_bytes = 0;
    Offset next_offset;            ///< after the last intact batch
    std::size_t bytes_needed = 0;  ///< by the batch after it, when stop is kMoreBytes
    BatchWalker::Stop stop = BatchWalker::Stop::kEnd;
    DamageReason reason = DamageReason::kBadCrc;  ///< when stop is kDamaged
};
[[nodiscard]] Verified verify_range(ByteView bytes, Offset expected);

/// The longest run of whole batches at the beginning of the bytes that end at or before `limit` and
/// within `max_bytes`; the first one may be larger when `at_least_one`.
struct CutLimits {
    Offset expected;
    Offset limit;
    std::size_t max_bytes = 0;
    bool at_least_one = false;
};
struct Cut {
    std::size_t size_bytes = 0;
    Offset next_offset;
};
/// Reads headers only.
[[nodiscard]] Cut cut_batches(ByteView bytes, const CutLimits& limits);

/// The first intact batch (CRC checked) in `bytes` whose base offset is in [low, high); bytes
/// before it are skipped one by one. `size_max` is how large a batch at the beginning of `bytes`
/// may be.
struct Resync {
    enum class Outcome : std::uint8_t {
        kFound,
        kMoreBytes,  ///< what begins at `position` may be one, but needs `bytes_needed`
        kNone,       ///< what begins before `position` is none
    };
    Outcome outcome = Outcome::kNone;
    std::size_t position = 0;
    std::size_t bytes_needed = 0;
    Offset offset;
};
[[nodiscard]] Resync find_intact_batch(ByteView bytes, Offset low, Offset high,
                                       std::uint64_t size_max);

}  // namespace dlog::storage
