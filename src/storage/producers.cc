#include "storage/producers.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::storage {

std::int32_t ProducerBatch::first_sequence() const {
    // Sequences wrap from 2^31 - 1 to 0.
    return static_cast<std::int32_t>(
        (static_cast<std::uint32_t>(last_sequence) - static_cast<std::uint32_t>(offset_delta)) &
        0x7fff'ffffU);
}

Result<std::optional<ProducerBatch>> ProducerTable::check(const record::BatchHeader& header) const {
    if (!header.has_producer() || header.base_sequence < 0) return std::nullopt;
    const auto found = states_.find(header.producer_id);
    // Nothing is known of this producer: it is new, or retention took what was known. Kafka then
    // takes any sequence (KAFKA-5793).
    if (found == states_.end()) return std::nullopt;
    const ProducerState& state = found->second;

    if (header.producer_epoch < state.epoch) return unexpected(Error::kInvalidProducerEpoch);
    if (header.producer_epoch > state.epoch) {
        if (header.base_sequence != 0) return unexpected(Error::kOutOfOrderSequence);
        return std::nullopt;
    }
    for (std::size_t i = 0; i < state.batch_count; ++i) {
        const ProducerBatch& batch = state.batches[i];
        if (batch.last_sequence == header.last_sequence() &&
            batch.first_sequence() == header.base_sequence) {
            return batch;
        }
    }
    if (state.batch_count > 0) {
        const std::int32_t last = state.batches[state.batch_count - 1].last_sequence;
        if (header.base_sequence != record::advance_sequence(last, 1)) {
            return unexpected(Error::kOutOfOrderSequence);
        }
    }
    return std::nullopt;
}

void ProducerTable::update(const record::BatchHeader& header, Timestamp now, Undo* undo) {
    if (!header.has_producer()) return;
    const auto [found, is_new] = states_.try_emplace(header.producer_id);
    ProducerState& state = found->second;
    if (undo != nullptr) {
        undo->try_emplace(header.producer_id,
                          is_new ? std::nullopt : std::optional<ProducerState>(state));
    }
    if (is_new || state.epoch != header.producer_epoch) {
        state.epoch = header.producer_epoch;
        state.batch_count = 0;
        state.batches = {};
    }
    state.last_timestamp = now;
    if (header.base_sequence < 0) return;
    if (state.batch_count == ProducerState::kBatchesMax) {
        std::ranges::copy(state.batches.begin() + 1, state.batches.end(), state.batches.begin());
        --state.batch_count;
    }
    state.batches[state.batch_count++] = {.last_sequence = header.last_sequence(),
                                          .offset_delta = header.last_offset_delta,
                                          .last_offset = header.last_offset(),
                                          .timestamp = header.max_timestamp};
    DLOG_ASSERT(state.batch_count <= ProducerState::kBatchesMax, state.batch_count);
}

void ProducerTable::apply(const Undo& undo) {
    for (const auto& [id, before] : undo) {
        if (before) {
            states_[id] = *before;
        } else {
            states_.erase(id);
        }
    }
}

std::size_t ProducerTable::expire(Timestamp now, std::int64_t expiration_ms) {
    return std::erase_if(states_, [&](const auto& entry) {
        return now.ms - entry.second.last_timestamp.ms >= expiration_ms;
    });
}

}  // namespace dlog::storage
