/// JoinGroup, SyncGroup, Heartbeat and LeaveGroup of classic members in a consumer group.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/classic_groups.h"
#include "coordination/group/consumer_groups.h"
#include "coordination/group/embedded_protocol.h"

namespace dlog::coordination {

namespace {

using protocol::ErrorCode;
using protocol::JoinGroupRequest;
using protocol::JoinGroupResponse;

OwnedPartitions to_owned(const protocol::ConsumerProtocolSubscription& subscription,
                         const Topics& topics) {
    OwnedPartitions result;
    for (const auto& each : subscription.owned_partitions) {
        Topics::Topic topic;
        if (!topics.find(each.topic, topic)) continue;
        auto& out = result.emplace_back();
        out.topic_id = topic.id;
        out.partitions = each.partitions;
    }
    return result;
}

/// The classic member that the sender says it is.
std::expected<ConsumerMember*, ErrorCode> find_classic(
    ConsumerGroup& group, std::string_view member_id,
    const std::optional<std::string>& instance_id) {
    ConsumerMember* const member =
        instance_id ? group.static_member(*instance_id) : group.find(member_id);
    if (member == nullptr) return std::unexpected(ErrorCode::kUnknownMemberId);
    if (member->id != member_id) return std::unexpected(ErrorCode::kFencedInstanceId);
    if (!member->is_classic()) return std::unexpected(ErrorCode::kUnknownMemberId);
    return member;
}

/// The place that the sender goes on with, or null for a new one.
std::expected<ConsumerMember*, ErrorCode> find_place(ConsumerGroup& group,
                                                     const JoinGroupRequest& request,
                                                     bool owns_something) {
    const bool is_known = !request.member_id.empty();
    if (request.group_instance_id) {
        // An instance without its id has begun anew, with this protocol or with the other.
        if (!is_known) return group.static_member(*request.group_instance_id);
        return find_classic(group, request.member_id, request.group_instance_id);
    }
    if (!is_known) return nullptr;
    if (group.find(request.member_id) != nullptr) {
        return find_classic(group, request.member_id, std::nullopt);
    }
    // It was given its id just now. One that has partitions was a member and is none any more: it
    // must give them up first.
    if (owns_something) return std::unexpected(ErrorCode::kUnknownMemberId);
    return nullptr;
}

/// Something waits for the member that only joining again brings to it.
bool must_rejoin(const ConsumerGroup& group, const ConsumerMember& member) {
    const ConsumerMember::Progress& progress = member.progress;
    switch (progress.state) {
        case MemberState::kUnrevokedPartitions:
            return true;
        case MemberState::kStable:
            return progress.epoch != group.epoch;
        case MemberState::kUnreleasedPartitions:
            break;
    }
    if (progress.epoch != group.epoch) return true;
    return std::ranges::all_of(member.target, [&](const auto& entry) {
        const auto& [topic, partitions] = entry;
        const auto held = progress.assigned.find(topic);
        return std::ranges::all_of(partitions, [&](std::int32_t partition) {
            const bool has = held != progress.assigned.end() && held->second.contains(partition);
            return has || group.is_free(topic, partition);
        });
    });
}

void refuse(Step& step, const Join& join, ErrorCode error) {
    JoinGroupResponse response;
    response.error_code = error;
    response.member_id = join.request.member_id;
    step.reply(join.ticket, std::move(response));
}

}  // namespace

protocol::ConsumerProtocolAssignment embedded_assignment(const HeldPartitions& partitions,
                                                         const Topics& topics) {
    protocol::ConsumerProtocolAssignment result;
    for (const auto& [id, epochs] : partitions) {
        Topics::Topic topic;
        if (!topics.find(id, topic)) continue;
        auto& out = result.assigned_partitions.emplace_back();
        out.topic = topic.name;
        for (const auto& [partition, epoch] : epochs) out.partitions.push_back(partition);
    }
    return result;
}

void ConsumerGroups::join(Step& step, ConsumerGroup& group, const Join& join) {
    const JoinGroupRequest& request = join.request;
    const ErrorCode error = ClassicGroups::check(step.settings, request);
    if (error != ErrorCode::kNone) return refuse(step, join, error);
    auto response = admit_join(step, group, join);
    if (!response) return refuse(step, join, response.error());
    step.reply(join.ticket, *std::move(response));
}

auto ConsumerGroups::admit_join(Step& step, ConsumerGroup& group, const Join& join)
    -> std::expected<JoinGroupResponse, ErrorCode> {
    const JoinGroupRequest& request = join.request;
    if (request.protocol_type != kEmbeddedProtocolType || request.protocols.empty()) {
        return std::unexpected(ErrorCode::kInconsistentGroupProtocol);
    }
    // All protocols of a consumer say the same.
    const auto subscription = decode_subscription(request.protocols.front().metadata);
    if (!subscription) return std::unexpected(ErrorCode::kInconsistentGroupProtocol);
    const OwnedPartitions owned = to_owned(*subscription, step.now.topics);
    DLOG_TRY_ASSIGN(ConsumerMember * member, find_place(group, request, !owned.empty()));
    const auto size_max = static_cast<std::size_t>(std::max(step.settings.consumer_size_max, 0));
    if (member == nullptr && group.members().size() >= size_max) {
        return std::unexpected(ErrorCode::kGroupMaxSizeReached);
    }
    ClassicProtocols protocols = copy_protocols(request.protocols);
    if (!group.has_common_protocol(protocols, member)) {
        return std::unexpected(ErrorCode::kInconsistentGroupProtocol);
    }
    JoinGroupResponse response;
    std::string id = request.member_id;
    if (id.empty()) {
        id = make_member_id(request.group_instance_id.value_or(std::string(join.caller.client_id)),
                            step.random);
        if (!request.group_instance_id && join.version >= kFirstVersionWithMemberIdRequired) {
            response.error_code = ErrorCode::kMemberIdRequired;
            response.member_id = id;
            return response;
        }
    }
    const auto timeout_ms = static_cast<std::int32_t>(rebalance_timeout(request).ms());
    response.protocol_type = std::string(kEmbeddedProtocolType);
    response.protocol_name = protocols.front().name;
    ConsumerMember::Profile profile{
        .instance_id = request.group_instance_id,
        .rack_id = subscription->rack_id,
        .client_id = std::string(join.caller.client_id),
        .client_host = std::string(join.caller.host),
        .topics = topic_list(subscription->topics),
        .rebalance_timeout_ms = timeout_ms,
        .classic = ClassicProfile{request.session_timeout_ms, std::move(protocols)}};
    update_epoch(step, group, put_member(step, group, id, std::move(profile), member));
    if (group.epoch != group.target_epoch) assign(step, group);
    advance(step, group, *member, &owned);
    begin_session(step, group, *member);
    member->revocation_ends = step.after(milliseconds(timeout_ms));
    wake_by(group, std::min(member->session_ends, member->revocation_ends));
    response.generation_id = member->progress.epoch;
    response.member_id = member->id;
    return response;
}

void ConsumerGroups::sync(Step& step, ConsumerGroup& group, const Sync& sync) {
    protocol::SyncGroupResponse response;
    response.error_code = admit_sync(step, group, sync.request);
    if (response.error_code != ErrorCode::kNone) {
        return step.reply(sync.ticket, std::move(response));
    }
    const ConsumerMember& member = *group.find(sync.request.member_id);
    const ClassicProtocol& protocol = member.profile.classic->protocols.front();
    std::vector<Buffer> backing;
    backing.push_back(encode_assignment(
        embedded_assignment(member.progress.assigned, step.now.topics), protocol.metadata.view()));
    response.protocol_type = std::string(kEmbeddedProtocolType);
    response.protocol_name = protocol.name;
    response.assignment = backing.back().view();
    step.reply(sync.ticket, std::move(response), std::move(backing));
}

ErrorCode ConsumerGroups::admit_sync(Step& step, ConsumerGroup& group,
                                     const protocol::SyncGroupRequest& request) {
    const auto found = find_classic(group, request.member_id, request.group_instance_id);
    if (!found) return found.error();
    ConsumerMember& member = **found;
    if (request.generation_id != member.progress.epoch) return ErrorCode::kIllegalGeneration;
    const std::string& protocol_name = member.profile.classic->protocols.front().name;
    if (request.protocol_type.value_or(std::string(kEmbeddedProtocolType)) !=
            kEmbeddedProtocolType ||
        request.protocol_name.value_or(protocol_name) != protocol_name) {
        return ErrorCode::kInconsistentGroupProtocol;
    }
    // One that has to revoke learns of that here, and joins again when it has.
    if (member.progress.epoch != group.epoch &&
        member.progress.state != MemberState::kUnrevokedPartitions) {
        await_join(step, group, member);
        return ErrorCode::kRebalanceInProgress;
    }
    begin_session(step, group, member);
    member.revocation_ends = kNever;
    wake_by(group, member.session_ends);
    return ErrorCode::kNone;
}

void ConsumerGroups::beat(Step& step, ConsumerGroup& group, const Beat& beat) {
    protocol::HeartbeatResponse response;
    response.error_code = admit_beat(step, group, beat.request);
    step.reply(beat.ticket, std::move(response));
}

ErrorCode ConsumerGroups::admit_beat(Step& step, ConsumerGroup& group,
                                     const protocol::HeartbeatRequest& request) {
    const auto found = find_classic(group, request.member_id, request.group_instance_id);
    if (!found) return found.error();
    ConsumerMember& member = **found;
    if (request.generation_id != member.progress.epoch) return ErrorCode::kIllegalGeneration;
    update_epoch(step, group, false);
    begin_session(step, group, member);
    wake_by(group, member.session_ends);
    if (!must_rejoin(group, member)) return ErrorCode::kNone;
    await_join(step, group, member);
    return ErrorCode::kRebalanceInProgress;
}

void ConsumerGroups::await_join(Step& step, ConsumerGroup& group, ConsumerMember& member) {
    if (member.revocation_ends != kNever) return;
    member.revocation_ends = step.after(milliseconds(member.profile.rebalance_timeout_ms));
    wake_by(group, member.revocation_ends);
}

void ConsumerGroups::leave(Step& step, ConsumerGroup& group, const Leave& leave) {
    protocol::LeaveGroupResponse response;
    std::vector<std::string> leaving;
    for (const auto& each : leave.request.members) {
        auto& out = response.members.emplace_back();
        out.member_id = each.member_id;
        out.group_instance_id = each.group_instance_id;
        const bool is_operator = each.member_id.empty() && each.group_instance_id;
        std::expected<ConsumerMember*, ErrorCode> member =
            is_operator ? group.static_member(*each.group_instance_id)
                        : find_classic(group, each.member_id, each.group_instance_id);
        const bool is_known = member && *member != nullptr &&
                              std::ranges::find(leaving, (*member)->id) == leaving.end();
        if (is_known) leaving.push_back((*member)->id);
        if (!is_known) out.error_code = member ? ErrorCode::kUnknownMemberId : member.error();
    }
    if (!leaving.empty()) remove(step, group, leaving);
    step.reply(leave.ticket, std::move(response));
}

}  // namespace dlog::coordination
