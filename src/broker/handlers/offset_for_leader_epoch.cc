/// OffsetForLeaderEpoch: where an epoch of the leader ended (KIP-320).
#include <algorithm>
#include <utility>
#include <vector>

#include "broker/core.h"
#include "broker/errors.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/offset_for_leader_epoch.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::OffsetForLeaderEpochRequest;
using protocol::OffsetForLeaderEpochResponse;
using PartitionAnswer = OffsetForLeaderEpochResponse::EpochEndOffset;

struct Part {
    TopicId topic_id;
    CoreId owner;
    LeaderEpoch current_epoch;
    LeaderEpoch asked_epoch;
    PartitionAnswer* answer = nullptr;
};

/// On the partition's core.
void find_end(Core& owner, Part& part) {
    PartitionAnswer& answer = *part.answer;
    const auto partition = owner.shard.find(part.topic_id, PartitionId(answer.partition));
    if (partition == nullptr) {
        answer.error_code = owner.missing_error(part.topic_id);
        return;
    }
    const LeaderEpoch epoch = partition->leader_epoch();
    if (part.current_epoch.value >= 0 && part.current_epoch != epoch) {
        answer.error_code = part.current_epoch < epoch ? ErrorCode::kFencedLeaderEpoch
                                                       : ErrorCode::kUnknownLeaderEpoch;
        return;
    }
    const auto end = partition->end_of_epoch(part.asked_epoch);
    if (!end) {
        answer.error_code = error_code_of(end.error());
        return;
    }
    answer.leader_epoch = end->epoch.value;
    answer.end_offset = end->end_offset.value;
}

}  // namespace

port::Task<Response> handle_offset_for_leader_epoch(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<OffsetForLeaderEpochRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    OffsetForLeaderEpochResponse response;
    std::vector<Part> parts;
    response.topics.resize(body->topics.size());
    for (std::size_t i = 0; i < body->topics.size(); ++i) {
        const auto& asked_topic = body->topics[i];
        response.topics[i].topic = asked_topic.topic;
        response.topics[i].partitions.resize(asked_topic.partitions.size());
        const TopicView* topic = core.view->find(asked_topic.topic);
        for (std::size_t k = 0; k < asked_topic.partitions.size(); ++k) {
            const auto& asked = asked_topic.partitions[k];
            PartitionAnswer& answer = response.topics[i].partitions[k];
            answer.partition = asked.partition;
            answer.leader_epoch = -1;
            if (topic == nullptr || !topic->has(asked.partition)) {
                answer.error_code = ErrorCode::kUnknownTopicOrPartition;
                continue;
            }
            parts.push_back({.topic_id = topic->topic->id,
                             .owner = topic->owner(asked.partition),
                             .current_epoch = LeaderEpoch(asked.current_leader_epoch),
                             .asked_epoch = LeaderEpoch(asked.leader_epoch),
                             .answer = &answer});
        }
    }
    std::ranges::sort(parts, {}, &Part::owner);
    Core* here = &core;
    for (Part& part : parts) {
        Core* const owner = &core.other(part.owner);
        co_await port::hop(here->ports.spawn, part.owner);
        here = owner;
        find_end(*here, part);
    }
    co_await port::hop(here->ports.spawn, core.id());
    co_return respond(request, response);
}

}  // namespace dlog::broker
