#include "client/producer.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "client/accumulator.h"
#include "client/batch_queue.h"
#include "client/partitioner.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "protocol/messages/init_producer_id.h"
#include "protocol/messages/produce.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

/// What a record costs beside its key and value: varints, the two attributes, a share of the
/// header.
constexpr std::size_t kRecordOverhead = 32;

/// Whether a batch may have been written although its request failed like this.
bool leaves_unknown(const Error& error) {
    switch (error.kind) {
        case ErrorKind::kDisconnected:
        case ErrorKind::kTimedOut:
        case ErrorKind::kBadResponse:
        case ErrorKind::kClosed:
            return true;
        case ErrorKind::kBroker:
            return error.code == ErrorCode::kRequestTimedOut ||
                   error.code == ErrorCode::kNotEnoughReplicasAfterAppend ||
                   error.code == ErrorCode::kUnknownServerError;
        default:
            return false;
    }
}

/// Batches that go to one broker in one request.
struct Shipment {
    struct Item {
        BatchQueue* queue = nullptr;
        PendingBatchPtr batch;
    };
    std::vector<Item> items;
    std::size_t size_bytes = 0;
};

protocol::ProduceRequest request_of(const Shipment& shipment, std::vector<Buffer>& externals) {
    protocol::ProduceRequest request;
    std::map<std::string_view, std::size_t> places;
    for (const Shipment::Item& item : shipment.items) {
        const auto [place, is_new] =
            places.try_emplace(item.queue->topic, request.topic_data.size());
        if (is_new) request.topic_data.emplace_back().name = item.queue->topic;
        const auto token = static_cast<std::uint32_t>(externals.size());
        request.topic_data[place->second].partition_data.push_back(
            {.index = item.queue->partition,
             .records = protocol::Records::external(item.batch->bytes.size(), token)});
        externals.push_back(item.batch->bytes);
    }
    return request;
}

/// What became of each item of a shipment, in order: the offset of its first record.
using Outcomes = std::vector<Result<Offset>>;

Outcomes outcomes_of(const Shipment& shipment, const protocol::ProduceResponse& response) {
    std::map<std::pair<std::string_view, std::int32_t>, std::size_t> places;
    for (std::size_t i = 0; i < shipment.items.size(); ++i) {
        const BatchQueue& queue = *shipment.items[i].queue;
        places[{queue.topic, queue.partition}] = i;
    }
    Outcomes outcomes(shipment.items.size(),
                      unexpected(Error{.kind = ErrorKind::kBadResponse,
                                       .detail = "Produce: a partition is missing"}));
    for (const auto& topic : response.responses) {
        for (const auto& partition : topic.partition_responses) {
            const auto place = places.find({topic.name, partition.index});
            if (place == places.end()) continue;
            if (partition.error_code == ErrorCode::kNone) {
                outcomes[place->second] = Offset{partition.base_offset};
            } else {
                outcomes[place->second] = unexpected(
                    broker_error(partition.error_code, partition.error_message.value_or("")));
            }
        }
    }
    return outcomes;
}

}  // namespace

std::size_t ProducerRecord::estimated_bytes() const {
    std::size_t bytes = kRecordOverhead;
    if (key) bytes += key->size();
    if (value) bytes += value->size();
    for (const record::RecordHeader& header : headers) {
        bytes += header.key.size() + (header.value ? header.value->size() : 0) + 10;
    }
    return bytes;
}

Error too_large(std::size_t record_bytes) {
    return {.kind = ErrorKind::kBadRequest,
            .detail = "a record of " + std::to_string(record_bytes) + " bytes"};
}

Error no_such_partition(const ProducerRecord& record, std::int32_t partition_count) {
    return {.kind = ErrorKind::kBadRequest,
            .detail = "topic " + std::string(record.topic) + " has " +
                      std::to_string(partition_count) + " partitions, so none is number " +
                      std::to_string(record.partition)};
}

