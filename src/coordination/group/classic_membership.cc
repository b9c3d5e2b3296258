/// SyncGroup, Heartbeat, LeaveGroup, and what else members and onlookers ask of a classic group.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/classic_groups.h"

namespace dlog::coordination {

namespace {

using protocol::DescribeGroupsResponse;
using protocol::ErrorCode;
using protocol::HeartbeatResponse;
using protocol::LeaveGroupResponse;
using protocol::SyncGroupRequest;
using protocol::SyncGroupResponse;

void refuse(Step& step, const Sync& sync, ErrorCode error) {
    SyncGroupResponse response;
    response.error_code = error;
    step.reply(sync.ticket, std::move(response));
}

SyncGroupResponse sync_reply(const ClassicGroup& group, const ClassicMember& member) {
    SyncGroupResponse response;
    response.protocol_type = group.protocol_type;
    response.protocol_name = group.protocol_name;
    response.assignment = member.assignment.view();
    return response;
}

bool contradicts(const std::optional<std::string>& theirs, const std::optional<std::string>& ours) {
    return theirs && ours && *theirs != *ours;
}

ErrorCode check_sync(const ClassicGroup& group, const SyncGroupRequest& request) {
    const ErrorCode error = group.check_member(request.member_id, request.group_instance_id);
    if (error != ErrorCode::kNone) return error;
    if (request.generation_id != group.generation) return ErrorCode::kIllegalGeneration;
    if (contradicts(request.protocol_type, group.protocol_type) ||
        contradicts(request.protocol_name, group.protocol_name)) {
        return ErrorCode::kInconsistentGroupProtocol;
    }
    if (group.state == GroupState::kPreparingRebalance) return ErrorCode::kRebalanceInProgress;
    return ErrorCode::kNone;
}

bool is_too_large(const ClassicGroup& group, const SyncGroupRequest& request,
                  const GroupSettings& settings) {
    std::size_t bytes = group.content_bytes();
    for (const auto& each : request.assignments)
        bytes += each.assignment.size() + kClassicFieldBytes;
    return !settings.fits_record(bytes);
}

void assign(ClassicGroup& group, const SyncGroupRequest& request) {
    for (auto& [member_id, member] : group.members()) member.assignment = Buffer();
    for (const auto& each : request.assignments) {
        ClassicMember* const member = group.find(each.member_id);
        if (member != nullptr) member->assignment = Buffer::copy_of(each.assignment);
    }
}

}  // namespace

void ClassicGroups::sync(Step& step, const Sync& sync) {
    const SyncGroupRequest& request = sync.request;
    if (request.group_id.empty()) return refuse(step, sync, ErrorCode::kInvalidGroupId);
    ClassicGroup* const group = find(request.group_id);
    if (group == nullptr) return refuse(step, sync, ErrorCode::kUnknownMemberId);
    const ErrorCode error = check_sync(*group, request);
    if (error != ErrorCode::kNone) return refuse(step, sync, error);

    ClassicMember& member = *group->find(request.member_id);
    if (group->state == GroupState::kCompletingRebalance && group->leads(member.id) &&
        is_too_large(*group, request, step.settings)) {
        return refuse(step, sync, ErrorCode::kRecordListTooLarge);
    }
    member.has_synced = true;
    if (group->state == GroupState::kStable) {
        begin_session(step, *group, member);
        return step.reply(sync.ticket, sync_reply(*group, member), {member.assignment});
    }
    DLOG_ASSERT(group->state == GroupState::kCompletingRebalance, group->id);
    refuse_waiting(step, *group, member, ErrorCode::kRebalanceInProgress);
    member.syncing = sync.ticket;
    if (!group->leads(member.id)) return;

    assign(*group, request);
    group->enter(GroupState::kStable, step.now.wall);
    ++completed_rebalances_;
    step.effects.records.push_back(group->record());
    for (auto& [member_id, each] : group->members()) {
        if (!each.syncing) continue;
        step.reply(*each.syncing, sync_reply(*group, each), {each.assignment});
        each.syncing.reset();
        begin_session(step, *group, each);
    }
}

void ClassicGroups::beat(Step& step, const Beat& beat) {
    HeartbeatResponse response;
    response.error_code = admit_beat(step, beat.request);
    step.reply(beat.ticket, std::move(response));
}

ErrorCode ClassicGroups::admit_beat(Step& step, const protocol::HeartbeatRequest& request) {
    if (request.group_id.empty()) return ErrorCode::kInvalidGroupId;
    ClassicGroup* const group = find(request.group_id);
    if (group == nullptr) return ErrorCode::kUnknownMemberId;
    const ErrorCode error = group->check_member(request.member_id, request.group_instance_id);
    if (error != ErrorCode::kNone) return error;
    if (request.generation_id != group->generation) return ErrorCode::kIllegalGeneration;
    begin_session(step, *group, *group->find(request.member_id));
    return group->state == GroupState::kPreparingRebalance ? ErrorCode::kRebalanceInProgress
                                                           : ErrorCode::kNone;
}

void ClassicGroups::leave(Step& step, const Leave& leave) {
    LeaveGroupResponse response;
    if (leave.request.group_id.empty()) {
        response.error_code = ErrorCode::kInvalidGroupId;
        return step.reply(leave.ticket, std::move(response));
    }
    ClassicGroup* const group = find(leave.request.group_id);
    bool has_changed = false;
    for (const auto& each : leave.request.members) {
        auto& out = response.members.emplace_back();
        out.member_id = each.member_id;
        out.group_instance_id = each.group_instance_id;
        out.error_code = ErrorCode::kUnknownMemberId;
        if (group == nullptr) continue;
        std::string member_id = each.member_id;
        if (member_id.empty() && each.group_instance_id) {
            // An operator removes a static member, whose id he need not know.
            const std::string* const holder = group->static_member(*each.group_instance_id);
            if (holder != nullptr) member_id = *holder;
        }
        if (group->pending.erase(member_id) > 0) {
            out.error_code = ErrorCode::kNone;
            has_changed = true;
            continue;
        }
        out.error_code = group->check_member(member_id, each.group_instance_id);
        if (out.error_code != ErrorCode::kNone) continue;
        remove_member(step, *group, member_id, ErrorCode::kUnknownMemberId);
        has_changed = true;
    }
    if (has_changed && group->state == GroupState::kPreparingRebalance) {
        complete_join_if_ready(step, *group);
    } else if (has_changed && group->state != GroupState::kEmpty) {
        rebalance(step, *group);
    }
    step.reply(leave.ticket, std::move(response));
}

ErrorCode ClassicGroups::admit_commit(Step& step, ClassicGroup& group,
                                      const protocol::OffsetCommitRequest& request) {
    const bool is_simple = request.generation_id_or_member_epoch < 0;
    if (is_simple && group.state == GroupState::kEmpty) return ErrorCode::kNone;
    if (is_simple && request.member_id.empty() && !request.group_instance_id) {
        return ErrorCode::kUnknownMemberId;
    }
    const ErrorCode error = group.check_member(request.member_id, request.group_instance_id);
    if (error != ErrorCode::kNone) return error;
    if (request.generation_id_or_member_epoch != group.generation) {
        return ErrorCode::kIllegalGeneration;
    }
    if (group.state == GroupState::kCompletingRebalance) return ErrorCode::kRebalanceInProgress;
    begin_session(step, group, *group.find(request.member_id));
    return ErrorCode::kNone;
}

DescribeGroupsResponse::DescribedGroup ClassicGroups::describe(const ClassicGroup& group,
                                                               std::vector<Buffer>& backing) {
    DescribeGroupsResponse::DescribedGroup result;
    result.group_id = group.id;
    result.group_state = group_state_name(group.state);
    result.protocol_type = group.protocol_type.value_or("");
    const bool is_stable = group.state == GroupState::kStable;
    if (is_stable) result.protocol_data = group.protocol_name.value_or("");
    for (const auto& [member_id, member] : group.members()) {
        auto& out = result.members.emplace_back();
        out.member_id = member_id;
        out.group_instance_id = member.instance_id;
        out.client_id = member.client_id;
        out.client_host = member.client_host;
        backing.push_back(member.assignment);
        out.member_assignment = member.assignment.view();
        if (!is_stable) continue;
        backing.push_back(member.metadata(*group.protocol_name));
        out.member_metadata = backing.back().view();
    }
    return result;
}

ClassicGroup* ClassicGroups::find(std::string_view group_id) {
    const auto found = groups_.find(group_id);
    return found == groups_.end() ? nullptr : found->second.get();
}

ClassicGroup& ClassicGroups::create(std::string_view group_id) {
    auto group = std::make_unique<ClassicGroup>(std::string(group_id));
    ClassicGroup& result = *group;
    put(std::move(group));
    return result;
}

void ClassicGroups::put(std::unique_ptr<ClassicGroup> group) {
    if (ClassicGroup* const old = find(group->id); old != nullptr) erase(*old);
    std::string key = group->id;
    groups_.emplace(std::move(key), std::move(group));
}

void ClassicGroups::erase(ClassicGroup& group) {
    timetable_.forget(group.id, group.slot);
    groups_.erase(groups_.find(group.id));
}

void ClassicGroups::begin_sessions(Step& step) {
    for (const auto& [group_id, group] : groups_) {
        for (auto& [member_id, member] : group->members()) begin_session(step, *group, member);
    }
}

}  // namespace dlog::coordination
