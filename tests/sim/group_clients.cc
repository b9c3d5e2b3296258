#include "group_clients.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "port/clock.h"
#include "protocol/error_code.h"
#include "protocol/messages/find_coordinator.h"
#include "protocol/messages/heartbeat.h"
#include "protocol/messages/join_group.h"
#include "protocol/messages/leave_group.h"
#include "protocol/messages/offset_commit.h"
#include "protocol/messages/offset_fetch.h"
#include "protocol/messages/sync_group.h"

namespace dlog::simtest {

using port::Task;
using protocol::ErrorCode;

void GroupHistory::owns(const std::string& group, std::int32_t generation, std::int32_t partition,
                        const std::string& member) {
    const auto [place, is_new] = owners_.emplace(std::tuple(group, generation, partition), member);
    if (is_new || place->second == member) return;
    history_.fail("group " + group + ": partition " + std::to_string(partition) +
                  " of generation " + std::to_string(generation) + " was given to " +
                  place->second + " and to " + member);
}

void GroupHistory::acknowledged(const std::string& group, std::int32_t partition,
                                std::int64_t offset) {
    std::int64_t& highest = acknowledged_.try_emplace({group, partition}, -1).first->second;
    highest = std::max(highest, offset);
    ++commits_;
}

std::int64_t GroupHistory::floor_of(const std::string& group, std::int32_t partition) const {
    const auto found = acknowledged_.find({group, partition});
    return found == acknowledged_.end() ? -1 : found->second;
}

void GroupHistory::fetched(const std::string& group, std::int32_t partition, std::int64_t offset,
                           std::int64_t floor) {
    if (offset >= floor) return;
    history_.fail("group " + group + ": partition " + std::to_string(partition) + " is at " +
                  std::to_string(offset) + " but a commit of " + std::to_string(floor) +
                  " was acknowledged before");
}

namespace {

constexpr Duration kRetryPause = milliseconds(100);
constexpr std::int32_t kSessionTimeoutMs = 2500;
constexpr std::int32_t kRebalanceTimeoutMs = 2000;

struct Member {
    Member(Clients& owner, GroupHistory& group_history, GroupPlan group_plan)
        : clients(owner),
          groups(group_history),
          plan(std::move(group_plan)),
          random(plan.seed),
          wire(owner.ports, owner.endpoint) {}

    [[nodiscard]] std::optional<std::string> instance_id() const {
        if (plan.instance_id.empty()) return std::nullopt;
        return plan.instance_id;
    }
    void forget() {
        id.clear();
        generation = -1;
        positions.clear();
    }