class Producer::Impl {
  public:
    Impl(Cluster& cluster, const ProducerConfig& config, DeliveryListener& listener)
        : cluster_(cluster), ports_(cluster.ports()), config_(config), listener_(listener) {
        DLOG_ASSERT(!config.is_idempotent || config.acks == Acks::kAll);
        DLOG_ASSERT(config.in_flight_max >= 1 && config.in_flight_max <= 5);
    }

    void start() { ports_.spawn.spawn(run(gate_.enter())); }
    Result<bool> try_send(const ProducerRecord& record);
    void submit(std::vector<PendingBatchPtr> batches);
    port::Task<Result<void>> ready(std::string topic);
    port::Task<void> flush();
    port::Task<void> close();
    [[nodiscard]] std::uint64_t undelivered_records() const { return undelivered_records_; }

  private:
    struct TopicState {
        std::unique_ptr<Partitioner> partitioner;
        std::map<std::int32_t, std::unique_ptr<BatchQueue>> queues;
        bool is_learning = false;
    };
    struct NodeState {
        std::uint32_t in_flight = 0;
        bool is_connecting = false;
        Instant retry_at;
    };

    // Taking records.
    [[nodiscard]] TopicState& topic_state(std::string_view name);
    [[nodiscard]] static BatchQueue& queue_of(TopicState& topic, std::string_view name,
                                              std::int32_t partition);
    [[nodiscard]] std::int32_t choose_partition(TopicState& topic, const ProducerRecord& record,
                                                std::size_t record_bytes, std::int32_t count);
    void add(BatchQueue& queue, const ProducerRecord& record, std::size_t record_bytes);

    // The loop that sends.
    port::Task<void> run(port::Gate::Hold hold);
    [[nodiscard]] Instant send_what_is_due();
    [[nodiscard]] bool is_due(const BatchQueue& queue, Instant now, Instant& wake_at) const;
    void expire(BatchQueue& queue, Instant now);
    [[nodiscard]] bool load(Shipment& shipment, BatchQueue& queue);
    void learn(const std::string& topic);
    void connect(NodeId node);
    port::Task<void> learn_loop(port::Gate::Hold hold, std::string topic);
    port::Task<void> connect_once(port::Gate::Hold hold, NodeId node);
    port::Task<void> get_identity();

    /// Lets the loop look again, also when it is looking right now.
    void wake() {
        has_news_ = true;
        work_.notify_all();
    }

    // A request and its outcome.
    port::Task<void> ship(port::Gate::Hold hold, NodeId node, ConnectionPtr connection,
                          Shipment shipment);
    port::Task<Result<Outcomes>> exchange(ConnectionPtr connection, const Shipment* shipment);
    void settle(Shipment::Item item, Result<Offset> outcome);
    void try_again(Shipment::Item item, Error error);
    void succeed(Shipment::Item& item, Offset base_offset);
    void fail(const BatchQueue& queue, const PendingBatch& batch, const Error& error);
    void report(const BatchQueue& queue, const PendingBatch& batch, Offset base_offset,
                const Error* error);
    void renumber_all();
    void renumber(BatchQueue& queue);

    Cluster& cluster_;
    const port::Ports& ports_;
    const ProducerConfig config_;
    DeliveryListener& listener_;
    port::Gate gate_;
    std::map<std::string, TopicState, std::less<>> topics_;
    std::map<NodeId, NodeState> nodes_;
    ProducerIdentity identity_;
    bool needs_identity_ = false;
    bool is_closing_ = false;
    bool has_news_ = false;
    std::uint64_t shipments_ = 0;  // requests under way
    std::uint64_t flushers_ = 0;
    std::uint64_t undelivered_records_ = 0;
    std::size_t memory_bytes_ = 0;
    port::Notifier work_;   // the loop has something to look at
    port::Notifier space_;  // memory came free, or a topic became known
};

// Taking records.

