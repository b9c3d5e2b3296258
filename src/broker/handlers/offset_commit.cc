/// OffsetCommit: what names a topic that is not there is refused here, the rest is the group's.
#include <utility>
#include <vector>

#include "base/assert.h"
#include "broker/core.h"
#include "broker/groups.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/offset_commit.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::OffsetCommitRequest;
using protocol::OffsetCommitResponse;

constexpr std::int16_t kFirstVersionWithIds = 10;

/// A request with the topics and partitions that exist, and every answer that is settled already.
struct Sorted {
    OffsetCommitRequest known;
    OffsetCommitResponse response;
};

Sorted sort_out(const View& view, const OffsetCommitRequest& body, bool is_by_id) {
    Sorted sorted;
    sorted.known.group_id = body.group_id;
    sorted.known.generation_id_or_member_epoch = body.generation_id_or_member_epoch;
    sorted.known.member_id = body.member_id;
    sorted.known.group_instance_id = body.group_instance_id;
    sorted.known.retention_time_ms = body.retention_time_ms;
    for (const OffsetCommitRequest::OffsetCommitRequestTopic& asked : body.topics) {
        const TopicView* topic = is_by_id ? view.find(asked.topic_id) : view.find(asked.name);
        OffsetCommitResponse::OffsetCommitResponseTopic& answer =
            sorted.response.topics.emplace_back();
        answer.name = asked.name;
        answer.topic_id = asked.topic_id;
        const ErrorCode unknown = is_by_id && topic == nullptr
                                      ? ErrorCode::kUnknownTopicId
                                      : ErrorCode::kUnknownTopicOrPartition;
        OffsetCommitRequest::OffsetCommitRequestTopic known;
        for (const auto& partition : asked.partitions) {
            const bool is_known = topic != nullptr && topic->has(partition.partition_index);
            answer.partitions.push_back({.partition_index = partition.partition_index,
                                         .error_code = is_known ? ErrorCode::kNone : unknown});
            if (is_known) known.partitions.push_back(partition);
        }
        if (known.partitions.empty()) continue;
        known.name = topic->topic->name;
        known.topic_id = topic->topic->id;
        sorted.known.topics.push_back(std::move(known));
    }
    return sorted;
}

/// Gives the answers that are still open, in their order, the group's.
void merge(OffsetCommitResponse& response, const OffsetCommitResponse& from_group) {
    std::vector<ErrorCode> codes;
    for (const auto& topic : from_group.topics) {
        for (const auto& partition : topic.partitions) codes.push_back(partition.error_code);
    }
    std::size_t next = 0;
    for (auto& topic : response.topics) {
        for (auto& partition : topic.partitions) {
            if (partition.error_code != ErrorCode::kNone) continue;
            DLOG_ASSERT(next < codes.size(), next, codes.size());
            partition.error_code = codes[next++];
        }
    }
    DLOG_ASSERT(next == codes.size(), next, codes.size());
}

void refuse(OffsetCommitResponse& response, ErrorCode code) {
    for (auto& topic : response.topics) {
        for (auto& partition : topic.partitions) {
            if (partition.error_code == ErrorCode::kNone) partition.error_code = code;
        }
    }
}

}  // namespace

port::Task<Response> handle_offset_commit(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<OffsetCommitRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    Sorted sorted = sort_out(*core.view, *body, request.version >= kFirstVersionWithIds);
    // A request without topics asks whether the member is one: the group answers that too.
    if (!sorted.known.topics.empty() || body->topics.empty()) {
        const GroupAnswer reply = co_await ask_own_group(
            request, body->group_id,
            coordination::Commit{.request = sorted.known, .version = request.version});
        if (reply) {
            merge(sorted.response, std::get<OffsetCommitResponse>(reply->message));
        } else {
            refuse(sorted.response, reply.error());
        }
    }
    co_return respond(request, sorted.response);
}

}  // namespace dlog::broker
