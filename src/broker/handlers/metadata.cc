/// Metadata: nodes, topics and leaders; topics that are asked for and missing are made when the
/// settings say so.
#include <set>
#include <utility>
#include <vector>

#include "broker/controller.h"
#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "broker/operations.h"
#include "metadata/topic_name.h"
#include "protocol/messages/metadata.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::MetadataRequest;
using protocol::MetadataResponse;

MetadataResponse::MetadataResponseTopic describe(const View& view, const TopicView& topic,
                                                 bool with_operations) {
    const metadata::TopicState& state = *topic.topic;
    MetadataResponse::MetadataResponseTopic answer;
    answer.name = state.name;
    answer.topic_id = state.id;
    answer.is_internal = metadata::is_internal_topic(state.name);
    answer.topic_authorized_operations = with_operations ? kTopicOperations : kNoOperations;
    answer.partitions.resize(state.partitions.size());
    for (std::size_t i = 0; i < state.partitions.size(); ++i) {
        const metadata::PartitionState& partition = state.partitions[i];
        MetadataResponse::MetadataResponsePartition& out = answer.partitions[i];
        out.partition_index = static_cast<std::int32_t>(i);
        out.leader_id = partition.preferred_leader().value;
        out.leader_epoch = view.state().epoch_of(partition.preferred_leader()).value;
        for (const NodeId node : partition.replicas) out.replica_nodes.push_back(node.value);
        out.isr_nodes = out.replica_nodes;
    }
    return answer;
}

constexpr std::int16_t kFirstVersionWithNullName = 12;

MetadataResponse::MetadataResponseTopic unknown(const Request& request,
                                                const MetadataRequest::MetadataRequestTopic& asked,
                                                ErrorCode code) {
    MetadataResponse::MetadataResponseTopic answer;
    answer.error_code = code;
    answer.name = asked.name;
    if (!answer.name && request.version < kFirstVersionWithNullName) answer.name = "";
    answer.topic_id = asked.topic_id;
    return answer;
}

MetadataResponse cluster_answer(const Core& core, const View& view, const MetadataRequest& body) {
    MetadataResponse answer;
    for (const auto& [id, node] : view.state().nodes()) {
        answer.brokers.push_back({.node_id = id.value, .host = node.host, .port = node.port});
    }
    answer.cluster_id = core.shared.cluster_id;
    answer.controller_id = core.config.node_id.value;
    if (body.include_cluster_authorized_operations) {
        answer.cluster_authorized_operations = kClusterOperations;
    }
    return answer;
}

bool wants_all(const Request& request, const MetadataRequest& body) {
    return !body.topics || (request.version == 0 && body.topics->empty());
}

/// Makes the topics that are asked for by name and not there. Their refusals, by name.
port::Task<std::map<std::string, ErrorCode>> create_missing(Core& core,
                                                            std::vector<std::string> names) {
    metadata::CreateTopics creation;
    for (std::string& name : names) creation.topics.push_back({.name = std::move(name)});
    std::map<std::string, ErrorCode> refusals;
    const auto reply = co_await create_topics(core, std::move(creation));
    for (const auto& [name, outcome] : reply) {
        if (outcome || outcome.error().code == ErrorCode::kTopicAlreadyExists) continue;
        refusals.emplace(name, outcome.error().code);
    }
    co_return refusals;
}

std::vector<std::string> missing_names(const Core& core, const MetadataRequest& body) {
    std::set<std::string> names;
    if (!core.config.auto_create_topics || !body.allow_auto_topic_creation) return {};
    for (const auto& asked : *body.topics) {
        if (!asked.topic_id.is_zero() || !asked.name || core.view->find(*asked.name) != nullptr) {
            continue;
        }
        if (!metadata::is_internal_topic(*asked.name)) names.insert(*asked.name);
    }
    return {names.begin(), names.end()};
}

}  // namespace

port::Task<Response> handle_metadata(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<MetadataRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    const bool with_operations = body->include_topic_authorized_operations;
    if (wants_all(request, *body)) {
        const ViewPtr view = core.view;
        MetadataResponse answer = cluster_answer(core, *view, *body);
        for (const auto& [name, topic] : view->state().topics()) {
            answer.topics.push_back(describe(*view, *view->find(name), with_operations));
        }
        co_return respond(request, answer);
    }
    std::map<std::string, ErrorCode> refusals;
    std::vector<std::string> missing = missing_names(core, *body);
    if (!missing.empty()) refusals = co_await create_missing(core, std::move(missing));
    const ViewPtr view = core.view;
    MetadataResponse answer = cluster_answer(core, *view, *body);
    for (const auto& asked : *body->topics) {
        const bool is_by_id = !asked.topic_id.is_zero();
        if (!is_by_id && !asked.name) {
            answer.topics.push_back(unknown(request, asked, ErrorCode::kInvalidRequest));
            continue;
        }
        const TopicView* topic = is_by_id ? view->find(asked.topic_id) : view->find(*asked.name);
        if (topic != nullptr) {
            answer.topics.push_back(describe(*view, *topic, with_operations));
            continue;
        }
        ErrorCode code = ErrorCode::kUnknownTopicId;
        if (!is_by_id) {
            const auto refusal = refusals.find(*asked.name);
            code = refusal != refusals.end()                 ? refusal->second
                   : metadata::check_topic_name(*asked.name) ? ErrorCode::kUnknownTopicOrPartition
                                                             : ErrorCode::kInvalidTopicException;
        }
        answer.topics.push_back(unknown(request, asked, code));
    }
    co_return respond(request, answer);
}

}  // namespace dlog::broker
