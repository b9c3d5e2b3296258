/// Produce: checks each batch, appends it on the core that owns its partition, and answers when all
/// are safe.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "broker/affinity.h"
#include "broker/core.h"
#include "broker/errors.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/produce.h"
#include "record/batch.h"
#include "record/builder.h"
#include "record/validate.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::ProduceRequest;
using protocol::ProduceResponse;
using PartitionAnswer = ProduceResponse::PartitionProduceResponse;

constexpr std::int16_t kAcksAll = -1;
constexpr std::int16_t kAcksLeader = 1;
constexpr std::int16_t kAcksNone = 0;

/// One partition of the request on its way: what to append, and where its answer goes.
struct Part {
    TopicId topic_id;
    const TopicView* topic = nullptr;  // kept alive by Work::view
    std::int32_t partition = 0;
    std::uint32_t order = 0;  // in the request
    Buffer batch;
    PartitionAnswer* answer = nullptr;
    replication::PartitionPtr appended_to;
    replication::Admitted admitted;
};

/// A request while it is worked on; lives in the frame of its handler on the connection's core.
struct Work {
    ViewPtr view;
    std::int16_t acks = 0;
    bool may_write_internal = false;
    Instant deadline = kNever;  // of the answer
    std::vector<Part> parts;    // grouped by owner
    std::uint32_t cores_left = 0;
    port::Notifier core_done;
};

void refuse(PartitionAnswer& answer, ErrorCode code, std::string message = {}) {
    answer.error_code = code;
    answer.base_offset = -1;
    answer.log_append_time_ms = -1;
    if (!message.empty()) answer.error_message = std::move(message);
}

/// The times that message.timestamp.before.max.ms and after.max.ms allow.
bool has_allowed_timestamps(const record::CheckedBatch& batch, const metadata::TopicConfig& config,
                            Timestamp now) {
    if (config.message_timestamp_type == metadata::TimestampType::kLogAppendTime) return true;
    if (batch.max_timestamp == kNoTimestamp) return true;
    const bool is_too_old =
        config.message_timestamp_before_max_ms < now.ms &&
        batch.min_timestamp.ms < now.ms - config.message_timestamp_before_max_ms;
    const bool is_too_new = batch.max_timestamp.ms > now.ms &&
                            batch.max_timestamp.ms - now.ms > config.message_timestamp_after_max_ms;
    return !is_too_old && !is_too_new;
}

std::optional<codec::Compression> target_codec(metadata::CompressionType type) {
    switch (type) {
        case metadata::CompressionType::kProducer:
            return std::nullopt;
        case metadata::CompressionType::kUncompressed:
            return codec::Compression::kNone;
        case metadata::CompressionType::kGzip:
            return codec::Compression::kGzip;
        case metadata::CompressionType::kSnappy:
            return codec::Compression::kSnappy;
        case metadata::CompressionType::kLz4:
            return codec::Compression::kLz4;
        case metadata::CompressionType::kZstd:
            return codec::Compression::kZstd;
    }
    DLOG_UNREACHABLE();
}

std::optional<int> level_of(const metadata::TopicConfig& config, codec::Compression codec) {
    switch (codec) {
        case codec::Compression::kGzip:
            if (config.compression_gzip_level < 0) return std::nullopt;
            return config.compression_gzip_level;
        case codec::Compression::kLz4:
            return config.compression_lz4_level;
        case codec::Compression::kZstd:
            return config.compression_zstd_level;
        case codec::Compression::kNone:
        case codec::Compression::kSnappy:
            return std::nullopt;
    }
    DLOG_UNREACHABLE();
}

/// Brings the batch into the form in which this topic stores it.
record::Result<void> prepare(Core& owner, Part& part, const record::CheckedBatch& checked) {
    const metadata::TopicConfig& config = part.topic->config;
    const bool keeps_timestamps =
        config.message_timestamp_type == metadata::TimestampType::kCreateTime;
    if (keeps_timestamps && checked.max_timestamp != checked.header.max_timestamp) {
        record::set_max_timestamp(part.batch.mutable_view(), checked.max_timestamp);
    }
    const auto target = target_codec(config.compression_type);
    if (!target || *target == checked.header.compression()) return {};
    auto again =
        record::recompress(part.batch.view(), *target, level_of(config, *target), owner.scratch);
    if (!again) return std::unexpected(again.error());
    part.batch = *std::move(again);
    return {};
}

