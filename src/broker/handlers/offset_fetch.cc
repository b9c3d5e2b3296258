/// OffsetFetch: what groups have committed; several groups at a time from version 8 on (KIP-709).
#include <utility>
#include <vector>

#include "broker/core.h"
#include "broker/groups.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/offset_fetch.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::OffsetFetchRequest;
using protocol::OffsetFetchResponse;
using GroupRequest = OffsetFetchRequest::OffsetFetchRequestGroup;
using GroupResponse = OffsetFetchResponse::OffsetFetchResponseGroup;

constexpr std::int16_t kFirstVersionWithGroups = 8;
constexpr std::int16_t kFirstVersionWithIds = 10;
constexpr std::int16_t kFirstVersionWithError = 2;

GroupResponse refused(const GroupRequest& asked, ErrorCode code) {
    GroupResponse answer;
    answer.group_id = asked.group_id;
    answer.error_code = code;
    return answer;
}

/// The topics that are asked for by ids which no topic has: they are taken out of `asked` and
/// answered here.
std::vector<OffsetFetchResponse::OffsetFetchResponseTopics> take_unknown(const View& view,
                                                                         GroupRequest& asked) {
    std::vector<OffsetFetchResponse::OffsetFetchResponseTopics> answers;
    if (!asked.topics) return answers;
    std::erase_if(*asked.topics, [&](auto& topic) {
        const TopicView* known = view.find(topic.topic_id);
        if (known != nullptr) {
            topic.name = known->topic->name;
            return false;
        }
        auto& answer = answers.emplace_back();
        answer.topic_id = topic.topic_id;
        for (const std::int32_t partition : topic.partition_indexes) {
            answer.partitions.push_back({.partition_index = partition,
                                         .committed_offset = -1,
                                         .metadata = "",
                                         .error_code = ErrorCode::kUnknownTopicId});
        }
        return true;
    });
    return answers;
}

/// Gives the topics their ids; those that are gone have none and are left out.
void fill_ids(const View& view, GroupResponse& answer) {
    std::erase_if(answer.topics, [&](auto& topic) {
        const TopicView* known = view.find(topic.name);
        if (known != nullptr) topic.topic_id = known->topic->id;
        return known == nullptr;
    });
}

port::Task<GroupResponse> fetch_group(Core& core, GroupRequest asked, bool is_by_id) {
    std::vector<OffsetFetchResponse::OffsetFetchResponseTopics> unknown;
    if (is_by_id) unknown = take_unknown(*core.view, asked);
    GroupAnswer reply =
        co_await ask_group(core, asked.group_id, coordination::FetchOffsets{.request = asked});
    if (!reply) co_return refused(asked, reply.error());
    auto answer = std::get<GroupResponse>(std::move(reply->message));
    if (is_by_id && answer.error_code == ErrorCode::kNone) {
        fill_ids(*core.view, answer);
        for (auto& topic : unknown) answer.topics.push_back(std::move(topic));
    }
    co_return answer;
}

/// The only group of a request before version 8.
GroupRequest only_group(OffsetFetchRequest& body) {
    GroupRequest group;
    group.group_id = std::move(body.group_id);
    group.topics.reset();
    if (!body.topics) return group;
    group.topics.emplace();
    for (OffsetFetchRequest::OffsetFetchRequestTopic& topic : *body.topics) {
        group.topics->push_back({.name = std::move(topic.name),
                                 .partition_indexes = std::move(topic.partition_indexes)});
    }
    return group;
}

/// Version 1 has no place for an error but at each partition.
void spread_error(const GroupRequest& asked, GroupResponse& answer) {
    if (answer.error_code == ErrorCode::kNone || !asked.topics) return;
    answer.topics.clear();
    for (const auto& topic : *asked.topics) {
        auto& out = answer.topics.emplace_back();
        out.name = topic.name;
        for (const std::int32_t partition : topic.partition_indexes) {
            out.partitions.push_back({.partition_index = partition,
                                      .committed_offset = -1,
                                      .metadata = "",
                                      .error_code = answer.error_code});
        }
    }
}

void move_into(OffsetFetchResponse& response, GroupResponse answer) {
    response.error_code = answer.error_code;
    for (auto& topic : answer.topics) {
        auto& out = response.topics.emplace_back();
        out.name = std::move(topic.name);
        for (auto& partition : topic.partitions) {
            out.partitions.push_back({.partition_index = partition.partition_index,
                                      .committed_offset = partition.committed_offset,
                                      .committed_leader_epoch = partition.committed_leader_epoch,
                                      .metadata = std::move(partition.metadata),
                                      .error_code = partition.error_code});
        }
    }
}

}  // namespace

port::Task<Response> handle_offset_fetch(Request request) {
    Core& core = *request.core;
    auto body = decode_request<OffsetFetchRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    OffsetFetchResponse response;
    if (request.version < kFirstVersionWithGroups) {
        const GroupRequest asked = only_group(*body);
        GroupResponse answer = co_await fetch_group(core, asked, false);
        if (request.version < kFirstVersionWithError) spread_error(asked, answer);
        move_into(response, std::move(answer));
        co_return respond(request, response);
    }
    const bool is_by_id = request.version >= kFirstVersionWithIds;
    for (GroupRequest& asked : body->groups) {
        response.groups.push_back(co_await fetch_group(core, std::move(asked), is_by_id));
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
