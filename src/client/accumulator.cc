#include "client/accumulator.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "client/producer.h"

namespace dlog::client {

Accumulator::Topic* Accumulator::known_topic(std::string_view name) {
    if (last_topic_ != nullptr && last_name_ == name) return last_topic_;
    const auto found = topics_.find(name);
    if (found == topics_.end()) return nullptr;
    last_name_ = found->first;
    last_topic_ = &found->second;
    return last_topic_;
}

std::optional<std::int32_t> Accumulator::partition_count(std::string_view topic) {
    const Topic* const known = known_topic(topic);
    if (known == nullptr) return std::nullopt;
    return known->partition_count;
}

void Accumulator::set_partition_count(std::string_view topic, std::int32_t count) {
    DLOG_ASSERT(count > 0, count);
    Topic* known = known_topic(topic);
    if (known == nullptr) {
        known = &topics_.try_emplace(std::string(topic)).first->second;
        known->partitioner = std::make_unique<Partitioner>(config_.partitioning, random_.next(),
                                                           config_.batch_bytes_max);
    }
    known->partition_count = count;
}

Result<Accumulator::Append> Accumulator::append(const ProducerRecord& record, Timestamp now) {
    const std::size_t bytes = record.estimated_bytes();
    if (bytes > kRecordBytesMax) return unexpected(too_large(bytes));
    if (memory_bytes_ > 0 && memory_bytes_ + bytes > config_.memory_bytes_max) return Append::kFull;
    Topic* const topic = known_topic(record.topic);
    if (topic == nullptr) return Append::kUnknownTopic;
    if (record.partition >= topic->partition_count) {
        return unexpected(no_such_partition(record, topic->partition_count));
    }
    const std::int32_t partition =
        record.partition >= 0 ? record.partition
                              : topic->partitioner->next(record.key, bytes, topic->partition_count);
    AccumulatorPlace& place = place_of(*topic, record.topic, partition);

    bool is_due = false;
    if (place.open != nullptr &&
        place.open->builder.size_bytes() + bytes > config_.batch_bytes_max) {
        seal(place);
        is_due = true;
    }
    if (place.open == nullptr) {
        begin_batch(place);
        is_due = true;
    }
    PendingBatch& batch = *place.open;
    const Timestamp timestamp = record.timestamp == kNoTimestamp ? now : record.timestamp;
    batch.builder.append(timestamp, record.key, record.value, record.headers);
    batch.tags.push_back(record.tag);
    batch.memory_bytes += bytes;
    memory_bytes_ += bytes;
    ++records_;
    return is_due ? Append::kTakenAndDue : Append::kTaken;
}

AccumulatorPlace& Accumulator::place_of(Topic& topic, std::string_view name,
                                        std::int32_t partition) {
    const auto index = static_cast<std::size_t>(partition);
    if (topic.places.size() <= index) topic.places.resize(index + 1);
    std::unique_ptr<AccumulatorPlace>& place = topic.places[index];
    if (place == nullptr) {
        place = std::make_unique<AccumulatorPlace>();
        place->topic = name;
        place->partition = partition;
    }
    return *place;
}

void Accumulator::begin_batch(AccumulatorPlace& place) {
    place.open =
        std::make_unique<PendingBatch>(record::BatchSpec{.compression = config_.compression});
    place.open->created_at = kNever;
    place.open->origin = &place;
    place.open->builder.reserve(place.last_batch_bytes);
    place.open->tags.reserve(place.last_batch_records);
    if (!std::exchange(place.is_listed, true)) listed_.push_back(&place);
}

void Accumulator::seal(AccumulatorPlace& place) {
    PendingBatch& batch = *place.open;
    batch.is_sealed = true;
    // A little more than now, so that batches of equal sizes need no second block.
    place.last_batch_bytes = std::min(batch.builder.size_bytes() + batch.builder.size_bytes() / 16,
                                      config_.batch_bytes_max);
    place.last_batch_records = batch.tags.size() + batch.tags.size() / 16;
    ++place.with_sender;
    full_.push_back(std::move(place.open));
}

std::vector<PendingBatchPtr> Accumulator::take_due(Instant now, bool all, Instant& wake_at) {
    wake_at = kNever;
    std::size_t kept = 0;
    for (AccumulatorPlace* const place : listed_) {
        if (place->open == nullptr) {
            place->is_listed = false;
            continue;
        }
        if (place->open->created_at == kNever) place->open->created_at = now;
        const Instant due_at = place->open->created_at + config_.linger;
        const bool is_due = all || due_at <= now;
        if (is_due && (all || place->with_sender < config_.in_flight_max)) {
            seal(*place);
            place->is_listed = false;
            continue;
        }
        // One that is due but has too many ahead of it waits for `release`.
        if (!is_due) wake_at = std::min(wake_at, due_at);
        listed_[kept++] = place;
    }
    listed_.resize(kept);
    for (const PendingBatchPtr& batch : full_) batch->created_at = std::min(batch->created_at, now);
    return std::exchange(full_, {});
}

bool Accumulator::release(AccumulatorPlace& place, std::size_t records, std::size_t memory_bytes) {
    DLOG_ASSERT(place.with_sender > 0 && records_ >= records && memory_bytes_ >= memory_bytes);
    --place.with_sender;
    records_ -= records;
    memory_bytes_ -= memory_bytes;
    return place.open != nullptr && place.with_sender + 1 == config_.in_flight_max;
}

}  // namespace dlog::client
