/// DescribeTopicPartitions: topics in order of name, page by page (KIP-966).
#include <algorithm>
#include <set>
#include <string>

#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "broker/operations.h"
#include "metadata/topic_name.h"
#include "protocol/messages/describe_topic_partitions.h"

namespace dlog::broker {

namespace {

using protocol::DescribeTopicPartitionsRequest;
using protocol::DescribeTopicPartitionsResponse;
using protocol::ErrorCode;
using TopicAnswer = DescribeTopicPartitionsResponse::DescribeTopicPartitionsResponseTopic;

/// Kafka's max.request.partition.size.limit.
constexpr std::int32_t kPartitionsMax = 2000;

/// Adds the topic's partitions from `first` on, at most `limit`; returns the first one left out.
std::int32_t add_partitions(TopicAnswer& answer, const View& view, const TopicView& topic,
                            std::int32_t first, std::int32_t limit) {
    const metadata::TopicState& state = *topic.topic;
    const std::int32_t end = std::min(topic.partition_count(), first + limit);
    for (std::int32_t i = first; i < end; ++i) {
        const metadata::PartitionState& partition = state.partitions[static_cast<std::size_t>(i)];
        auto& out = answer.partitions.emplace_back();
        out.partition_index = i;
        out.leader_id = partition.preferred_leader().value;
        out.leader_epoch = view.state().epoch_of(partition.preferred_leader()).value;
        for (const NodeId node : partition.replicas) out.replica_nodes.push_back(node.value);
        out.isr_nodes = out.replica_nodes;
        out.eligible_leader_replicas.emplace();
        out.last_known_elr.emplace();
    }
    return end;
}

std::set<std::string, std::less<>> names_from(const View& view,
                                              const DescribeTopicPartitionsRequest& body) {
    std::set<std::string, std::less<>> names;
    for (const auto& topic : body.topics) names.insert(topic.name);
    if (body.topics.empty()) {
        for (const auto& [name, topic] : view.state().topics()) names.insert(name);
    }
    if (body.cursor) names.erase(names.begin(), names.lower_bound(body.cursor->topic_name));
    return names;
}

}  // namespace

port::Task<Response> handle_describe_topic_partitions(Request request) {
    const Core& core = *request.core;
    const auto body = decode_request<DescribeTopicPartitionsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    DescribeTopicPartitionsResponse response;
    const ViewPtr view = core.view;
    std::int32_t left = std::clamp(body->response_partition_limit, 1, kPartitionsMax);
    for (const std::string& name : names_from(*view, *body)) {
        if (left == 0) {
            response.next_cursor.emplace();
            response.next_cursor->topic_name = name;
            break;
        }
        TopicAnswer& answer = response.topics.emplace_back();
        answer.name = name;
        const TopicView* topic = view->find(name);
        if (topic == nullptr) {
            answer.error_code = metadata::check_topic_name(name)
                                    ? ErrorCode::kUnknownTopicOrPartition
                                    : ErrorCode::kInvalidTopicException;
            continue;
        }
        answer.topic_id = topic->topic->id;
        answer.is_internal = metadata::is_internal_topic(name);
        answer.topic_authorized_operations = kTopicOperations;
        const bool is_continued = body->cursor && body->cursor->topic_name == name;
        const std::int32_t first =
            is_continued ? std::clamp(body->cursor->partition_index, 0, topic->partition_count())
                         : 0;
        const std::int32_t end = add_partitions(answer, *view, *topic, first, left);
        left -= end - first;
        if (end < topic->partition_count()) {
            response.next_cursor.emplace();
            response.next_cursor->topic_name = name;
            response.next_cursor->partition_index = end;
            break;
        }
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
