/// Record batches as the simulation's clients make and read them.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "history.h"
#include "payload.h"

namespace dlog::simtest {

struct BatchToMake {
    RecordName first;
    std::uint32_t count = 1;
    std::size_t payload_bytes = kPayloadBytesMin;
    Timestamp timestamp;
    ProducerId producer_id = kNoProducer;
    std::int16_t producer_epoch = -1;
    std::int32_t base_sequence = -1;
    int codec = 0;                ///< Kafka's number
    std::uint32_t key_count = 0;  ///< 0: records without keys
    bool keys_collide = false;    ///< a canary: two keys in the log's rules are one in the log
};
[[nodiscard]] Buffer make_batch(const BatchToMake& batch);

/// Tells the history of every record in `bytes`, whole batches of which the last may be cut short,
/// from `from` on. Returns the offset after the last whole batch; `from` when there was none.
std::int64_t note_batches(History& history, LogId log, ByteView bytes, std::int64_t from,
                          History::Reading* reading = nullptr);

}  // namespace dlog::simtest
