/// CreateTopics, DeleteTopics and CreatePartitions: requests to the controller and back.
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "broker/controller.h"
#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "metadata/topic_config.h"
#include "protocol/messages/create_partitions.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/delete_topics.h"

namespace dlog::broker {

namespace {

using protocol::CreatePartitionsRequest;
using protocol::CreatePartitionsResponse;
using protocol::CreateTopicsRequest;
using protocol::CreateTopicsResponse;
using protocol::DeleteTopicsRequest;
using protocol::DeleteTopicsResponse;
using protocol::ErrorCode;

// Versions that know THROTTLING_QUOTA_EXCEEDED (KIP-599).
constexpr std::int16_t kFirstThrottledCreateTopics = 6;
constexpr std::int16_t kFirstThrottledDeleteTopics = 5;
constexpr std::int16_t kFirstThrottledCreatePartitions = 3;

metadata::Refusal over_quota() {
    return {ErrorCode::kThrottlingQuotaExceeded, "The throttling quota has been exceeded."};
}

/// Whether the client's quota lets it make this topic.
bool admit(const Request& request, const metadata::NewTopic& topic) {
    const Core& core = *request.core;
    if (core.view->find(topic.name) != nullptr) return true;  // Nothing will be made.
    std::int64_t partitions = topic.partition_count;
    if (!topic.assignments.empty()) partitions = std::ssize(topic.assignments);
    if (partitions < 0) partitions = core.config.num_partitions;
    return admit_mutations(request, static_cast<std::size_t>(partitions),
                           request.version >= kFirstThrottledCreateTopics);
}

bool admit(const Request& request, const metadata::TopicReference& topic) {
    const View& view = *request.core->view;
    const TopicView* const found = topic.name.empty() ? view.find(topic.id) : view.find(topic.name);
    if (found == nullptr) return true;
    return admit_mutations(request, static_cast<std::size_t>(found->partition_count()),
                           request.version >= kFirstThrottledDeleteTopics);
}

bool admit(const Request& request, const metadata::MorePartitions& more) {
    const TopicView* const found = request.core->view->find(more.name);
    if (found == nullptr || more.count <= found->partition_count()) return true;
    return admit_mutations(request, static_cast<std::size_t>(more.count - found->partition_count()),
                           request.version >= kFirstThrottledCreatePartitions);
}

std::vector<NodeId> node_ids(const std::vector<std::int32_t>& numbers) {
    std::vector<NodeId> ids;
    for (const std::int32_t number : numbers) ids.emplace_back(number);
    return ids;
}

metadata::NewTopic new_topic(CreateTopicsRequest::CreatableTopic& asked) {
    metadata::NewTopic topic;
    topic.name = std::move(asked.name);
    topic.partition_count = asked.num_partitions;
    topic.replication_factor = asked.replication_factor;
    for (const auto& one : asked.assignments) {
        topic.assignments.emplace_back(one.partition_index, node_ids(one.broker_ids));
    }
    for (auto& config : asked.configs) {
        topic.configs.emplace_back(std::move(config.name), std::move(config.value));
    }
    return topic;
}

std::vector<CreateTopicsResponse::CreatableTopicConfigs> described(
    const metadata::ConfigMap& configs, const metadata::BrokerConfigs& broker) {
    std::vector<CreateTopicsResponse::CreatableTopicConfigs> result;
    for (const metadata::TopicConfigDefinition& entry : metadata::topic_config_table()) {
        if (entry.is_hidden) continue;
        auto config = metadata::describe_topic_config(entry, configs, broker);
        result.push_back({.name = std::string(entry.definition.name),
                          .value = std::move(config.value),
                          .config_source = static_cast<std::int8_t>(config.source)});
    }
    return result;
}

CreateTopicsResponse::CreatableTopicResult creation_answer(
    std::string name, std::expected<metadata::CreatedTopic, metadata::Refusal> outcome,
    const metadata::BrokerConfigs& broker) {
    CreateTopicsResponse::CreatableTopicResult answer;
    answer.name = std::move(name);
    if (!outcome) {
        answer.error_code = outcome.error().code;
        answer.error_message = std::move(outcome.error().message);
        return answer;
    }
    answer.error_message = std::nullopt;
    answer.topic_id = outcome->id;
    answer.num_partitions = outcome->partition_count;
    answer.replication_factor = outcome->replication_factor;
    answer.configs = described(outcome->configs, broker);
    return answer;
}

}  // namespace

port::Task<Response> handle_create_topics(Request request) {
    Core& core = *request.core;
    auto body = decode_request<CreateTopicsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    metadata::CreateTopics creation{.validate_only = body->validate_only};
    metadata::CreateTopicsReply refused;
    for (auto& asked : body->topics) {
        metadata::NewTopic topic = new_topic(asked);
        if (body->validate_only || admit(request, topic)) {
            creation.topics.push_back(std::move(topic));
        } else {
            refused.emplace_back(std::move(topic.name), std::unexpected(over_quota()));
        }
    }
    auto reply = co_await create_topics(core, std::move(creation));
    std::ranges::move(refused, std::back_inserter(reply));
    CreateTopicsResponse response;
    for (auto& [name, outcome] : reply) {
        response.topics.push_back(
            creation_answer(std::move(name), std::move(outcome), core.view->broker()));
    }
    co_return respond(request, response);
}

port::Task<Response> handle_delete_topics(Request request) {
    Core& core = *request.core;
    auto body = decode_request<DeleteTopicsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    std::vector<metadata::TopicReference> asked;
    for (auto& name : body->topic_names) asked.push_back({.name = std::move(name)});
    for (auto& topic : body->topics) {
        asked.push_back({.name = std::move(topic.name).value_or(""), .id = topic.topic_id});
    }
    const metadata::Refusal disabled = {
        request.version < 3 ? ErrorCode::kInvalidRequest : ErrorCode::kTopicDeletionDisabled,
        "delete.topic.enable is false on this node."};
    metadata::DeleteTopics deletion;
    metadata::DeleteTopicsReply refused;
    for (metadata::TopicReference& topic : asked) {
        if (core.config.delete_topic_enable && admit(request, topic)) {
            deletion.topics.push_back(std::move(topic));
        } else {
            refused.push_back(
                {.name = std::move(topic.name),
                 .id = topic.id,
                 .refusal = core.config.delete_topic_enable ? over_quota() : disabled});
        }
    }
    metadata::DeleteTopicsReply reply;
    if (!deletion.topics.empty()) reply = co_await delete_topics(core, std::move(deletion));
    std::ranges::move(refused, std::back_inserter(reply));
    DeleteTopicsResponse response;
    for (metadata::DeletedTopic& deleted : reply) {
        auto& answer = response.responses.emplace_back();
        // A name that was not given is null where the version has null.
        if (!deleted.name.empty() || request.version < 6) answer.name = std::move(deleted.name);
        answer.topic_id = deleted.id;
        answer.error_code = deleted.refusal.code;
        if (deleted.refusal.code != ErrorCode::kNone) {
            answer.error_message = std::move(deleted.refusal.message);
        }
    }
    co_return respond(request, response);
}

port::Task<Response> handle_create_partitions(Request request) {
    Core& core = *request.core;
    auto body = decode_request<CreatePartitionsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    metadata::CreatePartitions creation{.validate_only = body->validate_only};
    metadata::CreatePartitionsReply refused;
    for (auto& asked : body->topics) {
        metadata::MorePartitions more{.name = std::move(asked.name), .count = asked.count};
        if (asked.assignments) {
            auto& assignments = more.assignments.emplace();
            for (const auto& one : *asked.assignments) {
                assignments.push_back(node_ids(one.broker_ids));
            }
        }
        if (body->validate_only || admit(request, more)) {
            creation.topics.push_back(std::move(more));
        } else {
            refused.emplace_back(std::move(more.name), over_quota());
        }
    }
    auto reply = co_await create_partitions(core, std::move(creation));
    std::ranges::move(refused, std::back_inserter(reply));
    CreatePartitionsResponse response;
    for (auto& [name, refusal] : reply) {
        auto& answer = response.results.emplace_back();
        answer.name = std::move(name);
        answer.error_code = refusal.code;
        if (refusal.code != ErrorCode::kNone) answer.error_message = std::move(refusal.message);
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
