#include "client/batch_queue.h"

#include <algorithm>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "record/batch.h"

namespace dlog::client {

void number_batch(MutableBytes batch, const ProducerIdentity& identity,
                  std::int32_t base_sequence) {
    DLOG_ASSERT(batch.size() >= record::kBatchHeaderSize, batch.size());
    store_big_endian(batch.data() + record::kProducerIdAt, identity.id.value);
    store_big_endian(batch.data() + record::kProducerEpochAt, identity.epoch.value);
    store_big_endian(batch.data() + record::kBaseSequenceAt, base_sequence);
    const std::uint32_t crc = codec::crc32c(batch.subspan(record::kCrcCoversFrom));
    store_big_endian(batch.data() + record::kCrcAt, crc);
}

void BatchQueue::put_back(PendingBatchPtr batch) {
    const auto place =
        std::find_if(waiting.begin(), waiting.end(),
                     [&](const PendingBatchPtr& other) { return other->number > batch->number; });
    waiting.insert(place, std::move(batch));
}

}  // namespace dlog::client
