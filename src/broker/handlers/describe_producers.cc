/// DescribeProducers: the idempotent producers that partitions remember (KIP-664).
#include <vector>

#include "broker/handlers/handlers.h"
#include "broker/handlers/owners.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/describe_producers.h"

namespace dlog::broker {

namespace {

using protocol::DescribeProducersRequest;
using protocol::DescribeProducersResponse;
using protocol::ErrorCode;
using Part = AskedPartition<std::int32_t, DescribeProducersResponse::PartitionResponse>;

/// On the partition's core.
port::Task<void> describe(Core* owner, Part* part) {
    const auto partition = owner->shard.find(part->topic_id, PartitionId(*part->asked));
    if (partition == nullptr) {
        part->answer->error_code = owner->missing_error(part->topic_id);
        co_return;
    }
    for (const replication::ProducerStatus& producer : partition->producers()) {
        part->answer->active_producers.push_back({.producer_id = producer.id.value,
                                                  .producer_epoch = producer.epoch.value,
                                                  .last_sequence = producer.last_sequence,
                                                  .last_timestamp = producer.last_timestamp.ms,
                                                  .coordinator_epoch = -1,
                                                  .current_txn_start_offset = -1});
    }
}

}  // namespace

port::Task<Response> handle_describe_producers(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<DescribeProducersRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    DescribeProducersResponse response;
    std::vector<Part> parts;
    NamedPartitions named;
    response.topics.resize(body->topics.size());
    for (std::size_t i = 0; i < body->topics.size(); ++i) {
        const auto& asked_topic = body->topics[i];
        response.topics[i].name = asked_topic.name;
        response.topics[i].partitions.resize(asked_topic.partition_indexes.size());
        const TopicView* topic = core.view->find(asked_topic.name);
        for (std::size_t k = 0; k < asked_topic.partition_indexes.size(); ++k) {
            const std::int32_t& index = asked_topic.partition_indexes[k];
            auto& answer = response.topics[i].partitions[k];
            answer.partition_index = index;
            answer.error_message = std::nullopt;
            if (topic == nullptr || !topic->has(index)) {
                answer.error_code = ErrorCode::kUnknownTopicOrPartition;
                answer.error_message = "There is no such topic or partition.";
                continue;
            }
            if (!named.add(asked_topic.name, index)) {
                answer.error_code = ErrorCode::kInvalidRequest;
                answer.error_message = "The partition is named twice in the request.";
                continue;
            }
            parts.push_back({.topic_id = topic->topic->id,
                             .owner = topic->owner(index),
                             .asked = &index,
                             .answer = &answer});
        }
    }
    co_await visit_owners(&core, &parts, &describe);
    co_return respond(request, response);
}

}  // namespace dlog::broker
