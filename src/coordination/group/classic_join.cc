/// JoinGroup.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "base/assert.h"
#include "coordination/group/classic_groups.h"

namespace dlog::coordination {

namespace {

using protocol::ErrorCode;
using protocol::JoinGroupRequest;
using protocol::JoinGroupResponse;

/// A leader can be told to take the assignment as it is (KIP-814).
constexpr std::int16_t kFirstVersionWithSkipAssignment = 9;
/// Until its JoinGroup is answered a new member has no id to send heartbeats with; but it does not
/// wait for ever, for its connection may be gone.
constexpr Duration kNewMemberTimeout = seconds(300);

void refuse(Step& step, const Join& join, ErrorCode error, std::string_view member_id) {
    JoinGroupResponse response;
    response.error_code = error;
    response.member_id = member_id;
    step.reply(join.ticket, std::move(response));
}

}  // namespace

Duration rebalance_timeout(const JoinGroupRequest& request) {
    const std::int32_t ms = request.rebalance_timeout_ms < 0 ? request.session_timeout_ms
                                                             : request.rebalance_timeout_ms;
    return milliseconds(ms);
}

JoinGroupResponse join_reply(const ClassicGroup& group, std::string_view member_id) {
    JoinGroupResponse response;
    response.generation_id = group.generation;
    response.protocol_type = group.protocol_type;
    response.protocol_name = group.protocol_name.value_or("");
    response.leader = group.leader.value_or("");
    response.member_id = member_id;
    return response;
}

void tell_members(const ClassicGroup& group, JoinGroupResponse& response,
                  std::vector<Buffer>& backing) {
    DLOG_ASSERT(group.protocol_name.has_value(), group.id);
    response.members.reserve(group.members().size());
    for (const auto& [member_id, member] : group.members()) {
        backing.push_back(member.metadata(*group.protocol_name));
        response.members.push_back({.member_id = member_id,
                                    .group_instance_id = member.instance_id,
                                    .metadata = backing.back().view()});
    }
}

ErrorCode ClassicGroups::check(const GroupSettings& settings, const JoinGroupRequest& request) {
    if (request.group_id.empty()) return ErrorCode::kInvalidGroupId;
    const Duration session = milliseconds(request.session_timeout_ms);
    const bool is_within =
        session >= settings.session_timeout_min && session <= settings.session_timeout_max;
    if (!is_within) return ErrorCode::kInvalidSessionTimeout;
    const bool is_too_large = content_bytes(request.protocols) > settings.member_bytes_max();
    return is_too_large ? ErrorCode::kRecordListTooLarge : ErrorCode::kNone;
}

void ClassicGroups::join(Step& step, const Join& join) {
    const JoinGroupRequest& request = join.request;
    const ErrorCode error = check(step.settings, request);
    if (error != ErrorCode::kNone) return refuse(step, join, error, request.member_id);
    ClassicGroup* group = find(request.group_id);
    const bool is_new_group = group == nullptr;
    if (is_new_group) {
        if (!request.member_id.empty()) {
            return refuse(step, join, ErrorCode::kUnknownMemberId, request.member_id);
        }
        if (request.protocol_type.empty() || request.protocols.empty()) {
            return refuse(step, join, ErrorCode::kInconsistentGroupProtocol, "");
        }
        group = &create(request.group_id);
    }
    const std::size_t records_before = step.effects.records.size();
    if (!accepts(step, *group, request.member_id)) {
        if (group->find(request.member_id) != nullptr) {
            remove_member(step, *group, request.member_id, ErrorCode::kGroupMaxSizeReached);
        }
        group->pending.erase(request.member_id);
        complete_join_if_ready(step, *group);
        return refuse(step, join, ErrorCode::kGroupMaxSizeReached, "");
    }
    if (!group->supports(request.protocol_type, request.protocols)) {
        return refuse(step, join, ErrorCode::kInconsistentGroupProtocol, request.member_id);
    }
    const ClassicMember* const member = group->find(request.member_id);
    const std::size_t others =
        group->content_bytes() - (member == nullptr ? 0 : member->counted_bytes);
    if (others > 0 && others + content_bytes(request.protocols) > step.settings.group_bytes_max()) {
        return refuse(step, join, ErrorCode::kGroupMaxSizeReached, request.member_id);
    }
    if (request.member_id.empty()) {
        join_new_member(step, *group, join);
    } else {
        join_known_member(step, *group, join);
    }
    // Every group has a record from its beginning on; members get into it with their assignment.
    if (is_new_group && step.effects.records.size() == records_before) {
        step.effects.records.push_back(ClassicGroup(group->id).record());
    }
}

bool ClassicGroups::accepts(const Step& step, ClassicGroup& group, std::string_view member_id) {
    const auto size_max = static_cast<std::size_t>(std::max(step.settings.size_max, 1));
    const ClassicMember* const member = group.find(member_id);
    switch (group.state) {
        case GroupState::kEmpty:
            return true;
        case GroupState::kPreparingRebalance:
            // Those who wait count, not the members: of too many members, which a lower limit can
            // leave, the last to rejoin are turned away.
            return (member != nullptr && member->joining) || group.joining_count() < size_max;
        case GroupState::kCompletingRebalance:
        case GroupState::kStable:
            return member != nullptr || group.members().size() < size_max;
    }
    DLOG_UNREACHABLE();
}

void ClassicGroups::join_new_member(Step& step, ClassicGroup& group, const Join& join) {
    const JoinGroupRequest& request = join.request;
    if (request.group_instance_id) {
        const std::string* const holder = group.static_member(*request.group_instance_id);
        if (holder != nullptr) {
            return replace_static_member(step, group, join, std::string(*holder));
        }
        return add_member(step, group, join,
                          make_member_id(*request.group_instance_id, step.random));
    }
    std::string member_id = make_member_id(join.caller.client_id, step.random);
    if (join.version < kFirstVersionWithMemberIdRequired) {
        return add_member(step, group, join, std::move(member_id));
    }
    const Instant valid_until = step.after(milliseconds(request.session_timeout_ms));
    group.pending.emplace(member_id, valid_until);
    wake_by(group, valid_until);
    refuse(step, join, ErrorCode::kMemberIdRequired, member_id);
}

void ClassicGroups::join_known_member(Step& step, ClassicGroup& group, const Join& join) {
    const JoinGroupRequest& request = join.request;
    if (group.pending.contains(request.member_id)) {
        // Ids are handed out to dynamic members only.
        if (request.group_instance_id) {
            return refuse(step, join, ErrorCode::kUnknownMemberId, request.member_id);
        }
        return add_member(step, group, join, request.member_id);
    }
    const ErrorCode error = group.check_member(request.member_id, request.group_instance_id);
    if (error != ErrorCode::kNone) return refuse(step, join, error, request.member_id);
    ClassicMember& member = *group.find(request.member_id);
    const bool is_unchanged = member.has_same(request.protocols);
    const bool leads = group.leads(member.id);
    // One whose reply was lost asks again. A leader in a stable group is different: it knows of a
    // reason to rebalance that the protocols do not show, such as new partitions.
    if (is_unchanged && (group.state == GroupState::kCompletingRebalance ||
                         (group.state == GroupState::kStable && !leads))) {
        JoinGroupResponse response = join_reply(group, member.id);
        std::vector<Buffer> backing;
        if (leads) tell_members(group, response, backing);
        begin_session(step, group, member);
        return step.reply(join.ticket, std::move(response), std::move(backing));
    }
    update_member(step, group, join, member);
    rebalance_or_complete(step, group);
}

void ClassicGroups::add_member(Step& step, ClassicGroup& group, const Join& join,
                               std::string member_id) {
    const JoinGroupRequest& request = join.request;
    ClassicMember& member = group.add({.id = std::move(member_id),
                                       .instance_id = request.group_instance_id,
                                       .client_id = std::string(join.caller.client_id),
                                       .client_host = std::string(join.caller.host),
                                       .rebalance_timeout = rebalance_timeout(request),
                                       .session_timeout = milliseconds(request.session_timeout_ms),
                                       .protocols = copy_protocols(request.protocols),
                                       .is_new = true,
                                       .deadline = step.after(kNewMemberTimeout)},
                                      request.protocol_type);
    group.set_joining(member, join.ticket);
    group.has_newcomer = true;
    wake_by(group, member.deadline);
    rebalance_or_complete(step, group);
}

void ClassicGroups::update_member(Step& step, ClassicGroup& group, const Join& join,
                                  ClassicMember& member) {
    refuse_waiting(step, group, member, ErrorCode::kRebalanceInProgress);
    group.set_protocols(member, copy_protocols(join.request.protocols));
    member.rebalance_timeout = rebalance_timeout(join.request);
    member.session_timeout = milliseconds(join.request.session_timeout_ms);
    group.set_joining(member, join.ticket);
}

void ClassicGroups::replace_static_member(Step& step, ClassicGroup& group, const Join& join,
                                          const std::string& old_id) {
    const std::optional<std::string> old_leader = group.leader;
    // Whoever still waits under the old id is fenced.
    refuse_waiting(step, group, *group.find(old_id), ErrorCode::kFencedInstanceId);
    ClassicMember& member =
        group.rename(old_id, make_member_id(*join.request.group_instance_id, step.random));
    member.client_id = std::string(join.caller.client_id);
    member.client_host = std::string(join.caller.host);
    update_member(step, group, join, member);
    begin_session(step, group, member);
    if (group.state == GroupState::kPreparingRebalance) return complete_join_if_ready(step, group);
    if (group.state == GroupState::kCompletingRebalance ||
        group.elect_protocol() != group.protocol_name) {
        return rebalance(step, group);
    }
    // A restart of a static member disturbs nobody: it goes on with what it had.
    DLOG_ASSERT(group.state == GroupState::kStable, group.id);
    JoinGroupResponse response = join_reply(group, member.id);
    std::vector<Buffer> backing;
    if (join.version < kFirstVersionWithSkipAssignment) {
        // A leader would assign anew; by this it does not learn that it leads.
        response.leader = old_leader.value_or("");
    } else if (group.leads(member.id)) {
        tell_members(group, response, backing);
        response.skip_assignment = true;
    }
    group.set_joining(member, std::nullopt);
    step.reply(join.ticket, std::move(response), std::move(backing));
    step.effects.records.push_back(group.record());
}

}  // namespace dlog::coordination
