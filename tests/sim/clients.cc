#include "clients.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "batches.h"
#include "port/clock.h"
#include "protocol/error_code.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/delete_topics.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/init_producer_id.h"
#include "protocol/messages/list_offsets.h"
#include "protocol/messages/metadata.h"
#include "protocol/messages/produce.h"

namespace dlog::simtest {

using port::Task;
using protocol::ErrorCode;

namespace {

constexpr Duration kRetryPause = milliseconds(100);

std::string code_text(ErrorCode code) {
    return std::to_string(static_cast<int>(code));
}

/// What a producer or reader tries again after.
bool is_passing(ErrorCode code) {
    switch (code) {
        case ErrorCode::kNotLeaderOrFollower:
        case ErrorCode::kLeaderNotAvailable:
        case ErrorCode::kKafkaStorageError:
        case ErrorCode::kRequestTimedOut:
        case ErrorCode::kCoordinatorNotAvailable:
        case ErrorCode::kCoordinatorLoadInProgress:
        case ErrorCode::kNotController:
            return true;
        default:
            return false;
    }
}

void look_at(Clients& clients, const Wire& wire) {
    if (wire.is_garbled()) clients.history.fail("the node answered with what is no answer");
}

}  // namespace

// --- Topics

Task<void> make_topic(Clients& clients, TopicToMake topic) {
    Wire wire(clients.ports, clients.endpoint);
    while (true) {
        protocol::CreateTopicsRequest request;
        auto& wanted = request.topics.emplace_back();
        wanted.name = topic.name;
        wanted.num_partitions = topic.partitions;
        wanted.replication_factor = 1;
        for (const auto& [key, value] : topic.configs) {
            wanted.configs.push_back({.name = key, .value = value});
        }
        request.timeout_ms = 5000;
        const auto reply = co_await Wire::call(wire, 7, std::move(request));
        look_at(clients, wire);
        if (reply) {
            const ErrorCode code = reply->message.topics.at(0).error_code;
            // It may be there from a try whose answer was lost.
            if (code == ErrorCode::kNone || code == ErrorCode::kTopicAlreadyExists) break;
            if (!is_passing(code)) {
                clients.history.fail("making a topic was refused with " + code_text(code));
                break;
            }
        }
        co_await port::sleep_for(clients.ports.clock, kRetryPause);
    }
    ++clients.topics_made;
}

Task<TopicId> find_topic_id(Clients& clients, std::string name) {
    Wire wire(clients.ports, clients.endpoint);
    while (true) {
        protocol::MetadataRequest request;
        request.topics.emplace().emplace_back().name = name;
        const auto reply = co_await Wire::call(wire, 12, std::move(request));
        look_at(clients, wire);
        if (reply && reply->message.topics.at(0).error_code == ErrorCode::kNone) {
            co_return reply->message.topics.at(0).topic_id;
        }
        co_await port::sleep_for(clients.ports.clock, kRetryPause);
    }
}

namespace {

Task<void> delete_topic(Clients& clients, std::string name) {
    Wire wire(clients.ports, clients.endpoint);
    while (true) {
        protocol::DeleteTopicsRequest request;
        request.topic_names.push_back(name);
        request.timeout_ms = 5000;
        const auto reply = co_await Wire::call(wire, 5, std::move(request));
        look_at(clients, wire);
        if (reply) {
            const ErrorCode code = reply->message.responses.at(0).error_code;
            if (code == ErrorCode::kNone || code == ErrorCode::kUnknownTopicOrPartition) co_return;
            if (!is_passing(code)) {
                clients.history.fail("deleting a topic was refused with " + code_text(code));
                co_return;
            }
        }
        co_await port::sleep_for(clients.ports.clock, kRetryPause);
    }
}

}  // namespace

// --- Producing

namespace {

/// A batch on its way: sent again after every failure until it is acknowledged.
struct Outgoing {
    RecordName first;
    std::uint32_t count = 0;
    Buffer bytes;
};

struct Producing {
    Producing(Clients& owner, ProducerPlan producer_plan)
        : clients(owner),
          plan(std::move(producer_plan)),
          number(owner.next_producer++),
          random(plan.seed),
          wire(owner.ports, owner.endpoint) {}

