#include "coordination/group/consumer_groups.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace dlog::coordination {

namespace {

using protocol::ConsumerGroupDescribeResponse;
using protocol::ErrorCode;

/// OffsetCommit and OffsetFetch know of member epochs from this version on.
constexpr std::int16_t kFirstVersionWithMemberEpoch = 9;

ConsumerGroupDescribeResponse::Assignment to_assignment(const PartitionSet& partitions,
                                                        const Topics& topics) {
    ConsumerGroupDescribeResponse::Assignment result;
    for (const auto& [id, numbers] : partitions) {
        Topics::Topic topic;
        if (!topics.find(id, topic)) continue;
        auto& out = result.topic_partitions.emplace_back();
        out.topic_id = id;
        out.topic_name = topic.name;
        out.partitions = numbers;
    }
    return result;
}

PartitionSet without_epochs(const HeldPartitions& partitions) {
    PartitionSet result;
    for (const auto& [topic, epochs] : partitions) {
        for (const auto& [partition, epoch] : epochs) result[topic].push_back(partition);
    }
    return result;
}

}  // namespace

ConsumerGroup* ConsumerGroups::find(std::string_view group_id) {
    const auto found = groups_.find(group_id);
    return found == groups_.end() ? nullptr : found->second.get();
}

ConsumerGroup& ConsumerGroups::get(const std::string& group_id) {
    auto& group = groups_[group_id];
    if (!group) group = std::make_unique<ConsumerGroup>(group_id);
    return *group;
}

void ConsumerGroups::erase(ConsumerGroup& group) {
    timetable_.forget(group.id, group.slot);
    groups_.erase(groups_.find(group.id));
}

void ConsumerGroups::begin_sessions(Step& step) {
    for (const auto& [group_id, group] : groups_) {
        std::vector<std::string> unknown;
        for (const auto& [member_id, member] : group->members()) {
            if (!member.has_profile) unknown.push_back(member_id);
        }
        for (const std::string& member_id : unknown) group->remove(member_id);
        begin_sessions(step, *group);
    }
}

void ConsumerGroups::begin_sessions(Step& step, ConsumerGroup& group) {
    for (auto& [member_id, member] : group.members()) {
        begin_session(step, group, member);
        const bool must_revoke = member.progress.state == MemberState::kUnrevokedPartitions &&
                                 member.progress.epoch != kStaticLeavingEpoch;
        if (must_revoke) {
            member.revocation_ends = step.after(milliseconds(member.profile.rebalance_timeout_ms));
        }
        wake_by(group, std::min(member.session_ends, member.revocation_ends));
    }
}

void ConsumerGroups::begin_session(Step& step, const ConsumerGroup& group, ConsumerMember& member) {
    if (member.is_classic()) {
        member.session_ends = step.after(milliseconds(member.profile.classic->session_timeout_ms));
        return;
    }
    const auto own = step.now.topics.own_settings(group.id).consumer_session_timeout;
    member.session_ends = step.after(own.value_or(step.settings.consumer_session_timeout));
}

ErrorCode ConsumerGroups::check_commit(ConsumerGroup& group,
                                       const protocol::OffsetCommitRequest& request,
                                       std::int16_t version) {
    const std::int32_t epoch = request.generation_id_or_member_epoch;
    // An operator, or a consumer that assigns partitions itself.
    if (epoch < 0 && group.members().empty()) return ErrorCode::kNone;
    const ConsumerMember* const member = group.find(request.member_id);
    if (member == nullptr) return ErrorCode::kUnknownMemberId;
    if (member->is_classic()) {
        return epoch == member->progress.epoch ? ErrorCode::kNone : ErrorCode::kIllegalGeneration;
    }
    if (version < kFirstVersionWithMemberEpoch) return ErrorCode::kUnsupportedVersion;
    return epoch > member->progress.epoch ? ErrorCode::kStaleMemberEpoch : ErrorCode::kNone;
}

ErrorCode ConsumerGroups::check_commit(ConsumerGroup& group,
                                       const protocol::OffsetCommitRequest& request, TopicId topic,
                                       std::int32_t partition) {
    const std::int32_t epoch = request.generation_id_or_member_epoch;
    const ConsumerMember* const member = group.find(request.member_id);
    if (member == nullptr || epoch == member->progress.epoch) return ErrorCode::kNone;
    for (const HeldPartitions* held : {&member->progress.assigned, &member->progress.revoking}) {
        const auto epochs = held->find(topic);
        if (epochs == held->end()) continue;
        const auto assigned = epochs->second.find(partition);
        if (assigned != epochs->second.end() && epoch >= assigned->second) return ErrorCode::kNone;
    }
    return ErrorCode::kStaleMemberEpoch;
}

ErrorCode ConsumerGroups::check_fetch(
    ConsumerGroup& group, const protocol::OffsetFetchRequest::OffsetFetchRequestGroup& request) {
    if (!request.member_id && request.member_epoch < 0) return ErrorCode::kNone;
    const ConsumerMember* const member = group.find(request.member_id.value_or(""));
    if (member == nullptr) return ErrorCode::kUnknownMemberId;
    if (request.member_epoch == member->progress.epoch) return ErrorCode::kNone;
    return member->is_classic() ? ErrorCode::kIllegalGeneration : ErrorCode::kStaleMemberEpoch;
}

ConsumerGroupDescribeResponse::DescribedGroup ConsumerGroups::describe(const Step& step,
                                                                       const ConsumerGroup& group) {
    // As Kafka numbers the kinds of members.
    constexpr std::int8_t kClassicMember = 0;
    constexpr std::int8_t kConsumerMember = 1;
    ConsumerGroupDescribeResponse::DescribedGroup result;
    result.group_id = group.id;
    result.group_state = group.state();
    result.group_epoch = group.epoch;
    result.assignment_epoch = group.target_epoch;
    result.assignor_name = assignor_name(group, step.settings);
    for (const auto& [member_id, member] : group.members()) {
        auto& out = result.members.emplace_back();
        out.member_id = member_id;
        out.instance_id = member.profile.instance_id;
        out.rack_id = member.profile.rack_id;
        out.member_epoch = member.progress.epoch;
        out.client_id = member.profile.client_id;
        out.client_host = member.profile.client_host;
        out.subscribed_topic_names = member.profile.topics;
        out.subscribed_topic_regex = member.profile.pattern;
        out.assignment = to_assignment(without_epochs(member.progress.assigned), step.now.topics);
        out.target_assignment = to_assignment(member.target, step.now.topics);
        out.member_type = member.is_classic() ? kClassicMember : kConsumerMember;
    }
    return result;
}

}  // namespace dlog::coordination
