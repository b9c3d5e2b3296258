/// OffsetCommit, OffsetFetch, OffsetDelete, and the end of offsets by time and with their topics.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/coordinator_state.h"

namespace dlog::coordination {

namespace {

using protocol::ErrorCode;
using protocol::OffsetFetchResponse;

/// From this version of OffsetCommit on an unknown group is called that (KIP-848).
constexpr std::int16_t kFirstVersionWithGroupIdNotFound = 9;
/// A round of expiry is done in steps that look at about so many offsets and groups.
constexpr std::size_t kExpiredInOneStep = 2'000;

Timestamp expiry_of(Timestamp now, std::int64_t retention_ms) {
    if (retention_ms < 0) return kNoTimestamp;
    const std::int64_t room = INT64_MAX - now.ms;
    return Timestamp{now.ms + std::min(retention_ms, room)};
}

OffsetFetchResponse::OffsetFetchResponsePartitions fetched(std::int32_t partition,
                                                           const CommittedOffset* offset) {
    OffsetFetchResponse::OffsetFetchResponsePartitions result;
    result.partition_index = partition;
    result.committed_offset = offset == nullptr ? -1 : offset->offset;
    result.committed_leader_epoch = offset == nullptr ? -1 : offset->leader_epoch;
    result.metadata = offset == nullptr ? "" : offset->metadata;
    return result;
}

/// Whether what it writes would not even fit into a record: nobody has so many partitions.
bool is_too_large(const protocol::OffsetCommitRequest& request, const GroupSettings& settings) {
    constexpr std::size_t kFieldBytes = 64;
    std::size_t bytes = 0;
    for (const auto& topic : request.topics) {
        bytes +=
            topic.partitions.size() * (request.group_id.size() + topic.name.size() + kFieldBytes);
    }
    return !settings.fits_record(bytes);
}

}  // namespace

ErrorCode Coordinator::State::admit_commit(Step& step, const Commit& commit) {
    const auto& request = commit.request;
    if (ClassicGroup* const group = classic.find(request.group_id)) {
        return classic.admit_commit(step, *group, request);
    }
    if (ConsumerGroup* const group = consumer.find(request.group_id)) {
        return ConsumerGroups::check_commit(*group, request, commit.version);
    }
    if (request.generation_id_or_member_epoch >= 0) {
        return commit.version >= kFirstVersionWithGroupIdNotFound ? ErrorCode::kGroupIdNotFound
                                                                  : ErrorCode::kIllegalGeneration;
    }
    // A consumer that assigns partitions itself, or an operator.
    classic.create(request.group_id);
    return ErrorCode::kNone;
}

void Coordinator::State::handle(Step& step, const Commit& commit) {
    const auto& request = commit.request;
    const ErrorCode error = is_too_large(request, step.settings)
                                ? ErrorCode::kInvalidCommitOffsetSize
                                : admit_commit(step, commit);
    ConsumerGroup* const consumer_group = consumer.find(request.group_id);
    const auto metadata_bytes_max =
        static_cast<std::size_t>(std::max(step.settings.metadata_bytes_max, 0));
    protocol::OffsetCommitResponse response;
    response.topics.reserve(request.topics.size());
    for (const auto& topic : request.topics) {
        auto& out = response.topics.emplace_back();
        out.name = topic.name;
        out.topic_id = topic.topic_id;
        TopicId topic_id = topic.topic_id;
        Topics::Topic known;
        if (step.now.topics.find(topic.name, known)) topic_id = known.id;
        out.partitions.reserve(topic.partitions.size());
        for (const auto& partition : topic.partitions) {
            auto& outcome = out.partitions.emplace_back();
            outcome.partition_index = partition.partition_index;
            outcome.error_code = error;
            if (error == ErrorCode::kNone && consumer_group != nullptr) {
                outcome.error_code = ConsumerGroups::check_commit(
                    *consumer_group, request, topic_id, partition.partition_index);
            }
            if (outcome.error_code != ErrorCode::kNone) continue;
            CommittedOffset offset{
                .offset = partition.committed_offset,
                .leader_epoch = partition.committed_leader_epoch,
                .metadata = partition.committed_metadata.value_or(""),
                .committed_at = step.now.wall,
                .expires_at = expiry_of(step.now.wall, request.retention_time_ms),
                .topic_id = topic.topic_id};
            if (offset.metadata.size() > metadata_bytes_max) {
                outcome.error_code = ErrorCode::kOffsetMetadataTooLarge;
                continue;
            }
            step.effects.records.push_back(
                offset_record(request.group_id, topic.name, partition.partition_index, offset));
            offsets.put(request.group_id, topic.name, partition.partition_index, std::move(offset));
        }
    }
    step.reply(commit.ticket, std::move(response));
}

void Coordinator::State::handle(Step& step, const FetchOffsets& fetch) {
    OffsetFetchResponse::OffsetFetchResponseGroup response;
    response.group_id = fetch.request.group_id;
    if (ConsumerGroup* const group = consumer.find(response.group_id)) {
        response.error_code = ConsumerGroups::check_fetch(*group, fetch.request);
        if (response.error_code != ErrorCode::kNone) {
            return step.reply(fetch.ticket, std::move(response));
        }
    }
    const Offsets::Topics* const committed = offsets.find(response.group_id);
    if (fetch.request.topics) {
        for (const auto& topic : *fetch.request.topics) {
            auto& out = response.topics.emplace_back();
            out.name = topic.name;
            out.topic_id = topic.topic_id;
            out.partitions.reserve(topic.partition_indexes.size());
            for (const std::int32_t partition : topic.partition_indexes) {
                out.partitions.push_back(
                    fetched(partition, offsets.find(response.group_id, topic.name, partition)));
            }
        }
    } else if (committed != nullptr) {
        for (const auto& [name, partitions] : *committed) {
            auto& out = response.topics.emplace_back();
            out.name = name;
            Topics::Topic topic;
            if (step.now.topics.find(name, topic)) out.topic_id = topic.id;
            for (const auto& [partition, offset] : partitions) {
                out.partitions.push_back(fetched(partition, &offset));
            }
        }
    }
    step.reply(fetch.ticket, std::move(response));
}

void Coordinator::State::handle(Step& step, const DeleteOffsets& remove) {
    const auto& request = remove.request;
    protocol::OffsetDeleteResponse response;
    const ClassicGroup* const group = classic.find(request.group_id);
    const ConsumerGroup* const consumer_group = consumer.find(request.group_id);
    if (group == nullptr && consumer_group == nullptr) {
        response.error_code = ErrorCode::kGroupIdNotFound;
    } else if (group != nullptr && group->state != GroupState::kEmpty &&
               group->protocol_type != "consumer") {
        // What such members read cannot be known.
        response.error_code = ErrorCode::kNonEmptyGroup;
    }
    if (response.error_code != ErrorCode::kNone) {
        return step.reply(remove.ticket, std::move(response));
    }
    std::vector<std::string_view> names;
    for (const auto& topic : request.topics) names.push_back(topic.name);
    const std::vector<bool> is_subscribed =
        group != nullptr ? group->subscribed(names) : consumer_group->subscribed(names);
    for (std::size_t i = 0; i < request.topics.size(); ++i) {
        auto& out = response.topics.emplace_back();
        out.name = request.topics[i].name;
        for (const auto& partition : request.topics[i].partitions) {
            auto& outcome = out.partitions.emplace_back();
            outcome.partition_index = partition.partition_index;
            if (is_subscribed[i]) {
                outcome.error_code = ErrorCode::kGroupSubscribedToTopic;
            } else if (offsets.remove(request.group_id, out.name, partition.partition_index)) {
                step.effects.records.push_back(
                    offset_tombstone(request.group_id, out.name, partition.partition_index));
            }
        }
    }
    step.reply(remove.ticket, std::move(response));
}

void Coordinator::State::handle(Step& step, const TopicsDeleted& deleted) {
    for (const std::string& name : deleted.names) offsets.remove_topic(name, step.effects);
}

void Coordinator::State::expire_offsets(Step& step) {
    if (to_expire.empty()) {
        for (const auto& [group_id, group] : classic.groups()) to_expire.push_back(group_id);
        for (const auto& [group_id, group] : consumer.groups()) to_expire.push_back(group_id);
    }
    for (std::size_t seen = 0; seen < kExpiredInOneStep && !to_expire.empty(); ++seen) {
        seen += expire_offsets_of(step, to_expire.back());
        to_expire.pop_back();
    }
    // Other requests come between the steps of a round.
    next_expiry =
        step.after(to_expire.empty() ? step.settings.offsets_check_interval : milliseconds(1));
}

std::size_t Coordinator::State::expire_offsets_of(Step& step, const std::string& group_id) {
    ClassicGroup* const group = classic.find(group_id);
    ConsumerGroup* const consumer_group = consumer.find(group_id);
    if (group == nullptr && consumer_group == nullptr) return 0;
    const std::size_t records_before = step.effects.records.size();
    std::size_t seen = 0;
    std::vector<std::pair<std::string, std::int32_t>> expired;
    const bool is_empty =
        group != nullptr ? group->state == GroupState::kEmpty : consumer_group->members().empty();
    // A classic group that rebalances, or whose subscriptions cannot be read, keeps everything.
    const bool may_expire =
        is_empty || group == nullptr ||
        (group->state == GroupState::kStable && group->protocol_type == "consumer");
    const Offsets::Topics* const topics = offsets.find(group_id);
    if (topics != nullptr && may_expire) {
        std::vector<std::string_view> names;
        for (const auto& [name, partitions] : *topics) names.push_back(name);
        const std::vector<bool> is_subscribed =
            group != nullptr ? group->subscribed(names) : consumer_group->subscribed(names);
        std::size_t index = 0;
        for (const auto& [name, partitions] : *topics) {
            seen += partitions.size();
            if (is_subscribed[index++]) continue;
            for (const auto& [partition, offset] : partitions) {
                // Members make their offsets last, even those who have left: until then the
                // group's emptiness counts, if it is known when it began.
                const bool by_group = is_empty && group != nullptr && group->protocol_type &&
                                      group->state_since.ms >= 0;
                const Timestamp since = by_group ? group->state_since : offset.committed_at;
                const std::int64_t age_ms = step.now.wall.ms - std::max<std::int64_t>(since.ms, 0);
                const bool is_over = offset.expires_at != kNoTimestamp
                                         ? step.now.wall >= offset.expires_at
                                         : age_ms >= step.settings.offsets_retention.ms();
                if (is_over) expired.emplace_back(name, partition);
            }
        }
    }
    for (const auto& [name, partition] : expired) {
        offsets.remove(group_id, name, partition);
        step.effects.records.push_back(offset_tombstone(group_id, name, partition));
    }
    if (!is_empty || offsets.find(group_id) != nullptr) return seen;
    if (group == nullptr) {
        consumer_group->add_tombstones(step.effects);
        consumer.erase(*consumer_group);
    } else if (group->pending.empty()) {
        step.effects.records.push_back(tombstone(GroupMetadataKey{.group = group_id}));
        classic.erase(*group);
    }
    DLOG_ASSERT(step.effects.records.size() >= records_before);
    return seen;
}

}  // namespace dlog::coordination
