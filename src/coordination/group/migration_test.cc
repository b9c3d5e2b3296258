#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "coordination/group/classic_client.h"

namespace dlog::coordination::test {

namespace {

template <class Member>
void check_nobody_else_reads(Holding& read, const std::vector<Member*>& members) {
    for (const Member* const each : members) {
        for (const auto& part : each->holding) CHECK(read.insert(part).second);
    }
}

/// Beats and reconciles until nothing moves; no partition is read by two on the way.
void settle(World& world, const std::vector<ClassicClient*>& classic,
            const std::vector<Consumer*>& consumers) {
    for (int round = 0; round < 20; ++round) {
        for (ClassicClient* const each : classic) each->act(world);
        for (Consumer* const each : consumers) each->beat(world);
        Holding read;
        check_nobody_else_reads(read, classic);
        check_nobody_else_reads(read, consumers);
        world.advance(milliseconds(500));
    }
}

/// What is seen of the group stays what it was when only its records are known.
void check_restart(World& world) {
    const auto before = describe_consumers(world);
    world.restart();
    CHECK(describe_consumers(world) == before);
}

GroupSettings with(MigrationPolicy policy) {
    GroupSettings settings;
    settings.migration_policy = policy;
    return settings;
}

}  // namespace

TEST_CASE("a classic group goes over to the new protocol with its members, and back (KIP-848)") {
    for (const bool is_cooperative : {false, true}) {
        CAPTURE(is_cooperative);
        World world;
        ClassicClient one{.is_cooperative = is_cooperative};
        ClassicClient two{.is_cooperative = is_cooperative};
        settle(world, {&one, &two}, {});
        REQUIRE(one.holding.size() == 2);
        REQUIRE(two.holding.size() == 2);

        Consumer next{.id = "next"};
        CHECK(next.beat(world) == ErrorCode::kNone);
        CHECK(describe_consumers(world).members.size() == 3);
        check_restart(world);
        settle(world, {&one, &two}, {&next});
        CHECK(describe_consumers(world).group_state == "Stable");
        CHECK(one.holding.size() + two.holding.size() + next.holding.size() == 4);
        CHECK_FALSE(next.holding.empty());
        CHECK_FALSE(one.holding.empty());
        check_restart(world);
        CHECK(world.commit(one.id, one.generation, 5) == ErrorCode::kNone);
        CHECK(world.commit(one.id, one.generation - 1, 5) == ErrorCode::kIllegalGeneration);

        CHECK(next.leave(world) == ErrorCode::kNone);
        CHECK(describe_consumers(world).error_code == ErrorCode::kGroupIdNotFound);
        CHECK(world.state() == "PreparingRebalance");
        CHECK(world.beat(one.id, one.generation) == ErrorCode::kRebalanceInProgress);
        CHECK(world.commit(one.id, one.generation, 6) == ErrorCode::kNone);
        settle(world, {&one, &two}, {});
        CHECK(world.state() == "Stable");
        CHECK(one.holding.size() == 2);
        CHECK(two.holding.size() == 2);
    }
}

TEST_CASE("a group that lost its last member of the new protocol rebalances after a restart too") {
    World world;
    ClassicClient one;
    Consumer next{.id = "next"};
    settle(world, {&one}, {});
    settle(world, {&one}, {&next});
    REQUIRE(one.holding.size() == 2);
    next.leave(world);
    world.restart();
    CHECK(world.state() == "Stable");
    settle(world, {&one}, {});
    CHECK(one.holding.size() == 4);
}

TEST_CASE("a group goes back when its last member of the new protocol falls silent") {
    World world;
    ClassicClient one;
    Consumer next{.id = "next"};
    settle(world, {&one}, {});
    settle(world, {&one}, {&next});
    for (int i = 0; i < 100; ++i) {
        one.act(world);
        world.advance(seconds(1));
    }
    CHECK(world.state() == "Stable");
    CHECK(one.holding.size() == 4);
}

TEST_CASE("who waits in a classic group that goes over is told to join again") {
    World world;
    const Ticket first = world.join({});
    world.advance(seconds(3));
    const std::string id = world.joined(first).member_id;
    world.sync(id, 1, {{id, ""}});
    const Ticket newcomer = world.join({});
    const Ticket again = world.join({.member = ""});
    Consumer next{.id = "next"};
    CHECK(next.beat(world) == ErrorCode::kNone);
    CHECK(world.joined(newcomer).error_code == ErrorCode::kRebalanceInProgress);
    CHECK(world.joined(again).error_code == ErrorCode::kRebalanceInProgress);
    // Those who know no id are no members; the first one is.
    CHECK(describe_consumers(world).members.size() == 2);
    CHECK(world.beat(id, 1) == ErrorCode::kRebalanceInProgress);
    const auto& joined = world.joined(world.join({.member = id}));
    CHECK(joined.error_code == ErrorCode::kNone);
    CHECK(joined.leader.empty());
    CHECK(joined.protocol_name == "range");
    CHECK(joined.generation_id > 1);
}

TEST_CASE("the policy says which way groups may go, and nobody gets stuck") {
    SUBCASE("not to the new protocol") {
        World world(with(MigrationPolicy::kDowngrade));
        ClassicClient one;
        settle(world, {&one}, {});
        Consumer next{.id = "next"};
        CHECK(next.beat(world) == ErrorCode::kGroupIdNotFound);
        settle(world, {&one}, {});
        CHECK(one.holding.size() == 4);
    }
    SUBCASE("not back") {
        World world(with(MigrationPolicy::kUpgrade));
        ClassicClient one;
        Consumer next{.id = "next"};
        settle(world, {&one}, {});
        settle(world, {&one}, {&next});
        next.leave(world);
        settle(world, {&one}, {});
        CHECK(describe_consumers(world).group_state == "Stable");
        CHECK(one.holding.size() == 4);
    }
}

TEST_CASE("a group whose members do not speak the consumer's protocol does not go over") {
    World world;
    const Ticket ticket = world.join({.protocols = {{"own", "?"}}});
    world.advance(seconds(3));
    CHECK(world.joined(ticket).error_code == ErrorCode::kNone);
    Consumer next{.id = "next"};
    CHECK(next.beat(world) == ErrorCode::kGroupIdNotFound);
    CHECK(world.state() == "CompletingRebalance");
}

TEST_CASE("classic members join a consumer group, and are checked as in a classic one") {
    World world;
    Consumer next{.id = "next"};
    next.beat(world);
    CHECK(world.joined(world.join({.protocols = {{"own", "?"}}})).error_code ==
          ErrorCode::kInconsistentGroupProtocol);
    CHECK(world.joined(world.join({.type = "connect"})).error_code ==
          ErrorCode::kInconsistentGroupProtocol);
    CHECK(world.joined(world.join({.version = 4})).error_code == ErrorCode::kMemberIdRequired);
    ClassicClient one;
    settle(world, {&one}, {&next});
    CHECK(one.holding.size() == 2);
    CHECK(
        world.joined(world.join({.protocols = {{"other", subscription({"orders"})}}})).error_code ==
        ErrorCode::kInconsistentGroupProtocol);
    CHECK(world.beat(one.id, one.generation + 1) == ErrorCode::kIllegalGeneration);
    CHECK(world.beat("nobody", one.generation) == ErrorCode::kUnknownMemberId);
    CHECK(world.beat("next", next.epoch) == ErrorCode::kUnknownMemberId);
    CHECK(world.synced(world.sync(one.id, one.generation + 1)).error_code ==
          ErrorCode::kIllegalGeneration);
    CHECK(world.leave({{"next", {}}}).members.at(0).error_code == ErrorCode::kUnknownMemberId);
    CHECK(world.leave({{one.id, {}}}).members.at(0).error_code == ErrorCode::kNone);
    settle(world, {}, {&next});
    CHECK(next.holding.size() == 4);
}

TEST_CASE("a classic member that does not join again in its time is taken out") {
    World world;
    Consumer next{.id = "next"};
    const Ticket ticket = world.join({.rebalance_ms = 20'000});
    world.advance(seconds(3));
    const std::string id = world.joined(ticket).member_id;
    world.sync(id, 1, {{id, ""}});
    next.beat(world);
    ErrorCode last = ErrorCode::kNone;
    for (int i = 0; i < 25; ++i) {
        last = world.beat(id, 1);
        next.beat(world);
        world.advance(seconds(1));
    }
    CHECK(last == ErrorCode::kUnknownMemberId);
    CHECK(next.holding.size() == 4);
}

TEST_CASE("an instance changes its protocol and keeps its place") {
    World world;
    ClassicClient one{.instance = "i"};
    settle(world, {&one}, {});
    Consumer next{.id = "next", .instance = "i"};
    CHECK(next.beat(world) == ErrorCode::kNone);
    CHECK(next.holding.size() == 4);
    CHECK(describe_consumers(world).members.size() == 1);
    CHECK(world.beat(one.id, one.generation, "i") == ErrorCode::kFencedInstanceId);
    check_restart(world);
    ClassicClient back{.instance = "i"};
    settle(world, {&back}, {});
    CHECK(back.holding.size() == 4);
    CHECK(world.state() == "Stable");
}

}  // namespace dlog::coordination::test
