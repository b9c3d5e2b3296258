/// The walk over records that lie in memory, which checks each and keeps a tally. For this room
/// alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/result.h"
#include "base/time.h"
#include "record/batch.h"
#include "record/error.h"

namespace dlog::record {

/// What a walk has learned of a batch's records so far.
class Tally {
  public:
    Tally(const BatchHeader& header, bool needs_keys)
        : base_timestamp_(header.base_timestamp.ms), needs_keys_(needs_keys) {}

    /// Counts a record whose own bounds are right; the errors are those of its place in the batch.
    [[nodiscard]] Result<void> add(std::int64_t timestamp_delta, std::int32_t offset_delta,
                                   std::int32_t key_size) {
        if (offset_delta != record_count_) return unexpected(Error::kBadOffsets);
        if (key_size < 0 && needs_keys_) return unexpected(Error::kMissingKey);
        ++record_count_;
        // Hostile deltas wrap, as they do in Kafka.
        add_timestamp(static_cast<std::int64_t>(static_cast<std::uint64_t>(base_timestamp_) +
                                                static_cast<std::uint64_t>(timestamp_delta)));
        return {};
    }

    [[nodiscard]] std::int32_t record_count() const { return record_count_; }
    [[nodiscard]] Timestamp min_timestamp() const {
        return min_timestamp_ == INT64_MAX ? kNoTimestamp : Timestamp{min_timestamp_};
    }
    [[nodiscard]] Timestamp max_timestamp() const { return Timestamp{max_timestamp_}; }

  private:
    friend const std::uint8_t* walk_plain(const std::uint8_t* at, const std::uint8_t* end,
                                          std::int32_t count, Tally& tally);

    void add_timestamp(std::int64_t timestamp) {
        if (timestamp != kNoTimestamp.ms) min_timestamp_ = std::min(min_timestamp_, timestamp);
        max_timestamp_ = std::max(max_timestamp_, timestamp);
    }

    std::int64_t base_timestamp_;
    std::int64_t min_timestamp_ = INT64_MAX;
    std::int64_t max_timestamp_ = kNoTimestamp.ms;
    std::int32_t record_count_ = 0;
    bool needs_keys_;
};

/// Walks the records from `at` on until `tally` counts `count` of them or the next one does not lie
/// whole before `end`. Returns where it stopped.
[[nodiscard]] Result<const std::uint8_t*> walk_records(const std::uint8_t* at,
                                                       const std::uint8_t* end, std::int32_t count,
                                                       Tally& tally);

}  // namespace dlog::record
