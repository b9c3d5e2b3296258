#include "client/assignors.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/random.h"
#include "client/group_codec.h"

namespace dlog::client {
namespace {

std::size_t count(const TopicPartitions& partitions) {
    std::size_t total = 0;
    for (const auto& [topic, numbers] : partitions) total += numbers.size();
    return total;
}

/// What the members hold once they have obeyed.
void obey(std::vector<Subscription>& members, const Assignments& assigned,
          std::int32_t generation) {
    for (Subscription& member : members) {
        member.owned = assigned.at(member.member_id);
        member.generation = generation;
    }
}

/// Joins until nobody has anything to give up; how often that took.
int settle(std::vector<Subscription>& members, const PartitionCounts& counts, int generation) {
    for (int rounds = 1;; ++rounds) {
        REQUIRE(rounds < 10);
        const Assignments assigned = assign_cooperative_sticky(members, counts);
        bool gives_up = false;
        for (const Subscription& member : members) {
            gives_up |= !without(member.owned, assigned.at(member.member_id)).empty();
        }
        obey(members, assigned, generation + rounds);
        if (!gives_up) return rounds;
    }
}

TEST_CASE("range gives each subscriber a run, the longer ones to those who come first") {
    const PartitionCounts counts{{"a", 5}, {"b", 1}};
    const Assignments assigned = assign_range(
        {{.member_id = "m2", .topics = {"a", "b"}}, {.member_id = "m1", .topics = {"a"}}}, counts);
    CHECK(assigned.at("m1") == TopicPartitions{{"a", {0, 1, 2}}});
    CHECK(assigned.at("m2") == TopicPartitions{{"a", {3, 4}}, {"b", {0}}});
}

TEST_CASE("range puts static members first, by their instance ids, whatever their member ids") {
    const PartitionCounts counts{{"a", 3}};
    const Assignments assigned =
        assign_range({{.member_id = "m1", .topics = {"a"}},
                      {.member_id = "m9", .instance_id = "x", .topics = {"a"}},
                      {.member_id = "m8", .instance_id = "y", .topics = {"a"}}},
                     counts);
    CHECK(assigned.at("m9") == TopicPartitions{{"a", {0}}});
    CHECK(assigned.at("m8") == TopicPartitions{{"a", {1}}});
    CHECK(assigned.at("m1") == TopicPartitions{{"a", {2}}});
}

TEST_CASE("range gives nothing of a topic that is not there and to members beyond the partitions") {
    const Assignments assigned = assign_range(
        {{.member_id = "m1", .topics = {"a", "none"}}, {.member_id = "m2", .topics = {"a"}}},
        {{"a", 1}});
    CHECK(assigned.at("m1") == TopicPartitions{{"a", {0}}});
    CHECK(assigned.at("m2").empty());
}

TEST_CASE("a partition on its way to another member is with nobody for one round (KIP-429)") {
    const PartitionCounts counts{{"a", 4}};
    std::vector<Subscription> members = {{.member_id = "m1", .topics = {"a"}}};
    obey(members, assign_cooperative_sticky(members, counts), 1);
    CHECK(count(members[0].owned) == 4);
    members.push_back({.member_id = "m2", .topics = {"a"}});
    const Assignments first = assign_cooperative_sticky(members, counts);
    CHECK(count(first.at("m1")) == 2);
    CHECK(first.at("m2").empty());
    const TopicPartitions kept = first.at("m1");
    obey(members, first, 2);
    const Assignments second = assign_cooperative_sticky(members, counts);
    CHECK(second.at("m1") == kept);
    CHECK(count(second.at("m2")) == 2);
    CHECK(without(second.at("m2"), kept) == second.at("m2"));
}

TEST_CASE("of two claims the later generation's counts, and of equal ones neither is kept") {
    const PartitionCounts counts{{"a", 2}};
    const TopicPartitions both{{"a", {0, 1}}};
    std::vector<Subscription> members = {
        {.member_id = "m1", .topics = {"a"}, .owned = both, .generation = 3},
        {.member_id = "m2", .topics = {"a"}, .owned = {{"a", {1}}}, .generation = 4}};
    // m1 still has to give 1 up before m2 may read it.
    const Assignments assigned = assign_cooperative_sticky(members, counts);
    CHECK(assigned.at("m1") == TopicPartitions{{"a", {0}}});
    CHECK(assigned.at("m2").empty());
    members[1].owned = both;
    members[1].generation = 3;
    const Assignments disputed = assign_cooperative_sticky(members, counts);
    CHECK(disputed.at("m1").empty());
    CHECK(disputed.at("m2").empty());
}

TEST_CASE(
    "claims of partitions and topics that are not there, or not subscribed, are passed over") {
    const std::vector<Subscription> members = {
        {.member_id = "m1",
         .topics = {"a"},
         .owned = {{"a", {-1, 7, 0}}, {"gone", {0}}, {"b", {0}}}}};
    const Assignments assigned = assign_cooperative_sticky(members, {{"a", 2}, {"b", 1}});
    CHECK(assigned.at("m1") == TopicPartitions{{"a", {0, 1}}});
}

TEST_CASE("members that come and go: always a partition's only reader, even loads, few moves") {
    Random random(11);
    const PartitionCounts counts{{"a", 7}, {"b", 12}, {"c", 1}};
    std::vector<Subscription> members;
    int next_id = 0;
    for (int step = 0; step < 200; ++step) {
        CAPTURE(step);
        const bool grows = members.empty() || (members.size() < 9 && random.chance(1, 2));
        const std::vector<Subscription> before = members;
        if (grows) {
            members.push_back({.member_id = std::to_string(next_id++), .topics = {"a", "b", "c"}});
        } else {
            members.erase(members.begin() +
                          static_cast<std::ptrdiff_t>(random.below(members.size())));
        }
        if (members.empty()) continue;
        CHECK(settle(members, counts, step * 10) <= 3);
        std::set<std::pair<std::string, std::int32_t>> seen;
        std::size_t least = 1000;
        std::size_t most = 0;
        for (const Subscription& member : members) {
            least = std::min(least, count(member.owned));
            most = std::max(most, count(member.owned));
            for (const auto& [topic, numbers] : member.owned) {
                for (const std::int32_t number : numbers) CHECK(seen.emplace(topic, number).second);
            }
        }
        CHECK(seen.size() == 20);
        CHECK(most <= least + 1);
        // Only a newcomer's share moves, and nothing of those who stay when one leaves.
        for (const Subscription& member : members) {
            const auto earlier =
                std::ranges::find(before, member.member_id, &Subscription::member_id);
            if (earlier == before.end()) continue;
            const TopicPartitions lost = without(earlier->owned, member.owned);
            if (!grows) CHECK(lost.empty());
            if (grows) CHECK(count(lost) <= count(members.back().owned));
        }
    }
}

TEST_CASE("members with different topics are levelled as far as their subscriptions allow") {
    std::vector<Subscription> members = {{.member_id = "m1", .topics = {"a", "b"}},
                                         {.member_id = "m2", .topics = {"b"}}};
    settle(members, {{"a", 3}, {"b", 3}}, 0);
    CHECK(members[0].owned == TopicPartitions{{"a", {0, 1, 2}}});
    CHECK(members[1].owned == TopicPartitions{{"b", {0, 1, 2}}});
}

TEST_CASE("a subscription and an assignment come back from their bytes, and damage is told") {
    const Subscription subscription{
        .topics = {"a", "b"}, .owned = {{"a", {0, 3}}}, .generation = 5};
    const auto decoded = decode_subscription(encode_subscription(subscription).view());
    REQUIRE(decoded.has_value());
    CHECK(decoded->topics == subscription.topics);
    CHECK(decoded->owned == subscription.owned);
    CHECK(decoded->generation == 5);
    const TopicPartitions assigned{{"a", {1}}, {"b", {0, 2}}};
    const Buffer bytes = encode_assignment(assigned);
    CHECK(decode_assignment(bytes.view()) == assigned);
    CHECK(decode_assignment(ByteView())->empty());
    for (std::size_t size = 1; size + 4 < bytes.size(); ++size) {
        CHECK(!decode_assignment(bytes.view().first(size)).has_value());
    }
}

}  // namespace
}  // namespace dlog::client
