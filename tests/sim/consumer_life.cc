/// A member's life in the consumer protocol (KIP-848).
#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "base/assert.h"
#include "group_member.h"
#include "port/clock.h"
#include "protocol/messages/consumer_group_heartbeat.h"

namespace dlog::simtest {

using port::Task;
using protocol::ConsumerGroupHeartbeatRequest;
using protocol::ConsumerGroupHeartbeatResponse;
using protocol::ErrorCode;

namespace {

constexpr std::int32_t kJoiningEpoch = 0;
constexpr std::int32_t kLeavingEpoch = -1;
constexpr std::int32_t kStaticLeavingEpoch = -2;

ConsumerGroupHeartbeatRequest heartbeat(const Member& self, std::int32_t epoch) {
    ConsumerGroupHeartbeatRequest request;
    request.group_id = self.plan.group;
    request.member_id = self.id;
    request.member_epoch = epoch;
    request.instance_id = self.instance_id();
    return request;
}

/// With all that a member can say.
void say_everything(Member& self, ConsumerGroupHeartbeatRequest& request) {
    request.rebalance_timeout_ms = kRebalanceTimeoutMs;
    request.subscribed_topic_names = std::vector<std::string>{self.plan.topic};
    const std::uint64_t wish = self.random.below(3);
    if (wish > 0) request.server_assignor = wish == 1 ? "uniform" : "range";
    auto& owned = request.topic_partitions.emplace();
    if (self.positions.empty()) return;
    auto& topic = owned.emplace_back();
    topic.topic_id = self.plan.topic_id;
    for (const auto& [partition, offset] : self.positions) topic.partitions.push_back(partition);
}

std::set<std::int32_t> partitions_of(Member& self,
                                     const ConsumerGroupHeartbeatResponse::Assignment& assignment) {
    std::set<std::int32_t> result;
    for (const auto& topic : assignment.topic_partitions) {
        if (topic.topic_id != self.plan.topic_id) {
            self.clients.history.fail("a member was given a topic that it did not ask for");
        }
        result.insert(topic.partitions.begin(), topic.partitions.end());
    }
    return result;
}

/// Gives up what it is no longer told of, perhaps with a last commit, and takes what is new.
Task<bool> follow(Member& self, std::set<std::int32_t> assigned) {
    const auto stays = [&](const auto& each) { return assigned.contains(each.first); };
    if (!std::ranges::all_of(self.positions, stays)) {
        if (self.random.chance(1, 2) && !co_await commit(self) && self.id.empty()) co_return false;
        const bool keeps_claims = self.clients.canary == Canary::kKeepsRevoked;
        for (const auto& [partition, offset] : self.positions) {
            if (assigned.contains(partition) || keeps_claims) continue;
            self.groups.releases(self.plan.group, partition, self.plan.name);
        }
        std::erase_if(self.positions, [&](const auto& each) { return !stays(each); });
    }
    for (const std::int32_t partition : assigned) self.positions.emplace(partition, std::nullopt);
    self.must_report = true;
    co_return true;
}

/// One heartbeat and what follows from the answer. False when it is no member any more.
Task<bool> beat(Member& self) {
    const bool joins = self.generation == kJoiningEpoch;
    ConsumerGroupHeartbeatRequest request = heartbeat(self, self.generation);
    const bool is_full = joins || self.must_report || self.random.chance(1, 5);
    if (is_full) say_everything(self, request);
    const Instant sent = self.now();
    const auto reply = co_await Wire::call(self.wire, 1, std::move(request));
    if (!reply) {
        // The epoch before its present one is good for one that says everything.
        self.must_report = true;
        if (joins || self.wire.is_garbled() || self.random.chance(1, 2)) lose(self);
        co_return !self.id.empty();
    }
    const ConsumerGroupHeartbeatResponse& answer = reply->message;
    if (!look_at(self, answer.error_code, "a heartbeat of the consumer protocol")) {
        // Not there yet, or somebody of its name still is: it tries again.
        co_return !self.id.empty();
    }
    if (is_full) self.must_report = false;
    self.generation = answer.member_epoch;
    self.groups.is_of(self.plan.group, true);
    const bool hears_late =
        self.clients.canary == Canary::kEpochsGoBack && self.random.chance(1, 100);
    self.groups.has_epoch(self.plan.group, self.id, self.generation - (hears_late ? 1 : 0));
    if (answer.assignment && !co_await follow(self, partitions_of(self, *answer.assignment))) {
        co_return false;
    }
    self.renew(sent);
    co_return true;
}

/// A static member may go for a while only.
Task<void> leave(Member& self, std::int32_t epoch) {
    self.release_all();
    // Whether it arrives or not, the session ends.
    (void)co_await Wire::call(self.wire, 1, heartbeat(self, epoch));
    self.forget();
}

Task<void> go(Member& self) {
    const std::uint64_t way = self.random.below(3);
    if (way == 0) co_await leave(self, kLeavingEpoch);
    if (way == 1 && self.instance_id()) co_await leave(self, kStaticLeavingEpoch);
    self.wire.drop();
    self.forget();
}

}  // namespace

Task<void> leave_as_consumer(Member& self) {
    co_await leave(self, kLeavingEpoch);
}

Task<void> live_as_consumer(Member& self) {
    if (self.id.empty()) {
        self.id = self.plan.name + "-" + std::to_string(self.random.next());
        self.generation = kJoiningEpoch;
        self.must_report = false;
    }
    while (self.goes_on()) {
        if (self.clients.is_producing && self.random.chance(1, self.beats()))
            co_return co_await go(self);
        if (!co_await beat(self)) co_return;
        if (!self.positions.empty() && self.random.chance(3, 4)) {
            if (co_await begin_at_offsets(self)) (void)co_await commit(self);
            if (self.id.empty()) co_return;
        }
        co_await port::sleep_for(self.clients.ports.clock,
                                 milliseconds(self.random.between(2, 120)));
    }
}

}  // namespace dlog::simtest
