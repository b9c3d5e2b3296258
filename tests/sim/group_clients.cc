#include "group_clients.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "group_member.h"
#include "port/clock.h"
#include "protocol/error_code.h"
#include "protocol/messages/consumer_protocol.h"
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

namespace {

constexpr Duration kRetryPause = milliseconds(100);

/// What ends a membership without being wrong; anything else is.
bool is_lost(ErrorCode code) {
    return code == ErrorCode::kUnknownMemberId || code == ErrorCode::kIllegalGeneration ||
           code == ErrorCode::kFencedInstanceId || code == ErrorCode::kFencedMemberEpoch ||
           code == ErrorCode::kGroupIdNotFound;
}

bool is_later(ErrorCode code) {
    return code == ErrorCode::kCoordinatorLoadInProgress ||
           code == ErrorCode::kCoordinatorNotAvailable || code == ErrorCode::kNotCoordinator ||
           code == ErrorCode::kRebalanceInProgress || code == ErrorCode::kStaleMemberEpoch ||
           code == ErrorCode::kUnreleasedInstanceId ||
           // Members that vanished are in the group's record until their sessions end.
           code == ErrorCode::kGroupMaxSizeReached;
}

}  // namespace

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

namespace {

/// What classic members of a group say that may change its protocol.
template <class Message>
Buffer embedded(const Message& message) {
    protocol::Writer writer;
    writer.write(Message::kHighestVersion);
    const auto encoded = message.encode(writer, Message::kHighestVersion);
    DLOG_ASSERT(encoded.has_value());
    return writer.take();
}

Buffer subscription_of(const GroupPlan& plan) {
    if (plan.kind == GroupKind::kClassic) return Buffer::copy_of(as_bytes(plan.group));
    protocol::ConsumerProtocolSubscription subscription;
    subscription.topics.push_back(plan.topic);
    return embedded(subscription);
}

Buffer encode_part(const GroupPlan& plan, const std::vector<std::int32_t>& partitions) {
    if (plan.kind == GroupKind::kClassic) {
        return Buffer::copy_of(
            as_bytes(std::string(partitions.begin(), partitions.end())));  // one byte for each
    }
    protocol::ConsumerProtocolAssignment assignment;
    assignment.assigned_partitions.push_back({.topic = plan.topic, .partitions = partitions});
    return embedded(assignment);
}

std::vector<std::int32_t> decode_part(Member& self, ByteView bytes) {
    if (self.plan.kind == GroupKind::kClassic) return {bytes.begin(), bytes.end()};
    if (bytes.empty()) return {};
    protocol::Reader reader(bytes);
    std::int16_t version = 0;
    reader.read(version);
    auto assignment = protocol::ConsumerProtocolAssignment::decode(reader, version);
    if (!reader.ok() || !assignment) {
        self.clients.history.fail("a member was given an assignment that is none");
        return {};
    }
    std::vector<std::int32_t> partitions;
    for (const auto& topic : assignment->assigned_partitions) {
        partitions.insert(partitions.end(), topic.partitions.begin(), topic.partitions.end());
    }
    return partitions;
}

Task<bool> join(Member& self) {
    self.release_all();
    protocol::JoinGroupRequest request;
    request.group_id = self.plan.group;
    request.session_timeout_ms = kSessionTimeoutMs;
    request.rebalance_timeout_ms = kRebalanceTimeoutMs;
    request.member_id = self.id;
    request.group_instance_id = self.instance_id();
    request.protocol_type = "consumer";
    const Buffer subscription = subscription_of(self.plan);
    request.protocols.push_back({.name = "range", .metadata = subscription.view()});
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
    const bool is_consumer_group = joined.leader.empty();
    self.groups.is_of(self.plan.group, is_consumer_group);
    if (is_consumer_group) self.groups.has_epoch(self.plan.group, self.id, self.generation);
    self.followers.clear();
    if (joined.leader == self.id && !joined.skip_assignment) {
        for (const auto& member : joined.members) self.followers.push_back(member.member_id);
    }
    co_return true;
}

/// The leader deals the partitions out.
Task<bool> sync(Member& self) {
    std::vector<std::vector<std::int32_t>> dealt(self.followers.size());
    for (std::int32_t at = 0; at < self.plan.partitions && !dealt.empty(); ++at) {
        dealt[static_cast<std::size_t>(at) % dealt.size()].push_back(at);
    }
    std::vector<Buffer> parts;
    for (const auto& partitions : dealt) parts.push_back(encode_part(self.plan, partitions));
    protocol::SyncGroupRequest request;
    request.group_id = self.plan.group;
    request.generation_id = self.generation;
    request.member_id = self.id;
    request.group_instance_id = self.instance_id();
    for (std::size_t i = 0; i < parts.size(); ++i) {
        request.assignments.push_back(
            {.member_id = self.followers[i], .assignment = parts[i].view()});
    }
    const Instant sent = self.now();
    const auto reply = co_await Wire::call(self.wire, 4, std::move(request));
    if (!reply) {
        lose(self);
        co_return false;
    }
    if (!look_at(self, reply->message.error_code, "a sync")) co_return false;
    for (const std::int32_t partition : decode_part(self, reply->message.assignment)) {
        self.positions.emplace(partition, std::nullopt);
        // One that takes a static member's place takes its part (KIP-345).
        self.groups.owns(self.plan.group, self.generation, partition,
                         self.instance_id().value_or(self.id));
    }
    self.renew(sent);
    co_return true;
}

protocol::OffsetFetchRequest fetch_request(const Member& self) {
    const GroupPlan& plan = self.plan;
    protocol::OffsetFetchRequest request;
    auto& group = request.groups.emplace_back();
    group.group_id = plan.group;
    if (self.is_consumer) {
        group.member_id = self.id;
        group.member_epoch = self.generation;
    }
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
    auto reply = co_await Wire::call(self.wire, 9, fetch_request(self));
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

}  // namespace

Task<bool> begin_at_offsets(Member& self) {
    const auto is_known = [](const auto& each) { return each.second.has_value(); };
    if (std::ranges::all_of(self.positions, is_known)) co_return true;
    const auto found = co_await fetch_offsets(self);
    if (!found) co_return false;
    for (const Committed& one : *found) {
        const auto own = self.positions.find(one.partition_index);
        if (own != self.positions.end() && !own->second) own->second = one.committed_offset;
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
    auto next = self.positions;
    for (auto& [partition, offset] : next) {
        if (!offset) continue;
        *offset += self.random.between(1, 100);
        const bool is_less = self.clients.canary == Canary::kCommitsLess;
        topic.partitions.push_back({.partition_index = partition,
                                    .committed_offset = *offset - (is_less ? 1 : 0),
                                    .committed_metadata = ""});
    }
    if (topic.partitions.empty()) co_return true;
    const auto reply = co_await Wire::call(self.wire, 9, std::move(request));
    if (!reply) {
        lose(self);
        co_return false;
    }
    for (const auto& one : reply->message.topics.at(0).partitions) {
        if (!look_at(self, one.error_code, "a commit")) co_return false;
        self.groups.acknowledged(self.plan.group, one.partition_index,
                                 *next.at(one.partition_index));
    }
    self.positions = std::move(next);
    co_return true;
}

namespace {

Task<bool> beat(Member& self) {
    protocol::HeartbeatRequest request;
    request.group_id = self.plan.group;
    request.generation_id = self.generation;
    request.member_id = self.id;
    request.group_instance_id = self.instance_id();
    const Instant sent = self.now();
    const auto reply = co_await Wire::call(self.wire, 4, std::move(request));
    if (!reply) {
        lose(self);
        co_return false;
    }
    if (!look_at(self, reply->message.error_code, "a heartbeat")) co_return false;
    self.renew(sent);
    co_return true;
}

Task<void> leave(Member& self) {
    self.release_all();
    protocol::LeaveGroupRequest request;
    request.group_id = self.plan.group;
    request.members.push_back({.member_id = self.id, .group_instance_id = self.instance_id()});
    // Whether it arrives or not, the session ends.
    (void)co_await Wire::call(self.wire, 4, std::move(request));
    self.forget();
}

}  // namespace

Task<void> live_one_generation(Member& self) {
    if (!co_await join(self)) co_return;
    if (!co_await sync(self)) co_return;
    if (!co_await begin_at_offsets(self)) co_return;
    while (self.goes_on()) {
        co_await port::sleep_for(self.clients.ports.clock,
                                 milliseconds(self.random.between(2, 120)));
        if (self.clients.is_producing && self.random.chance(1, self.beats())) {
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

Task<void> be_member(Clients& clients, GroupHistory& groups, GroupPlan plan) {
    ++clients.busy_producers;
    Member self(clients, groups, std::move(plan));
    while (self.goes_on()) {
        // Who is none any more may come back as another.
        if (self.id.empty()) {
            self.is_consumer = self.plan.kind == GroupKind::kConsumer ||
                               (self.plan.kind == GroupKind::kMixed && self.random.chance(1, 2));
        }
        if (co_await find_coordinator(self)) {
            co_await (self.is_consumer ? live_as_consumer(self) : live_one_generation(self));
        }
        co_await port::sleep_for(clients.ports.clock, kRetryPause);
    }
    if (!self.id.empty()) co_await (self.is_consumer ? leave_as_consumer(self) : leave(self));
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
