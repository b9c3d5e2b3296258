#include "coordination/group/assignors.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <numeric>
#include <string>
#include <utility>

#include "base/random.h"

namespace dlog::coordination {

namespace {

TopicId topic_id(std::uint32_t topic) {
    return {1, topic + 1};
}

/// A group that is assigned again and again.
struct Cast {
    struct Member {
        std::string id;
        std::optional<std::string> instance_id;
        std::vector<std::uint32_t> topics;
        PartitionSet target;
    };
    std::vector<std::int32_t> partition_counts;  // Of each topic.
    std::vector<Member> members;

    void assign(Assignor& assignor) {
        std::vector<AssignorTopic> topics;
        for (const std::int32_t count : partition_counts) {
            topics.push_back({topic_id(static_cast<std::uint32_t>(topics.size())), count});
        }
        std::vector<AssignorMember> input;
        for (const Member& member : members) {
            input.push_back({member.id, member.instance_id, member.topics, &member.target});
        }
        auto targets = assignor(topics, input);
        REQUIRE(targets.size() == members.size());
        for (std::size_t i = 0; i < members.size(); ++i) members[i].target = std::move(targets[i]);
    }
    Member& add(const std::string& id, std::vector<std::uint32_t> topics) {
        return members.emplace_back(Member{id, {}, std::move(topics), {}});
    }
    [[nodiscard]] std::size_t share(std::size_t member) const {
        std::size_t result = 0;
        for (const auto& [id, numbers] : members[member].target) result += numbers.size();
        return result;
    }
    /// None twice, each member's in order.
    [[nodiscard]] std::map<std::pair<TopicId, std::int32_t>, std::string> owners() const {
        std::map<std::pair<TopicId, std::int32_t>, std::string> result;
        bool is_sound = true;
        for (const Member& member : members) {
            for (const auto& [id, numbers] : member.target) {
                is_sound = is_sound && !numbers.empty() && std::ranges::is_sorted(numbers);
                for (const std::int32_t number : numbers) {
                    is_sound = result.emplace(std::pair(id, number), member.id).second && is_sound;
                }
            }
        }
        REQUIRE(is_sound);
        return result;
    }
    [[nodiscard]] bool wants(std::size_t member, std::uint32_t topic) const {
        return std::ranges::find(members[member].topics, topic) != members[member].topics.end();
    }
    /// Exactly the partitions of the topics that somebody is subscribed to, each at a subscriber.
    void check_complete() const {
        std::size_t expected = 0;
        for (std::uint32_t topic = 0; topic < partition_counts.size(); ++topic) {
            bool is_subscribed = false;
            for (std::size_t i = 0; i < members.size(); ++i) {
                is_subscribed = is_subscribed || wants(i, topic);
            }
            if (is_subscribed) expected += static_cast<std::size_t>(partition_counts[topic]);
        }
        REQUIRE(owners().size() == expected);
        bool is_sound = true;
        for (std::size_t i = 0; i < members.size(); ++i) {
            for (const auto& [id, numbers] : members[i].target) {
                const auto topic = static_cast<std::uint32_t>(id.low - 1);
                is_sound = is_sound && wants(i, topic) && numbers.front() >= 0 &&
                           numbers.back() < partition_counts[topic];
            }
        }
        REQUIRE(is_sound);
    }
    /// Whether one partition could go from a member to one with at least two fewer.
    [[nodiscard]] bool could_be_more_even() const {
        for (std::size_t giver = 0; giver < members.size(); ++giver) {
            for (const auto& [id, numbers] : members[giver].target) {
                const auto topic = static_cast<std::uint32_t>(id.low - 1);
                for (std::size_t taker = 0; taker < members.size(); ++taker) {
                    if (wants(taker, topic) && share(giver) > share(taker) + 1) return true;
                }
            }
        }
        return false;
    }
};

/// How many partitions have another owner than before, of those whose owner is still there.
template <class Owners>
std::size_t moved(const Owners& before, const Owners& after, const Cast& cast) {
    std::size_t result = 0;
    for (const auto& [partition, owner] : before) {
        const bool is_there = std::ranges::any_of(
            cast.members, [&](const Cast::Member& member) { return member.id == owner; });
        const auto now = after.find(partition);
        if (is_there && now != after.end() && now->second != owner) ++result;
    }
    return result;
}

}  // namespace

TEST_CASE("range: two members share three partitions of two topics alike (Kafka's example)") {
    Cast cast{.partition_counts = {3, 3}};
    cast.add("M0", {0, 1});
    cast.add("M1", {0, 1});
    cast.assign(assign_ranges);
    CHECK(cast.members[0].target == PartitionSet{{topic_id(0), {0, 1}}, {topic_id(1), {0, 1}}});
    CHECK(cast.members[1].target == PartitionSet{{topic_id(0), {2}}, {topic_id(1), {2}}});
}

TEST_CASE("range: static members keep their ranges under new member ids and come first") {
    Cast cast{.partition_counts = {3}};
    cast.add("z", {0}).instance_id = "I0";
    cast.add("a", {0});
    cast.add("y", {0}).instance_id = "I1";
    cast.assign(assign_ranges);
    CHECK(cast.members[0].target == PartitionSet{{topic_id(0), {0}}});
    CHECK(cast.members[2].target == PartitionSet{{topic_id(0), {1}}});
    CHECK(cast.members[1].target == PartitionSet{{topic_id(0), {2}}});
    cast.members[0].id = "b";
    cast.members[2].id = "c";
    const auto before = cast.members;
    cast.assign(assign_ranges);
    for (std::size_t i = 0; i < 3; ++i) CHECK(cast.members[i].target == before[i].target);
}

TEST_CASE("range: more members than partitions leave some idle, and subscriptions may differ") {
    Cast cast{.partition_counts = {3, 2}};
    cast.add("A", {0, 1});
    cast.add("B", {0});
    cast.add("C", {1});
    cast.add("D", {0});
    cast.add("E", {0});
    cast.assign(assign_ranges);
    CHECK(cast.members[0].target == PartitionSet{{topic_id(0), {0}}, {topic_id(1), {0}}});
    CHECK(cast.members[1].target == PartitionSet{{topic_id(0), {1}}});
    CHECK(cast.members[2].target == PartitionSet{{topic_id(1), {1}}});
    CHECK(cast.members[3].target == PartitionSet{{topic_id(0), {2}}});
    CHECK(cast.members[4].target.empty());
    cast.check_complete();
}

TEST_CASE("uniform: two members share two topics of three partitions (Kafka's first assignment)") {
    Cast cast{.partition_counts = {3, 2}};
    cast.add("A", {0, 1});
    cast.add("B", {0, 1});
    cast.assign(assign_uniformly);
    cast.check_complete();
    CHECK(std::max(cast.share(0), cast.share(1)) == 3);
}

TEST_CASE(
    "uniform: a third member takes only what makes the shares even, and stays when one goes") {
    Cast cast{.partition_counts = {3, 3}};
    cast.add("A", {0, 1}).target = {{topic_id(0), {0, 2}}, {topic_id(1), {0}}};
    cast.add("B", {0, 1}).target = {{topic_id(0), {1}}, {topic_id(1), {1, 2}}};
    auto before = cast.owners();
    cast.add("C", {0, 1});
    cast.assign(assign_uniformly);
    cast.check_complete();
    CHECK(moved(before, cast.owners(), cast) == 2);
    for (std::size_t i = 0; i < 3; ++i) CHECK(cast.share(i) == 2);

    before = cast.owners();
    cast.members.erase(cast.members.begin());
    cast.assign(assign_uniformly);
    cast.check_complete();
    CHECK(moved(before, cast.owners(), cast) == 0);
}

TEST_CASE(
    "uniform: what is new goes to who has least, what is gone or no longer wanted is dropped") {
    Cast cast{.partition_counts = {5, 2}};
    cast.add("A", {0}).target = {{topic_id(0), {0, 1, 7, -1}}, {topic_id(1), {0}}};
    cast.add("B", {0}).target = {{topic_id(0), {1, 2}}, {topic_id(9), {0}}};
    cast.assign(assign_uniformly);
    cast.check_complete();
    CHECK(cast.owners().at({topic_id(0), 0}) == "A");
    CHECK(cast.owners().at({topic_id(0), 1}) == "A");
    CHECK(cast.owners().at({topic_id(0), 2}) == "B");
}

TEST_CASE("uniform: members with fewer topics get more of those (Kafka's heterogeneous case)") {
    Cast cast{.partition_counts = {4, 2, 2}};
    cast.add("A", {0, 1});
    cast.add("B", {0, 2});
    cast.add("C", {0});
    cast.assign(assign_uniformly);
    cast.check_complete();
    for (std::size_t i = 0; i < 3; ++i) CHECK(cast.share(i) >= 2);
    for (std::size_t i = 0; i < 3; ++i) CHECK(cast.share(i) <= 3);
}

TEST_CASE("no members, no topics and topics without partitions are shared out too") {
    for (Assignor* const assignor : {&assign_uniformly, &assign_ranges}) {
        Cast cast;
        cast.assign(*assignor);
        cast.add("A", {});
        cast.assign(*assignor);
        cast.partition_counts = {0};
        cast.members[0].topics = {0};
        cast.assign(*assignor);
        CHECK(cast.members[0].target.empty());
    }
    CHECK((find_assignor("uniform") == &assign_uniformly));
    CHECK((find_assignor("range") == &assign_ranges));
    CHECK((find_assignor("sticky") == nullptr));
}

TEST_CASE("uniform: with like subscriptions the shares differ by one and the fewest move") {
    Random random(5);
    for (int group = 0; group < 60; ++group) {
        Cast cast;
        for (auto count = random.between(1, 5); count > 0; --count) {
            cast.partition_counts.push_back(static_cast<std::int32_t>(random.between(1, 12)));
        }
        std::vector<std::uint32_t> topics(cast.partition_counts.size());
        std::iota(topics.begin(), topics.end(), 0);
        for (int change = 0; change < 12; ++change) {
            const auto before = cast.owners();
            if (cast.members.empty() || random.chance(3, 5)) {
                cast.add("m" + std::to_string(random.next()), topics);
            } else {
                cast.members.erase(cast.members.begin() +
                                   static_cast<std::ptrdiff_t>(random.below(cast.members.size())));
            }
            if (random.chance(1, 4)) cast.partition_counts[0] += 2;
            if (cast.members.empty()) continue;
            const auto total = static_cast<std::size_t>(
                std::accumulate(cast.partition_counts.begin(), cast.partition_counts.end(), 0));
            const std::size_t least = total / cast.members.size();
            // Who had more than his share gives away the rest; as many as possible keep one more.
            std::size_t must_move = 0;
            std::size_t larger_shares = total % cast.members.size();
            for (std::size_t i = 0; i < cast.members.size(); ++i) {
                const std::size_t held = cast.share(i);
                if (held <= least) continue;
                const std::size_t extra = larger_shares > 0 ? 1 : 0;
                larger_shares -= extra;
                must_move += held - least - extra;
            }
            cast.assign(assign_uniformly);
            cast.check_complete();
            for (std::size_t i = 0; i < cast.members.size(); ++i) {
                REQUIRE(cast.share(i) >= least);
                REQUIRE(cast.share(i) <= least + 1);
            }
            REQUIRE(moved(before, cast.owners(), cast) == must_move);
        }
    }
}

TEST_CASE("uniform: with any subscriptions no single move makes the shares more even") {
    Random random(6);
    for (int group = 0; group < 60; ++group) {
        Cast cast;
        for (auto count = random.between(1, 6); count > 0; --count) {
            cast.partition_counts.push_back(static_cast<std::int32_t>(random.between(1, 9)));
        }
        for (int change = 0; change < 8; ++change) {
            std::vector<std::uint32_t> topics;
            for (std::uint32_t topic = 0; topic < cast.partition_counts.size(); ++topic) {
                if (random.chance(1, 2)) topics.push_back(topic);
            }
            cast.add("m" + std::to_string(change), topics);
            cast.assign(assign_uniformly);
            cast.check_complete();
            REQUIRE_FALSE(cast.could_be_more_even());
            const auto before = cast.owners();
            cast.assign(assign_uniformly);
            REQUIRE(moved(before, cast.owners(), cast) == 0);
        }
    }
}

TEST_CASE("a thousand members share ten thousand partitions, alike and not") {
    for (const bool is_alike : {true, false}) {
        for (Assignor* const assignor : {&assign_uniformly, &assign_ranges}) {
            Random random(7);
            Cast cast{.partition_counts = std::vector<std::int32_t>(100, 100)};
            for (int member = 0; member < 1'000; ++member) {
                std::vector<std::uint32_t> topics;
                for (std::uint32_t topic = 0; topic < 100; ++topic) {
                    if (is_alike || random.chance(1, 2)) topics.push_back(topic);
                }
                cast.add("m" + std::to_string(member), topics);
            }
            cast.assign(*assignor);
            cast.check_complete();
            cast.members.pop_back();
            cast.assign(*assignor);
            cast.check_complete();
        }
    }
}

}  // namespace dlog::coordination
