/// For tests: members of the consumer protocol, as clients are. What they hold is what the
/// coordinator last told them, and they give up what they are no longer told of.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/harness.h"

namespace dlog::coordination::test {

using protocol::ConsumerGroupHeartbeatRequest;
using protocol::ConsumerGroupHeartbeatResponse;
using DescribedConsumerGroup = protocol::ConsumerGroupDescribeResponse::DescribedGroup;

using Holding = std::set<std::pair<TopicId, std::int32_t>>;

inline ConsumerGroupHeartbeatResponse send(World& world,
                                           const ConsumerGroupHeartbeatRequest& request) {
    const Ticket ticket = ++world.last_ticket;
    world.apply(ConsumerBeat{ticket, {"client", "/127.0.0.1"}, request}, ticket);
    return world.get<ConsumerGroupHeartbeatResponse>(ticket);
}

inline DescribedConsumerGroup describe_consumers(World& world, const std::string& group = "g") {
    const Ticket ticket = ++world.last_ticket;
    world.apply(ConsumerDescribe{ticket, group}, ticket);
    return world.get<DescribedConsumerGroup>(ticket);
}

struct Consumer {
    std::string id;
    std::vector<std::string> topics = {"orders"};
    std::optional<std::string> instance = {};
    std::optional<std::string> assignor = {};
    std::string group = "g";
    std::int32_t rebalance_ms = 60'000;
    std::optional<std::string> pattern = {};

    std::int32_t epoch = 0;
    Holding holding = {};

    /// With all that a member can say.
    [[nodiscard]] ConsumerGroupHeartbeatRequest full() const {
        ConsumerGroupHeartbeatRequest request = brief();
        request.rebalance_timeout_ms = rebalance_ms;
        request.subscribed_topic_names = topics;
        request.subscribed_topic_regex = pattern;
        request.server_assignor = assignor;
        request.topic_partitions = owned();
        return request;
    }
    [[nodiscard]] ConsumerGroupHeartbeatRequest brief() const {
        ConsumerGroupHeartbeatRequest request;
        request.group_id = group;
        request.member_id = id;
        request.member_epoch = epoch;
        request.instance_id = instance;
        return request;
    }
    [[nodiscard]] std::vector<ConsumerGroupHeartbeatRequest::TopicPartitions> owned() const {
        std::map<TopicId, std::vector<std::int32_t>> by_topic;
        for (const auto& [topic, partition] : holding) by_topic[topic].push_back(partition);
        std::vector<ConsumerGroupHeartbeatRequest::TopicPartitions> result;
        for (const auto& [topic, partitions] : by_topic) {
            auto& out = result.emplace_back();
            out.topic_id = topic;
            out.partitions = partitions;
        }
        return result;
    }
    void take(const ConsumerGroupHeartbeatResponse& response) {
        id = response.member_id.value_or(id);
        epoch = response.member_epoch;
        if (!response.assignment) return;
        holding.clear();
        for (const auto& topic : response.assignment->topic_partitions) {
            for (const std::int32_t partition : topic.partitions) {
                holding.emplace(topic.topic_id, partition);
            }
        }
    }
    /// One heartbeat that says everything, or joins. Fenced, it holds nothing and joins next time.
    ErrorCode beat(World& world) {
        const auto response = send(world, full());
        if (response.error_code == ErrorCode::kNone) {
            take(response);
        } else {
            epoch = 0;
            holding.clear();
        }
        return response.error_code;
    }
    ErrorCode leave(World& world, std::int32_t leaving_epoch = -1) {
        ConsumerGroupHeartbeatRequest request = brief();
        request.member_epoch = leaving_epoch;
        epoch = 0;
        holding.clear();
        return send(world, request).error_code;
    }
};

}  // namespace dlog::coordination::test