    Clients& clients;
    GroupHistory& groups;
    GroupPlan plan;
    Random random;
    Wire wire;
    std::string id;
    std::int32_t generation = -1;
    /// The partitions that it has, and up to where it has committed them.
    std::map<std::int32_t, std::int64_t> positions;
    std::vector<std::string> followers;  ///< Everyone, when it leads.
};

/// What ends a membership without being wrong; anything else is.
bool is_lost(ErrorCode code) {
    return code == ErrorCode::kUnknownMemberId || code == ErrorCode::kIllegalGeneration ||
           code == ErrorCode::kFencedInstanceId;
}

bool is_later(ErrorCode code) {
    return code == ErrorCode::kCoordinatorLoadInProgress ||
           code == ErrorCode::kCoordinatorNotAvailable || code == ErrorCode::kNotCoordinator ||
           code == ErrorCode::kRebalanceInProgress;
}

/// True when all is well. Otherwise the member has drawn the consequences.
bool look_at(Member& self, ErrorCode code, std::string_view what) {
    if (code == ErrorCode::kNone) return true;
    if (is_lost(code)) {
        self.forget();
    } else if (!is_later(code)) {
        self.clients.history.fail(std::string(what) + " was refused with " +
                                  std::string(protocol::error_code_name(code)));
    }
    return false;
}

/// An answer that is lost may come of a request that is still under way, and its effect later than
/// that of what is sent next: whoever lost one begins anew, so that it is of a generation gone by.
void lose(Member& self) {
    if (self.wire.is_garbled()) self.clients.history.fail("the node answered with no answer");
    self.forget();
}

Task<bool> find_coordinator(Member& self) {
    protocol::FindCoordinatorRequest request;
    request.coordinator_keys = {self.plan.group};
    const auto reply = co_await Wire::call(self.wire, 4, std::move(request));
    if (!reply) lose(self);
    co_return reply&& look_at(self, reply->message.coordinators.at(0).error_code, "a coordinator");
}

Task<bool> join(Member& self) {
    protocol::JoinGroupRequest request;
    request.group_id = self.plan.group;
    request.session_timeout_ms = kSessionTimeoutMs;
    request.rebalance_timeout_ms = kRebalanceTimeoutMs;
    request.member_id = self.id;
    request.group_instance_id = self.instance_id();
    request.protocol_type = "consumer";
    request.protocols.push_back({.name = "range", .metadata = as_bytes(self.plan.group)});
    const auto reply = co_await Wire::call(self.wire, 9, std::move(request));
    if (!reply) {
        lose(self);
        co_return false;
    }
    const protocol::JoinGroupResponse& joined = reply->message;
    if (joined.error_code == ErrorCode::kMemberIdRequired) {
        self.id = joined.member_id;
        co_return false;
    }
    if (!look_at(self, joined.error_code, "a join")) co_return false;
    self.id = joined.member_id;
    self.generation = joined.generation_id;
    self.followers.clear();
    if (joined.leader == self.id && !joined.skip_assignment) {
        for (const auto& member : joined.members) self.followers.push_back(member.member_id);
    }
    co_return true;
}

/// The leader deals the partitions out: one byte for each in a member's assignment.
Task<bool> sync(Member& self) {
    std::vector<std::string> parts(self.followers.size());
    for (std::int32_t at = 0; at < self.plan.partitions && !parts.empty(); ++at) {
        parts[static_cast<std::size_t>(at) % parts.size()] += static_cast<char>(at);
    }
    protocol::SyncGroupRequest request;
    request.group_id = self.plan.group;
    request.generation_id = self.generation;
    request.member_id = self.id;
    request.group_instance_id = self.instance_id();
    for (std::size_t i = 0; i < parts.size(); ++i) {
        request.assignments.push_back(
            {.member_id = self.followers[i], .assignment = as_bytes(parts[i])});
    }
    const auto reply = co_await Wire::call(self.wire, 4, std::move(request));
    if (!reply) {
        lose(self);
        co_return false;
    }
    if (!look_at(self, reply->message.error_code, "a sync")) co_return false;
    self.positions.clear();
    for (const std::uint8_t partition : reply->message.assignment) {
        self.positions.emplace(partition, -1);
        // One that takes a static member's place takes its part (KIP-345).
        self.groups.owns(self.plan.group, self.generation, partition,
                         self.instance_id().value_or(self.id));
    }
    co_return true;
}

protocol::OffsetFetchRequest fetch_request(const GroupPlan& plan) {
    protocol::OffsetFetchRequest request;
    auto& group = request.groups.emplace_back();
    group.group_id = plan.group;
    auto& topic = group.topics.emplace().emplace_back();
    topic.name = plan.topic;
    for (std::int32_t at = 0; at < plan.partitions; ++at) topic.partition_indexes.push_back(at);
    return request;
}

using Committed = protocol::OffsetFetchResponse::OffsetFetchResponsePartitions;

/// Everything that the group has committed, checked; nothing when no answer came.
Task<std::optional<std::vector<Committed>>> fetch_offsets(Member& self) {
    std::vector<std::int64_t> floors;
    for (std::int32_t at = 0; at < self.plan.partitions; ++at) {
        floors.push_back(self.groups.floor_of(self.plan.group, at));
    }
    auto reply = co_await Wire::call(self.wire, 8, fetch_request(self.plan));
    if (!reply) {
        lose(self);
        co_return std::nullopt;
    }
    auto& group = reply->message.groups.at(0);
    if (!look_at(self, group.error_code, "an offset fetch")) co_return std::nullopt;
    std::vector<Committed> found = std::move(group.topics.at(0).partitions);
    for (const Committed& one : found) {
        self.groups.fetched(self.plan.group, one.partition_index, one.committed_offset,
                            floors.at(static_cast<std::size_t>(one.partition_index)));
    }
    co_return found;
}

Task<bool> begin_at_offsets(Member& self) {
    const auto found = co_await fetch_offsets(self);
    if (!found) co_return false;
    for (const Committed& one : *found) {
        const auto own = self.positions.find(one.partition_index);
        if (own != self.positions.end()) own->second = one.committed_offset;
    }
    co_return true;
}

Task<bool> commit(Member& self) {
    protocol::OffsetCommitRequest request;
    request.group_id = self.plan.group;
    request.generation_id_or_member_epoch = self.generation;
    request.member_id = self.id;
    request.group_instance_id = self.instance_id();
    auto& topic = request.topics.emplace_back();
    topic.name = self.plan.topic;
    std::map<std::int32_t, std::int64_t> next = self.positions;
    for (auto& [partition, offset] : next) {
        offset += self.random.between(1, 100);
        topic.partitions.push_back(
            {.partition_index = partition, .committed_offset = offset, .committed_metadata = ""});
    }
    const auto reply = co_await Wire::call(self.wire, 8, std::move(request));
    if (!reply) {
        lose(self);
        co_return false;
    }
    for (const auto& one : reply->message.topics.at(0).partitions) {
        if (!look_at(self, one.error_code, "a commit")) co_return false;
        self.groups.acknowledged(self.plan.group, one.partition_index,
                                 next.at(one.partition_index));
    }
    self.positions = std::move(next);
    co_return true;
}

Task<bool> beat(Member& self) {
    protocol::HeartbeatRequest request;
    request.group_id = self.plan.group;
    request.generation_id = self.generation;
    request.member_id = self.id;
    request.group_instance_id = self.instance_id();
    const auto reply = co_await Wire::call(self.wire, 4, std::move(request));
    if (!reply) lose(self);
    co_return reply&& look_at(self, reply->message.error_code, "a heartbeat");
}

Task<void> leave(Member& self) {
    protocol::LeaveGroupRequest request;
    request.group_id = self.plan.group;
    request.members.push_back({.member_id = self.id, .group_instance_id = self.instance_id()});
    // Whether it arrives or not, the session ends.
    (void)co_await Wire::call(self.wire, 4, std::move(request));
    self.forget();
}

/// A generation from its beginning to what ends it.
Task<void> live_one_generation(Member& self) {
    if (!co_await join(self)) co_return;
    if (!co_await sync(self)) co_return;
    if (!co_await begin_at_offsets(self)) co_return;
    while (self.clients.is_producing) {
        co_await port::sleep_for(self.clients.ports.clock,
                                 milliseconds(self.random.between(2, 120)));
        if (self.random.chance(1, 100)) {
            if (self.random.chance(1, 2)) co_await leave(self);
            self.wire.drop();
            self.forget();
            co_return;
        }
        if (!co_await beat(self)) co_return;
        if (!self.positions.empty() && self.random.chance(3, 4) && !co_await commit(self)) {
            co_return;
        }
    }
}

}  // namespace

Task<void> be_member(Clients& clients, GroupHistory& groups, GroupPlan plan) {
    ++clients.busy_producers;
    Member self(clients, groups, std::move(plan));
    while (clients.is_producing) {
        if (co_await find_coordinator(self)) co_await live_one_generation(self);
        co_await port::sleep_for(clients.ports.clock, kRetryPause);
    }
    if (!self.id.empty()) co_await leave(self);
    --clients.busy_producers;
}

Task<void> check_offsets(Clients& clients, GroupHistory& groups, GroupPlan plan) {
    Member self(clients, groups, std::move(plan));
    while (true) {
        if (co_await find_coordinator(self) && co_await fetch_offsets(self)) break;
        co_await port::sleep_for(clients.ports.clock, kRetryPause);
    }
    --clients.readings_missing;
}

}  // namespace dlog::simtest