Result<bool> Producer::Impl::try_send(const ProducerRecord& record) {
    if (is_closing_) return unexpected(Error{.kind = ErrorKind::kClosed});
    const std::size_t bytes = record.estimated_bytes();
    if (bytes > kRecordBytesMax) return unexpected(too_large(bytes));
    if (memory_bytes_ > 0 && memory_bytes_ + bytes > config_.memory_bytes_max) return false;
    const TopicInfoPtr info = cluster_.known_topic(record.topic);
    if (info == nullptr) return false;
    const auto count = static_cast<std::int32_t>(info->partitions.size());
    if (record.partition >= count) return unexpected(no_such_partition(record, count));
    TopicState& topic = topic_state(record.topic);
    const std::int32_t partition = choose_partition(topic, record, bytes, count);
    add(queue_of(topic, record.topic, partition), record, bytes);
    return true;
}

Producer::Impl::TopicState& Producer::Impl::topic_state(std::string_view name) {
    auto found = topics_.find(name);
    if (found == topics_.end()) found = topics_.try_emplace(std::string(name)).first;
    return found->second;
}

BatchQueue& Producer::Impl::queue_of(TopicState& topic, std::string_view name,
                                     std::int32_t partition) {
    std::unique_ptr<BatchQueue>& queue = topic.queues[partition];
    if (queue == nullptr) {
        queue = std::make_unique<BatchQueue>();
        queue->topic = name;
        queue->partition = partition;
    }
    return *queue;
}

void Producer::Impl::submit(std::vector<PendingBatchPtr> batches) {
    for (PendingBatchPtr& batch : batches) {
        DLOG_ASSERT(batch->is_sealed && batch->origin != nullptr);
        const AccumulatorPlace& place = *batch->origin;
        BatchQueue& queue = queue_of(topic_state(place.topic), place.topic, place.partition);
        undelivered_records_ += batch->tags.size();
        memory_bytes_ += batch->memory_bytes;
        if (is_closing_) {
            fail(queue, *batch, {.kind = ErrorKind::kClosed});
            continue;
        }
        batch->number = queue.next_number++;
        queue.waiting.push_back(std::move(batch));
    }
    wake();
}

std::int32_t Producer::Impl::choose_partition(TopicState& topic, const ProducerRecord& record,
                                              std::size_t record_bytes, std::int32_t count) {
    if (record.partition >= 0) return record.partition;
    if (topic.partitioner == nullptr) {
        topic.partitioner = std::make_unique<Partitioner>(
            Partitioning::kMurmur2, cluster_.random().next(), config_.batch_bytes_max);
    }
    return topic.partitioner->next(record.key, record_bytes, count);
}

void Producer::Impl::add(BatchQueue& queue, const ProducerRecord& record,
                         std::size_t record_bytes) {
    const bool has_open = !queue.waiting.empty() && queue.waiting.back()->bytes.empty() &&
                          !queue.waiting.back()->is_sealed;
    const bool fits = has_open && queue.waiting.back()->builder.size_bytes() + record_bytes <=
                                      config_.batch_bytes_max;
    if (!fits) {
        auto batch =
            std::make_unique<PendingBatch>(record::BatchSpec{.compression = config_.compression});
        batch->created_at = ports_.clock.now();
        batch->number = queue.next_number++;
        queue.waiting.push_back(std::move(batch));
    }
    PendingBatch& batch = *queue.waiting.back();
    const Timestamp timestamp =
        record.timestamp == kNoTimestamp ? ports_.clock.wall_now() : record.timestamp;
    batch.builder.append(timestamp, record.key, record.value, record.headers);
    batch.tags.push_back(record.tag);
    batch.memory_bytes += record_bytes;
    memory_bytes_ += record_bytes;
    ++undelivered_records_;
    // A batch before it is full, or this is the first of a quiet partition: the loop looks again.
    if (!fits) wake();
}

port::Task<Result<void>> Producer::Impl::ready(std::string topic) {
    const Instant deadline = ports_.clock.now() + config_.delivery_timeout;
    if (cluster_.known_topic(topic) == nullptr) {
        const auto info = co_await cluster_.topic(topic, config_.may_create_topics, deadline);
        if (!info) co_return unexpected(info.error());
        co_return Result<void>();
    }
    if (is_closing_) co_return unexpected(Error{.kind = ErrorKind::kClosed});
    if (!co_await space_.wait_until(ports_.clock, deadline)) {
        co_return unexpected(Error{.kind = ErrorKind::kTimedOut,
                                   .detail = "waiting for earlier records to be delivered"});
    }
    co_return Result<void>();
}

