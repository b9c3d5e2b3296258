/// What idempotent producers last wrote to a partition (KIP-98): finds duplicates, gaps and stale
/// epochs by Kafka 4's rules.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "record/batch.h"
#include "storage/error.h"

namespace dlog::storage {

/// A producer's batch that is still recognised when it comes again.
struct ProducerBatch {
    std::int32_t last_sequence = 0;
    std::int32_t offset_delta = 0;  ///< last offset - first offset
    Offset last_offset;
    Timestamp timestamp;
    bool operator==(const ProducerBatch&) const = default;
    [[nodiscard]] std::int32_t first_sequence() const;
};

/// One producer's state: its epoch and its last five batches, oldest first.
struct ProducerState {
    static constexpr std::size_t kBatchesMax = 5;
    ProducerEpoch epoch;
    Timestamp last_timestamp = kNoTimestamp;
    std::uint8_t batch_count = 0;
    std::array<ProducerBatch, kBatchesMax> batches;
    bool operator==(const ProducerState&) const = default;
};

using ProducerMap = std::unordered_map<ProducerId, ProducerState, IdHash>;

/// The states of a partition's producers. Owned by the partition's core. A log remembers the states
/// at a few earlier points (its marks) by what each producer looked like before it changed.
class ProducerTable {
  public:
    /// What the producers that changed after some point looked like before; nullopt: unknown.
    using Undo = std::unordered_map<ProducerId, std::optional<ProducerState>, IdHash>;

    /// The earlier append of the same batch, when `header` repeats one of the last five; nothing
    /// when the batch may be appended.
    [[nodiscard]] Result<std::optional<ProducerBatch>> check(
        const record::BatchHeader& header) const;
    /// Records an append that `check` let pass, or one read back from the log. `undo`, if any, gets
    /// the state before.
    void update(const record::BatchHeader& header, Timestamp now, Undo* undo);
    void apply(const Undo& undo);
    /// Forgets producers that have not written for `expiration_ms`.
    std::size_t expire(Timestamp now, std::int64_t expiration_ms);

    [[nodiscard]] const ProducerMap& states() const { return states_; }
    void restore(ProducerId id, const ProducerState& state) { states_[id] = state; }

  private:
    ProducerMap states_;
};

}  // namespace dlog::storage