/// Checks one batch as Kafka's LogValidator does; the answer says why when it is refused.
bool check_batch(Core& owner, Part& part, Timestamp now) {
    const auto size = record::read_batch_size(part.batch.view());
    if (size && *size < part.batch.size()) {
        refuse(*part.answer, ErrorCode::kInvalidRecord,
               "A partition of a produce request has exactly one record batch.");
        return false;
    }
    const auto checked = record::validate_for_produce(part.batch.view(), part.topic->limits,
                                                      owner.scratch.decompressor);
    if (!checked) {
        refuse(*part.answer, error_code_of(checked.error()),
               std::string(record::error_text(checked.error())));
        return false;
    }
    if (checked->header.is_transactional()) {
        refuse(*part.answer, ErrorCode::kInvalidTxnState,
               "This node does not serve transactions yet.");
        return false;
    }
    if (!has_allowed_timestamps(*checked, part.topic->config, now)) {
        refuse(*part.answer, ErrorCode::kInvalidTimestamp,
               "A record's timestamp is outside message.timestamp.before.max.ms and "
               "message.timestamp.after.max.ms.");
        return false;
    }
    if (const auto prepared = prepare(owner, part, *checked); !prepared) {
        refuse(*part.answer, error_code_of(prepared.error()),
               std::string(record::error_text(prepared.error())));
        return false;
    }
    ++owner.metrics.produced_batches;
    owner.metrics.produced_records += static_cast<std::uint64_t>(checked->header.record_count);
    owner.metrics.produced_bytes += part.batch.size();
    return true;
}

/// On the owner's core; never waits.
void append(Core& owner, Part& part, std::int16_t acks, Timestamp now) {
    PartitionAnswer& answer = *part.answer;
    if (acks == kAcksAll) {
        const auto& replicas =
            part.topic->topic->partitions[static_cast<std::size_t>(part.partition)].replicas;
        if (replicas.size() < static_cast<std::size_t>(part.topic->config.min_insync_replicas)) {
            return refuse(answer, ErrorCode::kNotEnoughReplicas);
        }
    }
    replication::PartitionPtr partition =
        owner.shard.find(part.topic_id, PartitionId(part.partition));
    if (partition == nullptr) return refuse(answer, owner.missing_error(part.topic_id));
    if (!check_batch(owner, part, now)) {
        ++owner.metrics.produce_errors;
        return;
    }
    auto admitted = partition->append(std::move(part.batch), now);
    if (!admitted) {
        ++owner.metrics.produce_errors;
        return refuse(answer, error_code_of(admitted.error()));
    }
    answer.base_offset = admitted->base_offset.value;
    answer.log_append_time_ms = admitted->log_append_time.ms;
    answer.log_start_offset = admitted->log_start_offset.value;
    part.admitted = *admitted;
    part.appended_to = std::move(partition);
}

/// Waits on the owner's core until the appends of `parts` are safe.
port::Task<void> await_committed(std::span<Part> parts, Instant deadline) {
    for (Part& part : parts) {
        if (part.appended_to == nullptr) continue;
        const auto committed = co_await part.appended_to->committed(part.admitted, deadline);
        if (!committed) refuse(*part.answer, error_code_of(committed.error()));
        part.appended_to.reset();
    }
}

/// The parts of another core: goes there, appends, waits, comes back. It leaves for the other core
/// before anything else of this connection is read, so appends of one connection reach a partition
/// in their order.
port::Task<void> produce_elsewhere(Core* home, Core* owner, Work* work, std::span<Part> parts) {
    co_await port::hop(home->ports.spawn, owner->id());
    const Timestamp now = owner->ports.clock.wall_now();
    for (Part& part : parts) append(*owner, part, work->acks, now);
    co_await await_committed(parts, work->deadline);
    co_await port::hop(owner->ports.spawn, home->id());
    --work->cores_left;
    work->core_done.notify_all();
}

/// Finds the partition and takes its batch, or answers at once.
void add_part(Work& work, const TopicView* topic, bool is_by_id, Buffer& frame,
              const protocol::Records& records, PartitionAnswer& answer) {
    if (topic == nullptr || !topic->has(answer.index)) {
        const bool is_unknown_id = topic == nullptr && is_by_id;
        return refuse(answer, is_unknown_id ? ErrorCode::kUnknownTopicId
                                            : ErrorCode::kUnknownTopicOrPartition);
    }
    if (topic->is_internal && !work.may_write_internal) {
        return refuse(answer, ErrorCode::kInvalidTopicException,
                      "The topic is the brokers' own; clients may read it only.");
    }
    if (work.acks != kAcksAll && work.acks != kAcksLeader && work.acks != kAcksNone) {
        return refuse(answer, ErrorCode::kInvalidRequiredAcks);
    }
    if (records.size() == 0) {
        return refuse(answer, ErrorCode::kInvalidRecord,
                      "A partition of a produce request has exactly one record batch.");
    }
    Part part;
    part.topic_id = topic->topic->id;
    part.topic = topic;
    part.partition = answer.index;
    part.batch = frame.slice_of(records.view());
    part.answer = &answer;
    part.order = static_cast<std::uint32_t>(work.parts.size());
    work.parts.push_back(std::move(part));
}