port::Task<void> Producer::Impl::flush() {
    ++flushers_;
    wake();
    while (undelivered_records_ > 0 && !is_closing_) static_cast<void>(co_await space_.wait());
    --flushers_;
}

port::Task<void> Producer::Impl::close() {
    is_closing_ = true;
    const Error closed{.kind = ErrorKind::kClosed};
    for (auto& [name, topic] : topics_) {
        for (auto& [partition, queue] : topic.queues) {
            const auto waiting = std::exchange(queue->waiting, {});
            for (const PendingBatchPtr& batch : waiting) fail(*queue, *batch, closed);
        }
    }
    wake();
    space_.notify_all();
    while (gate_.held() > 0) static_cast<void>(co_await gate_.left().wait());
}

// The loop that sends.

port::Task<void> Producer::Impl::run([[maybe_unused]] port::Gate::Hold hold) {
    while (!is_closing_) {
        const bool wants_identity =
            config_.is_idempotent && (needs_identity_ || identity_.id == kNoProducer);
        if (wants_identity && shipments_ == 0 && undelivered_records_ > 0) {
            co_await get_identity();
            continue;
        }
        has_news_ = false;
        const Instant wake_at = wants_identity ? kNever : send_what_is_due();
        if (is_closing_) break;
        if (has_news_) continue;
        static_cast<void>(co_await work_.wait_until(ports_.clock, wake_at));
    }
}

/// Sends every batch that is due and may go, and returns when the next one will be due by itself.
Instant Producer::Impl::send_what_is_due() {
    const Instant now = ports_.clock.now();
    Instant wake_at = kNever;
    std::map<NodeId, Shipment> shipments;
    for (auto& [name, topic] : topics_) {
        const TopicInfoPtr info = cluster_.known_topic(name);
        for (auto& [partition, queue] : topic.queues) {
            expire(*queue, now);
            if (!is_due(*queue, now, wake_at)) continue;
            if (info == nullptr) {
                learn(name);
                break;
            }
            const auto index = static_cast<std::size_t>(partition);
            if (index >= info->partitions.size()) continue;
            const NodeId leader = info->partitions[index].leader;
            if (leader.value < 0) {
                // By then it is asked about again.
                wake_at = std::min(wake_at, now + cluster_.config().backoff_max);
                continue;
            }
            NodeState& node = nodes_[leader];
            if (node.in_flight >= config_.in_flight_max || node.is_connecting) continue;
            if (node.retry_at > now) {
                wake_at = std::min(wake_at, node.retry_at);
                continue;
            }
            if (cluster_.open_connection(leader) == nullptr) {
                connect(leader);
                continue;
            }
            if (!load(shipments[leader], *queue)) wake_at = now;  // there is more than fits
        }
    }
    for (auto& [leader, shipment] : shipments) {
        if (shipment.items.empty()) continue;
        ++shipments_;
        ++nodes_[leader].in_flight;
        ports_.spawn.spawn(
            ship(gate_.enter(), leader, cluster_.open_connection(leader), std::move(shipment)));
    }
    return wake_at;
}

bool Producer::Impl::is_due(const BatchQueue& queue, Instant now, Instant& wake_at) const {
    if (queue.waiting.empty()) return false;
    const PendingBatch& first = *queue.waiting.front();
    // After a failure one batch goes alone, so that order is certain again.
    const bool is_retry = first.tries > 0;
    if (queue.in_flight >= (is_retry ? 1U : config_.in_flight_max)) return false;
    if (is_retry && queue.retry_at > now) {
        wake_at = std::min(wake_at, queue.retry_at);
        return false;
    }
    const Instant due_at = first.created_at + config_.linger;
    const bool is_full = queue.waiting.size() > 1 || first.is_sealed || !first.bytes.empty() ||
                         first.builder.size_bytes() + kRecordOverhead > config_.batch_bytes_max;
    const bool is_wanted = is_full || flushers_ > 0 || due_at <= now ||
                           memory_bytes_ + config_.batch_bytes_max > config_.memory_bytes_max;
    if (!is_wanted) wake_at = std::min(wake_at, due_at);
    return is_wanted;
}

