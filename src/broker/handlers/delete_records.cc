/// DeleteRecords: moves the start of partitions forward.
#include <optional>
#include <vector>

#include "broker/errors.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/owners.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/delete_records.h"

namespace dlog::broker {

namespace {

using protocol::DeleteRecordsRequest;
using protocol::DeleteRecordsResponse;
using protocol::ErrorCode;
using Part = AskedPartition<DeleteRecordsRequest::DeleteRecordsPartition,
                            DeleteRecordsResponse::DeleteRecordsPartitionResult>;

/// What the offset field means below 0: everything that is committed.
constexpr std::int64_t kHighWatermark = -1;

/// On the partition's core.
port::Task<void> delete_records(Core* owner, Part* part) {
    const auto partition =
        owner->shard.find(part->topic_id, PartitionId(part->asked->partition_index));
    if (partition == nullptr) {
        part->answer->error_code = owner->missing_error(part->topic_id);
        co_return;
    }
    if (!partition->config().deletes_old) {
        // Compaction alone decides what is kept of such a topic.
        part->answer->error_code = ErrorCode::kPolicyViolation;
        co_return;
    }
    std::optional<Offset> before;
    if (part->asked->offset != kHighWatermark) before = Offset{part->asked->offset};
    const auto start = co_await partition->delete_records(before);
    if (start) {
        part->answer->low_watermark = start->value;
    } else {
        part->answer->error_code = error_code_of(start.error());
    }
}

}  // namespace

port::Task<Response> handle_delete_records(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<DeleteRecordsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    DeleteRecordsResponse response;
    std::vector<Part> parts;
    NamedPartitions named;
    response.topics.resize(body->topics.size());
    for (std::size_t i = 0; i < body->topics.size(); ++i) {
        const auto& asked_topic = body->topics[i];
        response.topics[i].name = asked_topic.name;
        response.topics[i].partitions.resize(asked_topic.partitions.size());
        const TopicView* topic = core.view->find(asked_topic.name);
        for (std::size_t k = 0; k < asked_topic.partitions.size(); ++k) {
            const auto& asked = asked_topic.partitions[k];
            auto& answer = response.topics[i].partitions[k];
            answer.partition_index = asked.partition_index;
            answer.low_watermark = -1;
            if (topic == nullptr || !topic->has(asked.partition_index)) {
                answer.error_code = ErrorCode::kUnknownTopicOrPartition;
                continue;
            }
            if (topic->is_internal) {
                answer.error_code = ErrorCode::kInvalidTopicException;
                continue;
            }
            if (!named.add(asked_topic.name, asked.partition_index)) {
                answer.error_code = ErrorCode::kInvalidRequest;
                continue;
            }
            parts.push_back({.topic_id = topic->topic->id,
                             .owner = topic->owner(asked.partition_index),
                             .asked = &asked,
                             .answer = &answer});
        }
    }
    co_await visit_owners(&core, &parts, &delete_records);
    co_return respond(request, response);
}

}  // namespace dlog::broker
