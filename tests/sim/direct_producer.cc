#include "direct_producer.h"

#include <string>
#include <utility>
#include <vector>

#include "batches.h"
#include "port/clock.h"

namespace dlog::simtest {

using replication::Admitted;
using replication::Error;

void DirectProducer::fill_window(History& history, Timestamp now) {
    const std::size_t window = 1 + random.below(5);
    while (unacknowledged.size() < window) make_batch(history, now);
}

void DirectProducer::make_batch(History& history, Timestamp now) {
    Outgoing batch;
    batch.first = {number, next_record};
    batch.count = static_cast<std::uint32_t>(random.between(1, 12));
    const bool is_big = random.chance(1, 20);
    BatchToMake make{.first = batch.first,
                     .count = batch.count,
                     .payload_bytes = static_cast<std::size_t>(
                         random.between(kPayloadBytesMin, is_big ? 900 : 80)),
                     .timestamp = now,
                     .producer_id = kNoProducer,
                     .key_count = key_count,
                     .keys_collide = keys_collide};
    if (is_idempotent) {
        make.producer_id = ProducerId(1000 + number);
        make.producer_epoch = 0;
        make.base_sequence = static_cast<std::int32_t>(next_record);
    }
    batch.bytes = simtest::make_batch(make);
    history.attempt(log, batch.first, batch.count, is_idempotent);
    next_record += batch.count;
    unacknowledged.push_back(std::move(batch));
}

port::Task<bool> send_all(DirectProducer* producer, replication::PartitionPtr partition,
                          History* history, port::Clock* clock, Duration patience) {
    std::vector<Admitted> admitted;
    bool is_whole = true;
    for (const DirectProducer::Outgoing& batch : producer->unacknowledged) {
        const auto appended =
            partition->append(Buffer::copy_of(batch.bytes.view()), clock->wall_now());
        if (appended) {
            admitted.push_back(*appended);
            continue;
        }
        is_whole = false;
        const bool is_elsewhere =
            appended.error() == Error::kClosed || appended.error() == Error::kNotLeader;
        if (admitted.empty() && !is_elsewhere) {
            history->fail(
                "an append in order was refused: " + std::string(error_name(appended.error())) +
                ", record " + std::to_string(batch.first.number) + " of producer " +
                std::to_string(batch.first.producer));
        }
        break;
    }
    const Instant deadline = clock->now() + patience;
    for (const Admitted& one : admitted) {
        const auto outcome = co_await partition->committed(one, deadline);
        const DirectProducer::Outgoing batch = std::move(producer->unacknowledged.front());
        producer->unacknowledged.pop_front();
        if (outcome) {
            history->acknowledged(producer->log, batch.first, batch.count, one.base_offset.value);
            continue;
        }
        is_whole = false;
        if (!producer->is_idempotent) continue;
        producer->unacknowledged.push_front(batch);
        break;
    }
    co_return is_whole;
}

}  // namespace dlog::simtest
