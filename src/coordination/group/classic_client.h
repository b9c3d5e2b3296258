/// For tests: a consumer of the classic protocol, which answers to nothing but what it is told.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordination/group/consumer_harness.h"
#include "coordination/group/embedded_protocol.h"

namespace dlog::coordination::test {

struct ClassicClient {
    std::string id = {};
    std::optional<std::string> instance = {};
    /// Keeps what it has while it joins; otherwise it gives all up first.
    bool is_cooperative = false;
    std::vector<std::string> topics = {"orders"};

    std::int32_t generation = -1;
    Holding holding = {};
    std::optional<Ticket> joining = {};
    std::optional<Ticket> syncing = {};
    bool is_member = false;  ///< Has synced in its generation, and need not join again.

    void abandon() {
        generation = -1;
        holding.clear();
        joining.reset();
        syncing.reset();
        is_member = false;
    }
    /// What the answers and the time call for.
    void act(World& world) {
        if (joining) {
            hear_join(world);
        } else if (syncing) {
            hear_sync(world);
        } else if (is_member) {
            is_member = hear(world.beat(id, generation, instance));
        }
        if (!joining && !syncing && !is_member) join(world);
    }
    [[nodiscard]] std::string subscribe(const Topics& known) const {
        protocol::ConsumerProtocolSubscription message;
        message.topics = topics;
        for (const auto& [topic_id, partition] : holding) {
            Topics::Topic topic;
            if (!known.find(topic_id, topic)) continue;
            auto& out = message.owned_partitions.emplace_back();
            out.topic = topic.name;
            out.partitions = {partition};
        }
        protocol::Writer writer;
        writer.write(std::int16_t{3});
        DLOG_ASSERT(message.encode(writer, 3).has_value());
        return std::string(as_text(writer.take().view()));
    }

  private:
    void join(World& world) {
        if (!is_cooperative) holding.clear();
        const std::string name = is_cooperative ? "cooperative-sticky" : "range";
        joining = world.join({.member = id,
                              .instance = instance,
                              .protocols = {{name, subscribe(world.topics)}},
                              .version = 9});
    }
    /// False: it has to join again.
    bool hear(ErrorCode error) {
        if (error == ErrorCode::kNone) return true;
        if (error == ErrorCode::kRebalanceInProgress) return false;
        // The coordinator may have given its partitions to others.
        abandon();
        if (error != ErrorCode::kIllegalGeneration) id.clear();
        return false;
    }
    void hear_join(World& world) {
        if (!world.replies.contains(*joining)) {
            if (!world.waits(*joining)) joining.reset();  // The coordinator began anew.
            return;
        }
        const auto response = world.joined(*joining);
        joining.reset();
        if (response.error_code == ErrorCode::kMemberIdRequired) id = response.member_id;
        if (response.error_code == ErrorCode::kMemberIdRequired) return;
        if (!hear(response.error_code)) return;
        id = response.member_id;
        generation = response.generation_id;
        std::map<std::string, std::string> assignments;
        if (response.leader == id) assignments = assign(world, response);
        syncing = world.sync(id, generation, assignments);
    }
    /// Each partition to one of those who want its topic in turn; what one owns and another is to
    /// have is with nobody until the next time, when members are cooperative.
    static std::map<std::string, std::string> assign(World& world,
                                                     const protocol::JoinGroupResponse& response) {
        std::map<std::string, std::map<std::string, std::vector<std::int32_t>>> shares;
        std::map<std::pair<std::string, std::int32_t>, std::string> owners;
        std::map<std::string, std::vector<std::string>> wanted;
        for (const auto& member : response.members) {
            const auto said = decode_subscription(member.metadata);
            DLOG_ASSERT(said.has_value());
            shares[member.member_id];
            for (const auto& topic : said->topics) wanted[topic].push_back(member.member_id);
            for (const auto& topic : said->owned_partitions) {
                for (const auto number : topic.partitions) {
                    owners[{topic.topic, number}] = member.member_id;
                }
            }
        }
        for (const auto& [name, members] : wanted) {
            Topics::Topic topic;
            if (!world.topics.find(name, topic)) continue;
            for (std::int32_t number = 0; number < topic.partition_count; ++number) {
                const std::string& next =
                    members[static_cast<std::size_t>(number) % members.size()];
                const auto owner = owners.find({name, number});
                if (owner != owners.end() && owner->second != next) continue;
                shares[next][name].push_back(number);
            }
        }
        std::map<std::string, std::string> result;
        for (const auto& [member_id, topics] : shares) {
            protocol::ConsumerProtocolAssignment message;
            for (const auto& [name, numbers] : topics) {
                auto& out = message.assigned_partitions.emplace_back();
                out.topic = name;
                out.partitions = numbers;
            }
            result[member_id] = std::string(as_text(encode_assignment(message, {}).view()));
        }
        return result;
    }
    void hear_sync(World& world) {
        if (!world.replies.contains(*syncing)) {
            if (!world.waits(*syncing)) syncing.reset();
            return;
        }
        const auto response = world.synced(*syncing);
        syncing.reset();
        if (!hear(response.error_code)) return;
        const auto assignment = decode_assignment(response.assignment);
        DLOG_ASSERT(assignment.has_value());
        Holding told;
        for (const auto& each : assignment->assigned_partitions) {
            Topics::Topic topic;
            if (!world.topics.find(each.topic, topic)) continue;
            for (const std::int32_t number : each.partitions) told.emplace(topic.id, number);
        }
        // Who has given something up says so by joining again.
        is_member = std::ranges::includes(told, holding);
        holding = std::move(told);
    }
};

}  // namespace dlog::coordination::test