    [[nodiscard]] bool has_more() const {
        return plan.records > 0 ? next_record < plan.records : clients.is_producing;
    }

    Clients& clients;
    ProducerPlan plan;
    std::uint32_t number;
    Random random;
    Wire wire;
    std::int64_t producer_id = -1;
    std::int16_t producer_epoch = -1;
    std::uint64_t next_record = 0;
    bool has_acknowledged = false;
    std::deque<Outgoing> unacknowledged;
};

Task<void> get_producer_id(Producing& self) {
    while (true) {
        protocol::InitProducerIdRequest request;
        request.transactional_id = std::nullopt;
        const auto reply = co_await Wire::call(self.wire, 4, std::move(request));
        look_at(self.clients, self.wire);
        if (reply && reply->message.error_code == ErrorCode::kNone) {
            self.producer_id = reply->message.producer_id;
            self.producer_epoch = reply->message.producer_epoch;
            co_return;
        }
        if (reply && !is_passing(reply->message.error_code)) {
            self.clients.history.fail("a producer id was refused with " +
                                      code_text(reply->message.error_code));
        }
        co_await port::sleep_for(self.clients.ports.clock, kRetryPause);
    }
}

void make_next_batch(Producing& self) {
    Outgoing batch;
    batch.first = {self.number, self.next_record};
    batch.count = static_cast<std::uint32_t>(self.random.between(1, 12));
    const bool is_big = self.random.chance(1, 20);
    batch.bytes =
        make_batch({.first = batch.first,
                    .count = batch.count,
                    .payload_bytes = static_cast<std::size_t>(
                        self.random.between(kPayloadBytesMin, is_big ? 900 : 80)),
                    .timestamp = self.clients.ports.clock.wall_now(),
                    .producer_id = ProducerId(self.producer_id),
                    .producer_epoch = self.producer_epoch,
                    .base_sequence =
                        self.plan.is_idempotent ? static_cast<std::int32_t>(self.next_record) : -1,
                    .codec = self.plan.codec,
                    .key_count = self.plan.key_count,
                    .keys_collide = self.clients.canary == Canary::kKeysCollide});
    self.clients.history.attempt(self.plan.target.log, batch.first, batch.count,
                                 self.plan.is_idempotent);
    self.next_record += batch.count;
    self.unacknowledged.push_back(std::move(batch));
}

Task<bool> send_batch(Producing& self, Buffer bytes) {
    protocol::ProduceRequest request;
    request.acks = -1;
    request.timeout_ms = 5000;
    auto& data = request.topic_data.emplace_back();
    data.name = self.plan.target.topic;
    data.partition_data.push_back({.index = self.plan.target.partition, .records = bytes.view()});
    co_return co_await Wire::send(self.wire, 9, std::move(request));
}

/// Takes the answer to the oldest batch; false when it has to be sent again.
bool take_answer(Producing& self, const protocol::ProduceResponse& response, bool is_in_order) {
    const auto& answer = response.responses.at(0).partition_responses.at(0);
    const Outgoing& batch = self.unacknowledged.front();
    if (answer.error_code == ErrorCode::kNone) {
        self.clients.history.acknowledged(self.plan.target.log, batch.first, batch.count,
                                          answer.base_offset);
        self.unacknowledged.pop_front();
        self.has_acknowledged = true;
        return true;
    }
    // Behind a batch that failed the sequence has a gap.
    const bool is_gap = answer.error_code == ErrorCode::kOutOfOrderSequenceNumber && !is_in_order;
    if (!is_passing(answer.error_code) && !is_gap) {
        self.clients.history.fail("a batch in order was refused with " +
                                  code_text(answer.error_code) + ", record " +
                                  std::to_string(batch.first.number) + " of producer " +
                                  std::to_string(batch.first.producer));
    }
    if (!self.plan.is_idempotent) self.unacknowledged.pop_front();
    return false;
}

/// Sends all that is not acknowledged, in order, and takes the answers.
Task<bool> send_all(Producing& self) {
    if (!co_await Wire::open(self.wire)) co_return false;
    const std::size_t count = self.unacknowledged.size();
    for (std::size_t at = 0; at < count; ++at) {
        if (!co_await send_batch(self, self.unacknowledged[at].bytes)) co_return false;
    }
    bool is_well = true;
    for (std::size_t at = 0; at < count; ++at) {
        const auto reply = co_await Wire::receive<protocol::ProduceResponse>(self.wire, 9);
        look_at(self.clients, self.wire);
        if (!reply) co_return false;
        if (is_well || !self.plan.is_idempotent) {
            is_well = take_answer(self, reply->message, is_well) && is_well;
        } else if (reply->message.responses.at(0).partition_responses.at(0).error_code ==
                   ErrorCode::kNone) {
            self.clients.history.fail("a batch was acknowledged behind one that was refused");
        }
    }
    co_return is_well;
}

}  // namespace

Task<void> produce(Clients& clients, ProducerPlan plan) {
    Producing self(clients, std::move(plan));
    ++clients.busy_producers;
    if (self.plan.is_idempotent) co_await get_producer_id(self);
    while (true) {
        // A broker takes any first number of a producer that it does not know (as Kafka does), so a
        // second batch could come to stand before a first one that was refused.
        const std::size_t window = self.has_acknowledged ? 1 + self.random.below(5) : 1;
        while (self.has_more() && self.unacknowledged.size() < window) make_next_batch(self);
        if (self.unacknowledged.empty()) break;
        const bool is_well = co_await send_all(self);
        // A connection that broke leaves it open what was written.
        if (!is_well && !self.wire.is_open() && !self.plan.is_idempotent) {
            self.unacknowledged.clear();
        }
        const Duration pause = is_well ? microseconds(self.random.between(0, 20'000)) : kRetryPause;
        co_await port::sleep_for(clients.ports.clock, pause);
    }
    --clients.busy_producers;
}

// --- Reading

namespace {

protocol::FetchRequest fetch_request(const Target& target, std::int64_t offset,
                                     std::int32_t bytes_max) {
    protocol::FetchRequest request;
    request.max_wait_ms = 200;
    request.min_bytes = 1;
    request.max_bytes = bytes_max;
    auto& asked = request.topics.emplace_back();
    asked.topic = target.topic;
    protocol::FetchRequest::FetchPartition one;
    one.partition = target.partition;
    one.fetch_offset = offset;
    one.partition_max_bytes = bytes_max;
    asked.partitions.push_back(one);
    return request;
}

constexpr std::int64_t kLogStart = -2;
constexpr std::int64_t kLogEnd = -1;

/// The log's start or end; -1 when the node did not say.
Task<std::int64_t> list_offset(Clients& clients, Wire& wire, Target target,
                               std::int64_t timestamp) {
    protocol::ListOffsetsRequest request;
    request.replica_id = -1;
    auto& topic = request.topics.emplace_back();
    topic.name = target.topic;
    auto& partition = topic.partitions.emplace_back();
    partition.partition_index = target.partition;
    partition.timestamp = timestamp;
    const auto reply = co_await Wire::call(wire, 7, std::move(request));
    look_at(clients, wire);
    if (!reply) co_return -1;
    const auto& answer = reply->message.topics.at(0).partitions.at(0);
    if (answer.error_code == ErrorCode::kNone) {
        if (timestamp != kLogStart || clients.canary != Canary::kStartGoesBack) {
            co_return answer.offset;
        }
        co_return clients.first_starts.try_emplace(target.log, answer.offset).first->second;
    }
    if (!is_passing(answer.error_code)) {
        clients.history.fail("listing offsets was refused with " + code_text(answer.error_code));
    }
    co_return -1;
}

struct Cursor {
    std::int64_t offset = 0;
    bool is_out_of_range = false;
    bool is_well = false;
    bool uses_session = false;  ///< KIP-227
    std::int32_t session_id = 0;
    std::int32_t session_epoch = 0;
    std::int64_t told_offset = -1;  ///< what the session has of this partition

    void end_session() {
        session_id = 0;
        session_epoch = 0;
        told_offset = -1;
    }
};

/// The request as a session's next one: only what is new for it is named.
void use_session(const Cursor& cursor, protocol::FetchRequest& request) {
    if (!cursor.uses_session) return;
    request.session_id = cursor.session_id;
    request.session_epoch = cursor.session_epoch;
    if (cursor.session_epoch > 0 && cursor.told_offset == cursor.offset) request.topics.clear();
}

/// What the answer means for the session. False when there is nothing else in it.
bool follow_session(const protocol::FetchResponse& answer, Cursor& cursor) {
    if (!cursor.uses_session) return !answer.responses.empty();
    if (answer.error_code != ErrorCode::kNone || answer.session_id == 0) {
        cursor.end_session();  // evicted, or forgotten by a restart; or there was no room for it
    } else {
        cursor.session_id = answer.session_id;
        ++cursor.session_epoch;
        cursor.told_offset = cursor.offset;
        cursor.is_well = answer.responses.empty();
    }
    return !answer.responses.empty();
}

/// One fetch from the cursor's offset on, told to the history.
Task<void> fetch_once(Clients& clients, Wire& wire, Target target, Cursor& cursor,
                      std::int32_t bytes_max, History::Reading* reading) {
    cursor.is_well = false;
    protocol::FetchRequest request = fetch_request(target, cursor.offset, bytes_max);
    use_session(cursor, request);
    const auto reply = co_await Wire::call(wire, 12, std::move(request));
    look_at(clients, wire);
    if (!reply) {
        cursor.end_session();
        co_return;
    }
    if (!follow_session(reply->message, cursor)) co_return;
    const auto& data = reply->message.responses.at(0).partitions.at(0);
    if (data.error_code == ErrorCode::kNone) {
        const ByteView bytes = data.records.view();
        const std::int64_t next =
            note_batches(clients.history, target.log, bytes, cursor.offset, reading);
        if (next == cursor.offset && !bytes.empty()) {
            clients.history.fail("a fetch brought no whole batch at offset " +
                                 std::to_string(cursor.offset));
        }
        cursor.offset = next;
        cursor.is_well = true;
    } else if (data.error_code == ErrorCode::kCorruptMessage) {
        clients.history.refused_as_corrupt(target.log, cursor.offset);
        ++cursor.offset;
        cursor.is_well = true;
    } else if (data.error_code == ErrorCode::kOffsetOutOfRange) {
        cursor.is_out_of_range = true;
        cursor.is_well = true;
    } else if (!is_passing(data.error_code)) {
        clients.history.fail("a fetch was refused with " + code_text(data.error_code));
    }
}

}  // namespace

Task<void> consume(Clients& clients, Target target, std::uint64_t seed) {
    Wire wire(clients.ports, clients.endpoint);
    Random random(seed);
    Cursor cursor;
    cursor.uses_session = random.chance(1, 2);
    while (!clients.is_ending) {
        co_await fetch_once(clients, wire, target, cursor,
                            static_cast<std::int32_t>(1 + random.below(20'000)), nullptr);
        if (std::exchange(cursor.is_out_of_range, false)) {
            const std::int64_t start = co_await list_offset(clients, wire, target, kLogStart);
            if (start >= 0) cursor.offset = start;
        } else if (cursor.is_well && random.chance(1, 200)) {
            cursor.offset = static_cast<std::int64_t>(
                random.below(static_cast<std::uint64_t>(cursor.offset) + 1));
        }
        if (random.chance(1, 100)) wire.drop();
        const Duration pause = cursor.is_well ? milliseconds(random.between(0, 40)) : kRetryPause;
        co_await port::sleep_for(clients.ports.clock, pause);
    }
}

namespace {

/// Reads up to the end that the log had when the reading began. False when what was lost meanwhile
/// makes it void.
Task<bool> read_to_end(Clients& clients, Wire& wire, Target target, History::Reading& reading) {
    Cursor cursor{.offset = reading.log_start_offset, .uses_session = target.partition % 2 == 1};
    while (cursor.offset < reading.end_offset) {
        if (clients.history.is_void(target.log, reading)) co_return false;
        co_await fetch_once(clients, wire, target, cursor, 100'000, &reading);
        if (std::exchange(cursor.is_out_of_range, false)) {
            // Retention came by.
            const std::int64_t start = co_await list_offset(clients, wire, target, kLogStart);
            if (start < 0) continue;
            if (clients.history.is_void(target.log, reading)) co_return false;
            if (start <= cursor.offset) {
                clients.history.fail("an offset within the log is out of range");
                co_return false;
            }
            reading.log_start_offset = start;
            cursor.offset = start;
        }
        if (!cursor.is_well) co_await port::sleep_for(clients.ports.clock, kRetryPause);
    }
    co_return true;
}

Task<void> read_and_check(Clients& clients, Target target, bool is_among_writers) {
    Wire wire(clients.ports, clients.endpoint);
    History::Reading reading = clients.history.begin_reading(target.log);
    reading.is_among_writers = is_among_writers;
    while (reading.log_start_offset < 0 || reading.end_offset < 0) {
        reading.end_offset = co_await list_offset(clients, wire, target, kLogEnd);
        reading.log_start_offset = co_await list_offset(clients, wire, target, kLogStart);
        if (reading.log_start_offset < 0 || reading.end_offset < 0) {
            co_await port::sleep_for(clients.ports.clock, kRetryPause);
        }
    }
    if (!co_await read_to_end(clients, wire, target, reading)) co_return;
    std::erase_if(reading.records, [&](const auto& record) {
        return record.first < reading.log_start_offset || record.first >= reading.end_offset;
    });
    clients.history.check_reading(target.log, reading);
}

}  // namespace

Task<void> read_whole(Clients& clients, Target target) {
    co_await read_and_check(clients, std::move(target), false);
    --clients.readings_missing;
}

Task<void> audit(Clients& clients, Target target, std::uint64_t seed) {
    Random random(seed);
    while (clients.is_producing) {
        co_await port::sleep_for(clients.ports.clock, milliseconds(random.between(50, 800)));
        co_await read_and_check(clients, target, true);
    }
}

// --- Making and deleting

Task<void> churn(Clients& clients, std::string name, std::uint64_t seed) {
    Random random(seed);
    ++clients.busy_producers;
    for (int turn = 0; clients.is_producing; ++turn) {
        Target target{.topic = name, .partition = 0};
        target.log = clients.history.add_log(name + "#" + std::to_string(turn), {});
        TopicToMake topic{.name = name, .partitions = 1};
        topic.configs.emplace_back("internal.segment.bytes",
                                   std::to_string(random.between(16, 64) * 1024));
        co_await make_topic(clients, std::move(topic));
        co_await produce(clients, {.target = target,
                                   .is_idempotent = true,
                                   .seed = random.next(),
                                   .records = 1 + random.below(200)});
        ++clients.readings_missing;
        co_await read_whole(clients, target);
        co_await delete_topic(clients, name);
        co_await port::sleep_for(clients.ports.clock, milliseconds(random.between(0, 100)));
    }
    --clients.busy_producers;
}

}  // namespace dlog::simtest