void Producer::Impl::expire(BatchQueue& queue, Instant now) {
    while (!queue.waiting.empty()) {
        const PendingBatch& first = *queue.waiting.front();
        if (first.created_at + config_.delivery_timeout > now) return;
        Error error{.kind = ErrorKind::kTimedOut, .detail = "not delivered in time"};
        if (first.last_error) error.detail += "; last: " + first.last_error->text();
        const PendingBatchPtr batch = std::move(queue.waiting.front());
        queue.waiting.pop_front();
        fail(queue, *batch, error);
    }
}

/// Takes the queue's first batch along. False when the request is full.
bool Producer::Impl::load(Shipment& shipment, BatchQueue& queue) {
    PendingBatch& first = *queue.waiting.front();
    const std::size_t size = first.bytes.empty() ? first.builder.size_bytes() : first.bytes.size();
    if (!shipment.items.empty() && shipment.size_bytes + size > config_.request_bytes_max) {
        return false;
    }
    const bool needs_numbers = config_.is_idempotent && !first.is_numbered();
    if (needs_numbers) {
        first.base_sequence = queue.next_sequence;
        queue.next_sequence = record::advance_sequence(queue.next_sequence, first.record_count());
    }
    if (first.bytes.empty()) {
        if (needs_numbers) {
            first.builder.set_producer(identity_.id, identity_.epoch, first.base_sequence);
        }
        auto built = first.builder.build();
        DLOG_ASSERT(built.has_value());  // a batch of at least one record, of our own making
        first.bytes = *std::move(built);
    } else if (needs_numbers) {
        number_batch(first.bytes.mutable_view(), identity_, first.base_sequence);
    }
    ++first.tries;
    ++queue.in_flight;
    shipment.size_bytes += first.bytes.size();
    shipment.items.push_back({&queue, std::move(queue.waiting.front())});
    queue.waiting.pop_front();
    return true;
}

void Producer::Impl::learn(const std::string& topic) {
    TopicState& state = topics_.find(topic)->second;
    if (state.is_learning) return;
    state.is_learning = true;
    ports_.spawn.spawn(learn_loop(gate_.enter(), topic));
}

port::Task<void> Producer::Impl::learn_loop([[maybe_unused]] port::Gate::Hold hold,
                                            std::string topic) {
    const auto info =
        co_await cluster_.topic(topic, config_.may_create_topics, cluster_.default_deadline());
    if (!info && !is_closing_) {
        static_cast<void>(co_await cluster_.wait(cluster_.config().backoff_max, kNever));
    }
    topics_.find(topic)->second.is_learning = false;
    wake();
    space_.notify_all();
}

void Producer::Impl::connect(NodeId node) {
    nodes_[node].is_connecting = true;
    ports_.spawn.spawn(connect_once(gate_.enter(), node));
}

port::Task<void> Producer::Impl::connect_once([[maybe_unused]] port::Gate::Hold hold, NodeId node) {
    const auto connection = co_await cluster_.connection_to(node);
    NodeState& state = nodes_[node];
    state.is_connecting = false;
    if (!connection) {
        state.retry_at = ports_.clock.now() + cluster_.config().backoff_max;
        // The leader may be another by now.
        for (const auto& [name, topic] : topics_) cluster_.forget_topic(name);
    }
    wake();
}

