/// ListOffsets: the first, the last, the newest, or the one for a time.
#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "broker/core.h"
#include "broker/errors.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/list_offsets.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::ListOffsetsRequest;
using protocol::ListOffsetsResponse;
using PartitionAnswer = ListOffsetsResponse::ListOffsetsPartitionResponse;

// What the timestamp field means below 0.
constexpr std::int64_t kLatest = -1;
constexpr std::int64_t kEarliest = -2;
constexpr std::int64_t kMaxTimestamp = -3;           // KIP-734, version 7
constexpr std::int64_t kEarliestLocal = -4;          // KIP-405, version 8
constexpr std::int64_t kLatestTiered = -5;           // KIP-1005, version 9
constexpr std::int64_t kEarliestPendingUpload = -6;  // KIP-1023, version 11

constexpr std::int16_t kFirstWithLeaderEpoch = 4;  // KIP-320

std::int16_t first_version_of(std::int64_t timestamp) {
    switch (timestamp) {
        case kMaxTimestamp:
            return 7;
        case kEarliestLocal:
            return 8;
        case kLatestTiered:
            return 9;
        case kEarliestPendingUpload:
            return 11;
        default:
            return timestamp < kEarliest ? INT16_MAX : std::int16_t{0};
    }
}

struct Part {
    TopicId topic_id;
    CoreId owner;
    std::int64_t timestamp = 0;
    std::int32_t current_leader_epoch = -1;
    PartitionAnswer* answer = nullptr;
};

/// On the partition's core.
port::Task<void> find_offset(Core& owner, Part& part) {
    PartitionAnswer& answer = *part.answer;
    const auto partition = owner.shard.find(part.topic_id, PartitionId(answer.partition_index));
    if (partition == nullptr) {
        answer.error_code = owner.missing_error(part.topic_id);
        co_return;
    }
    const LeaderEpoch epoch = partition->leader_epoch();
    if (part.current_leader_epoch >= 0 && LeaderEpoch(part.current_leader_epoch) != epoch) {
        answer.error_code = LeaderEpoch(part.current_leader_epoch) < epoch
                                ? ErrorCode::kFencedLeaderEpoch
                                : ErrorCode::kUnknownLeaderEpoch;
        co_return;
    }
    replication::Result<replication::TimestampOffset> found;
    switch (part.timestamp) {
        case kLatest:
            found->offset = partition->high_watermark();
            found->leader_epoch = epoch;
            break;
        case kEarliest:
        case kEarliestLocal:
            found->offset = partition->log_start_offset();
            found->leader_epoch = partition->epoch_of(found->offset);
            break;
        case kLatestTiered:
        case kEarliestPendingUpload:
            break;  // Nothing is tiered here: no such offset.
        case kMaxTimestamp:
            found = co_await partition->offset_of_max_timestamp();
            break;
        default:
            found = co_await partition->offset_for_timestamp(Timestamp{part.timestamp});
            break;
    }
    if (!found) {
        answer.error_code = error_code_of(found.error());
        co_return;
    }
    answer.offset = found->offset.value;
    answer.timestamp = found->timestamp.ms;
    answer.leader_epoch = found->leader_epoch.value;
}

std::vector<Part> plan(const View& view, const Request& request, const ListOffsetsRequest& body,
                       ListOffsetsResponse& response) {
    std::vector<Part> parts;
    std::map<std::pair<std::string_view, std::int32_t>, int> times_named;
    for (const auto& topic : body.topics) {
        for (const auto& asked : topic.partitions) {
            ++times_named[{topic.name, asked.partition_index}];
        }
    }
    response.topics.resize(body.topics.size());
    for (std::size_t i = 0; i < body.topics.size(); ++i) {
        const auto& asked_topic = body.topics[i];
        response.topics[i].name = asked_topic.name;
        response.topics[i].partitions.resize(asked_topic.partitions.size());
        const TopicView* topic = view.find(asked_topic.name);
        for (std::size_t k = 0; k < asked_topic.partitions.size(); ++k) {
            const auto& asked = asked_topic.partitions[k];
            PartitionAnswer& answer = response.topics[i].partitions[k];
            answer.partition_index = asked.partition_index;
            if (times_named[{asked_topic.name, asked.partition_index}] > 1) {
                answer.error_code = ErrorCode::kInvalidRequest;
            } else if (topic == nullptr || !topic->has(asked.partition_index)) {
                answer.error_code = ErrorCode::kUnknownTopicOrPartition;
            } else if (request.version < first_version_of(asked.timestamp)) {
                answer.error_code = ErrorCode::kUnsupportedVersion;
            } else {
                parts.push_back({.topic_id = topic->topic->id,
                                 .owner = topic->owner(asked.partition_index),
                                 .timestamp = asked.timestamp,
                                 .current_leader_epoch = asked.current_leader_epoch,
                                 .answer = &answer});
            }
        }
    }
    std::ranges::sort(parts, {}, &Part::owner);
    return parts;
}

}  // namespace

port::Task<Response> handle_list_offsets(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<ListOffsetsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    ListOffsetsResponse response;
    std::vector<Part> parts = plan(*core.view, request, *body, response);
    Core* here = &core;
    for (Part& part : parts) {
        Core* const owner = &core.other(part.owner);
        co_await port::hop(here->ports.spawn, part.owner);
        here = owner;
        co_await find_offset(*here, part);
    }
    co_await port::hop(here->ports.spawn, core.id());
    if (request.version < kFirstWithLeaderEpoch) {
        for (auto& topic : response.topics) {
            for (PartitionAnswer& answer : topic.partitions) answer.leader_epoch = -1;
        }
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
