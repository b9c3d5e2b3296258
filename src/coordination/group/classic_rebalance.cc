/// The way of a classic group from one generation to the next, and what time brings to it.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/classic_groups.h"

namespace dlog::coordination {

namespace {

using protocol::ErrorCode;
using protocol::JoinGroupResponse;
using protocol::SyncGroupResponse;

}  // namespace

void ClassicGroups::begin_session(Step& step, ClassicGroup& group, ClassicMember& member) {
    member.deadline = step.after(member.session_timeout);
    wake_by(group, member.deadline);
}

void ClassicGroups::refuse_waiting(Step& step, ClassicGroup& group, ClassicMember& member,
                                   ErrorCode error) {
    if (member.joining) {
        JoinGroupResponse response;
        response.error_code = error;
        response.member_id = member.id;
        step.reply(*member.joining, std::move(response));
        group.set_joining(member, std::nullopt);
    }
    if (member.syncing) {
        SyncGroupResponse response;
        response.error_code = error;
        step.reply(*member.syncing, std::move(response));
        member.syncing.reset();
    }
}

void ClassicGroups::remove_member(Step& step, ClassicGroup& group, const std::string& member_id,
                                  ErrorCode error) {
    ClassicMember* const member = group.find(member_id);
    DLOG_ASSERT(member != nullptr, member_id);
    refuse_waiting(step, group, *member, error);
    group.remove(member_id);
}

void ClassicGroups::rebalance_or_complete(Step& step, ClassicGroup& group) {
    if (group.state != GroupState::kPreparingRebalance) return rebalance(step, group);
    complete_join_if_ready(step, group);
}

void ClassicGroups::complete_join_if_ready(Step& step, ClassicGroup& group) {
    // A group that begins waits for its time even when all that it knows of have joined.
    if (group.state != GroupState::kPreparingRebalance || group.is_first) return;
    if (group.have_all_joined()) complete_join(step, group);
}

void ClassicGroups::rebalance(Step& step, ClassicGroup& group) {
    DLOG_ASSERT(group.state != GroupState::kPreparingRebalance, group.id);
    for (auto& [member_id, member] : group.members()) {
        member.has_synced = false;
        if (group.state != GroupState::kCompletingRebalance) continue;
        member.assignment = Buffer();
        if (!member.syncing) continue;
        SyncGroupResponse response;
        response.error_code = ErrorCode::kRebalanceInProgress;
        step.reply(*member.syncing, std::move(response));
        member.syncing.reset();
        begin_session(step, group, member);
    }
    group.sync_at = kNever;
    group.is_first = group.state == GroupState::kEmpty;
    group.has_newcomer = false;
    group.enter(GroupState::kPreparingRebalance, step.now.wall);

    const Duration delay = step.settings.initial_rebalance_delay;
    if (group.is_first && delay.ns > 0) {
        group.put_off_left = std::max(group.rebalance_timeout() - delay, Duration{});
        group.join_at = step.after(delay);
    } else if (group.is_first || group.have_all_joined()) {
        return complete_join(step, group);
    } else {
        group.join_at = step.after(group.rebalance_timeout());
    }
    wake_by(group, group.join_at);
}

void ClassicGroups::on_join_time(Step& step, ClassicGroup& group) {
    DLOG_ASSERT(group.state == GroupState::kPreparingRebalance, group.id);
    if (!group.is_first || !group.has_newcomer || group.put_off_left.ns <= 0) {
        return complete_join(step, group);
    }
    const Duration delay = std::min(step.settings.initial_rebalance_delay, group.put_off_left);
    group.has_newcomer = false;
    group.put_off_left = std::max(group.put_off_left - delay, Duration{});
    group.join_at = step.after(delay);
    wake_by(group, group.join_at);
}

void ClassicGroups::complete_join(Step& step, ClassicGroup& group) {
    DLOG_ASSERT(group.state == GroupState::kPreparingRebalance, group.id);
    group.join_at = kNever;
    // Static members may come back until their session ends.
    std::vector<std::string> absent;
    for (const auto& [member_id, member] : group.members()) {
        if (!member.joining && !member.is_static()) absent.push_back(member_id);
    }
    for (const std::string& member_id : absent) {
        remove_member(step, group, member_id, ErrorCode::kUnknownMemberId);
    }
    if (!group.members().empty() && !group.elect_leader()) {
        group.join_at = step.after(group.rebalance_timeout());
        return wake_by(group, group.join_at);
    }
    group.generation = group.generation == INT32_MAX ? 0 : group.generation + 1;
    group.is_first = false;
    if (group.members().empty()) {
        group.protocol_name.reset();
        group.enter(GroupState::kEmpty, step.now.wall);
        step.effects.records.push_back(group.record());
        return;
    }
    group.protocol_name = group.elect_protocol();
    group.enter(GroupState::kCompletingRebalance, step.now.wall);
    for (auto& [member_id, member] : group.members()) {
        member.has_synced = false;
        member.is_new = false;
        begin_session(step, group, member);
        if (!member.joining) continue;
        JoinGroupResponse response = join_reply(group, member_id);
        std::vector<Buffer> backing;
        if (group.leads(member_id)) tell_members(group, response, backing);
        step.reply(*member.joining, std::move(response), std::move(backing));
        group.set_joining(member, std::nullopt);
    }
    group.sync_at = step.after(group.rebalance_timeout());
    wake_by(group, group.sync_at);
}

void ClassicGroups::take_over(Step& step, std::unique_ptr<ClassicGroup> members) {
    ClassicGroup& group = *members;
    DLOG_ASSERT(group.state == GroupState::kStable && !group.members().empty(), group.id);
    put(std::move(members));
    for (auto& [member_id, member] : group.members()) begin_session(step, group, member);
    rebalance(step, group);
}

void ClassicGroups::break_off(Step& step, ClassicGroup& group) {
    std::vector<std::string> unanswered;
    for (auto& [member_id, member] : group.members()) {
        refuse_waiting(step, group, member, ErrorCode::kRebalanceInProgress);
        if (member.is_new) unanswered.push_back(member_id);
    }
    for (const std::string& member_id : unanswered) group.remove(member_id);
}

void ClassicGroups::on_sync_time(Step& step, ClassicGroup& group) {
    group.sync_at = kNever;
    std::vector<std::string> absent;
    for (const auto& [member_id, member] : group.members()) {
        if (!member.has_synced) absent.push_back(member_id);
    }
    if (absent.empty()) return;
    for (const std::string& member_id : absent) {
        remove_member(step, group, member_id, ErrorCode::kUnknownMemberId);
    }
    rebalance(step, group);
}

void ClassicGroups::look_at(Step& step, ClassicGroup& group) {
    const Instant now = step.now.instant;
    timetable_.forget(group.id, group.slot);
    const auto expired =
        std::erase_if(group.pending, [&](const auto& id) { return id.second <= now; });
    std::vector<std::string> gone;
    for (auto& [member_id, member] : group.members()) {
        if (member.deadline > now) continue;
        // Its request waits here: it is alive.
        if ((member.joining && !member.is_new) || member.syncing) {
            begin_session(step, group, member);
        } else {
            gone.push_back(member_id);
        }
    }
    for (const std::string& member_id : gone) {
        remove_member(step, group, member_id, ErrorCode::kUnknownMemberId);
    }
    if (!gone.empty()) {
        rebalance_or_complete(step, group);
    } else if (expired > 0) {
        complete_join_if_ready(step, group);
    }
    if (group.join_at <= now) on_join_time(step, group);
    if (group.sync_at <= now) on_sync_time(step, group);

    Instant next = std::min(group.join_at, group.sync_at);
    for (const auto& [member_id, until] : group.pending) next = std::min(next, until);
    for (const auto& [member_id, member] : group.members()) next = std::min(next, member.deadline);
    DLOG_ASSERT(next > now, group.id);
    wake_by(group, next);
}

}  // namespace dlog::coordination