void plan(Work& work, ProduceRequest& body, Request& request, ProduceResponse& response) {
    const bool is_by_id = request.version >= 13;
    // The answers are pointed at: their vectors have their final sizes before the first pointer.
    response.responses.resize(body.topic_data.size());
    for (std::size_t i = 0; i < body.topic_data.size(); ++i) {
        ProduceRequest::TopicProduceData& asked = body.topic_data[i];
        ProduceResponse::TopicProduceResponse& answers = response.responses[i];
        const TopicView* topic =
            is_by_id ? work.view->find(asked.topic_id) : work.view->find(asked.name);
        answers.partition_responses.resize(asked.partition_data.size());
        for (std::size_t k = 0; k < asked.partition_data.size(); ++k) {
            PartitionAnswer& answer = answers.partition_responses[k];
            answer.index = asked.partition_data[k].index;
            add_part(work, topic, is_by_id, request.frame.bytes, asked.partition_data[k].records,
                     answer);
        }
        answers.name = std::move(asked.name);
        answers.topic_id = asked.topic_id;
    }
    const auto owner_then_order = [](const Part& part) {
        return std::pair(part.topic->owner(part.partition), part.order);
    };
    if (work.parts.size() > 1) std::ranges::sort(work.parts, {}, owner_then_order);
}

/// Starts every core's share; returns this core's own.
std::span<Part> start_parts(Core& home, Work& work, Affinity& affinity) {
    const std::span<Part> all = work.parts;
    std::span<Part> own;
    for (std::size_t begin = 0; begin < all.size();) {
        const CoreId owner = all[begin].topic->owner(all[begin].partition);
        std::size_t end = begin + 1;
        while (end < all.size() && all[end].topic->owner(all[end].partition) == owner) ++end;
        const std::span<Part> share = all.subspan(begin, end - begin);
        begin = end;
        affinity.visited(owner, static_cast<std::uint32_t>(share.size()));
        if (owner == home.id()) {
            const Timestamp now = home.ports.clock.wall_now();
            for (Part& part : share) append(home, part, work.acks, now);
            own = share;
            continue;
        }
        ++work.cores_left;
        home.ports.spawn.spawn(produce_elsewhere(&home, &home.other(owner), &work, share));
    }
    return own;
}

/// Kafka closes the connection of a producer that wants no answers when something is refused.
Response answer_without_acks(const ProduceResponse& response) {
    for (const auto& topic : response.responses) {
        for (const PartitionAnswer& answer : topic.partition_responses) {
            if (answer.error_code == ErrorCode::kNone) continue;
            return broken_request("a produce request with acks=0 was refused: " +
                                  std::string(protocol::error_code_name(answer.error_code)) +
                                  " for " + topic.name + "-" + std::to_string(answer.index));
        }
    }
    return {};
}

}  // namespace

port::Task<void> handle_produce(Request request, ReplyTo reply) {
    Core& core = *request.core;
    auto body = decode_request<ProduceRequest>(request);
    if (!body) {
        reply.send(undecodable(request, body.error()));
        co_return;
    }
    Work work;
    work.view = core.view;
    work.acks = body->acks;
    // Kafka's name for whoever repairs internal topics.
    work.may_write_internal = request.client_id == "__admin_client";
    // As in Kafka the time is the one to await all replicas; acks=1 waits as long as the disk
    // takes.
    if (work.acks == kAcksAll) {
        work.deadline = core.ports.clock.now() + milliseconds(std::max(0, body->timeout_ms));
    }
    ProduceResponse response;
    plan(work, *body, request, response);
    const std::span<Part> own = start_parts(core, work, *request.affinity);
    // The batches hold what is left of the frame's block; the rest of it is free from here on.
    request.frame = {};
    co_await await_committed(own, work.deadline);
    while (work.cores_left > 0) co_await work.core_done.wait();
    reply.send(work.acks == kAcksNone ? answer_without_acks(response) : respond(request, response));
}

}  // namespace dlog::broker