/// A new producer id. Nothing is under way, so that what is numbered can be numbered anew.
port::Task<void> Producer::Impl::get_identity() {
    protocol::InitProducerIdRequest request;
    request.transactional_id.reset();
    request.transaction_timeout_ms = 60'000;
    const auto answer = co_await cluster_.call_any(std::move(request), cluster_.default_deadline());
    if (answer && answer->message.error_code == ErrorCode::kNone) {
        identity_ = {ProducerId{answer->message.producer_id},
                     ProducerEpoch{answer->message.producer_epoch}};
        needs_identity_ = false;
        renumber_all();
        co_return;
    }
    const Error error =
        answer ? broker_error(answer->message.error_code, "InitProducerId") : answer.error();
    for (auto& [name, topic] : topics_) {
        for (auto& [partition, queue] : topic.queues) {
            for (const PendingBatchPtr& batch : queue->waiting) batch->last_error = error;
            expire(*queue, ports_.clock.now());
            if (error.is_retriable()) continue;
            const auto waiting = std::exchange(queue->waiting, {});
            for (const PendingBatchPtr& batch : waiting) fail(*queue, *batch, error);
        }
    }
    static_cast<void>(co_await cluster_.wait(cluster_.config().backoff_max, kNever));
}

/// Under a new identity every partition counts from 0.
void Producer::Impl::renumber_all() {
    for (auto& [name, topic] : topics_) {
        for (auto& [partition, queue] : topic.queues) renumber(*queue);
    }
    needs_identity_ = false;
}

/// A batch that may have been written under the old identity cannot be sent again without the risk
/// of writing it twice: it fails.
void Producer::Impl::renumber(BatchQueue& queue) {
    queue.next_sequence = 0;
    auto waiting = std::exchange(queue.waiting, {});
    for (PendingBatchPtr& batch : waiting) {
        if (batch->is_numbered() && batch->is_unknown) {
            fail(queue, *batch, batch->last_error.value_or(Error{}));
            continue;
        }
        batch->base_sequence = -1;
        // The bytes of an earlier try may still be on their way out.
        if (batch->tries > 0) batch->bytes = Buffer::copy_of(batch->bytes.view());
        queue.waiting.push_back(std::move(batch));
    }
}

// A request and its outcome.

port::Task<void> Producer::Impl::ship([[maybe_unused]] port::Gate::Hold hold, NodeId node,
                                      ConnectionPtr connection, Shipment shipment) {
    auto outcomes = co_await exchange(std::move(connection), &shipment);
    --nodes_[node].in_flight;
    --shipments_;
    for (std::size_t i = 0; i < shipment.items.size(); ++i) {
        Shipment::Item& item = shipment.items[i];
        --item.queue->in_flight;
        if (outcomes) {
            settle(std::move(item), std::move((*outcomes)[i]));
        } else {
            settle(std::move(item), unexpected(outcomes.error()));
        }
    }
    wake();
    space_.notify_all();
}

/// One outcome for each item, in order. The shipment outlives this.
port::Task<Result<Outcomes>> Producer::Impl::exchange(ConnectionPtr connection,
                                                      const Shipment* shipment) {
    constexpr std::int16_t kLastWithNames = 12;
    CallOptions options{.deadline = cluster_.default_deadline(), .version_max = kLastWithNames};
    protocol::ProduceRequest request = request_of(*shipment, options.externals);
    request.acks = static_cast<std::int16_t>(config_.acks);
    request.timeout_ms = wire_ms(cluster_.config().request_timeout);
    if (config_.acks == Acks::kNone) {
        DLOG_CO_TRY(co_await connection->send(std::move(request), std::move(options)));
        co_return Outcomes(shipment->items.size(), Result<Offset>(kNoOffset));
    }
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await connection->call(std::move(request), std::move(options)));
    co_return outcomes_of(*shipment, answer.message);
}

void Producer::Impl::settle(Shipment::Item item, Result<Offset> outcome) {
    if (outcome) return succeed(item, *outcome);
    Error error = std::move(outcome).error();
    PendingBatch& batch = *item.batch;
    if (leaves_unknown(error)) batch.is_unknown = true;
    if (error.code == ErrorCode::kDuplicateSequenceNumber) return succeed(item, kNoOffset);
    const BatchQueue& queue = *item.queue;
    const bool is_first = queue.in_flight == 0 &&
                          (queue.waiting.empty() || queue.waiting.front()->number > batch.number);
    switch (error.code) {
        case ErrorCode::kOutOfOrderSequenceNumber:
            // A batch before it failed and will go first; or else the broker has forgotten this
            // producer.
            if (!is_first) return try_again(std::move(item), std::move(error));
            needs_identity_ = true;
            return try_again(std::move(item), std::move(error));
        case ErrorCode::kUnknownProducerId:
        case ErrorCode::kInvalidProducerEpoch:
            needs_identity_ = true;
            return try_again(std::move(item), std::move(error));
        default:
            break;
    }
    if (error.is_retriable() && !is_closing_) return try_again(std::move(item), std::move(error));
    fail(*item.queue, batch, error);
}

void Producer::Impl::try_again(Shipment::Item item, Error error) {
    BatchQueue& queue = *item.queue;
    if (is_closing_) return fail(queue, *item.batch, error);
    const ClusterConfig& waits = cluster_.config();
    queue.backoff_ns = queue.backoff_ns == 0 ? waits.backoff_min.ns
                                             : std::min(queue.backoff_ns * 2, waits.backoff_max.ns);
    queue.retry_at = ports_.clock.now() + Duration{queue.backoff_ns};
    cluster_.forget_topic(queue.topic);
    ports_.log.debug("a batch is sent again", {{"topic", queue.topic},
                                               {"partition", queue.partition},
                                               {"try", item.batch->tries},
                                               {"error", error.text()}});
    item.batch->last_error = std::move(error);
    queue.put_back(std::move(item.batch));
}

void Producer::Impl::succeed(Shipment::Item& item, Offset base_offset) {
    item.queue->backoff_ns = 0;
    report(*item.queue, *item.batch, base_offset, nullptr);
}

void Producer::Impl::fail(const BatchQueue& queue, const PendingBatch& batch, const Error& error) {
    // The sequence has a hole now.
    if (batch.is_numbered()) needs_identity_ = true;
    report(queue, batch, kNoOffset, &error);
}

void Producer::Impl::report(const BatchQueue& queue, const PendingBatch& batch, Offset base_offset,
                            const Error* error) {
    DLOG_ASSERT(undelivered_records_ >= batch.tags.size());
    DLOG_ASSERT(memory_bytes_ >= batch.memory_bytes);
    undelivered_records_ -= batch.tags.size();
    memory_bytes_ -= batch.memory_bytes;
    listener_.delivered({.topic = queue.topic,
                         .partition = queue.partition,
                         .tags = batch.tags,
                         .base_offset = base_offset,
                         .error = error,
                         .is_unknown = error != nullptr && batch.is_unknown,
                         .origin = batch.origin,
                         .memory_bytes = batch.memory_bytes});
    space_.notify_all();
}

// The public face.

Producer::Producer(Cluster& cluster, ProducerConfig config, DeliveryListener& listener)
    : impl_(std::make_unique<Impl>(cluster, config, listener)) {}

Producer::~Producer() = default;

void Producer::start() {
    impl_->start();
}
Result<bool> Producer::try_send(const ProducerRecord& record) {
    return impl_->try_send(record);
}
port::Task<Result<void>> Producer::ready(std::string topic) {
    return impl_->ready(std::move(topic));
}
port::Task<void> Producer::flush() {
    return impl_->flush();
}
port::Task<void> Producer::close() {
    return impl_->close();
}
void Producer::submit(std::vector<PendingBatchPtr> batches) {
    impl_->submit(std::move(batches));
}
std::uint64_t Producer::undelivered_records() const {
    return impl_->undelivered_records();
}

port::Task<Result<void>> Producer::send(ProducerRecord record) {
    for (;;) {
        DLOG_CO_TRY_ASSIGN(const bool is_taken, impl_->try_send(record));
        if (is_taken) co_return Result<void>();
        DLOG_CO_TRY(co_await impl_->ready(std::string(record.topic)));
    }
}

}  // namespace dlog::client
