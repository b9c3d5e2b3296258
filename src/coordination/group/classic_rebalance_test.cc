#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "coordination/group/harness.h"

namespace dlog::coordination::test {
namespace {

TEST_CASE("a member that does not rejoin in time is removed, and the others go on") {
    World world;
    const auto ids = start_group(world, 3, {.session_ms = 30'000, .rebalance_ms = 12'000});
    const Ticket first = world.join({.member = ids[0], .rebalance_ms = 12'000});
    const Ticket second = world.join({.member = ids[1], .rebalance_ms = 12'000});
    world.advance(seconds(11));
    CHECK(world.waits(first));
    CHECK(world.beat(ids[2], 1) == ErrorCode::kRebalanceInProgress);
    world.advance(seconds(2));
    CHECK(world.joined(first).generation_id == 2);
    CHECK(world.joined(second).generation_id == 2);
    CHECK(world.beat(ids[2], 1) == ErrorCode::kUnknownMemberId);
}

TEST_CASE("when the leader does not rejoin another member leads") {
    World world;
    const auto ids = start_group(world, 2, {.session_ms = 30'000, .rebalance_ms = 8'000});
    const Ticket join =
        world.join({.member = ids[1], .protocols = {{"range", "new"}}, .rebalance_ms = 8'000});
    world.advance(seconds(9));
    CHECK(world.joined(join).leader == ids[1]);
    CHECK(world.joined(join).members.size() == 1);
}

TEST_CASE("a static member that does not rejoin stays until its session ends") {
    World world;
    const Ticket first = world.join({.instance = "a", .session_ms = 20'000, .rebalance_ms = 6'000});
    const Ticket second = world.join({.session_ms = 20'000, .rebalance_ms = 6'000});
    world.advance(seconds(7));
    const std::string leader = world.joined(first).member_id;
    const std::string follower = world.joined(second).member_id;
    world.sync(leader, 1);
    world.sync(follower, 1);
    const Ticket join = world.join({.member = follower,
                                    .protocols = {{"range", "new"}},
                                    .session_ms = 20'000,
                                    .rebalance_ms = 6'000});
    world.advance(seconds(7));
    CHECK(world.joined(join).leader == follower);
    CHECK(world.joined(join).members.size() == 2);
    CHECK(world.beat(leader, 2, "a") == ErrorCode::kNone);
}

TEST_CASE("a group of absent static members waits for them and then is empty") {
    World world;
    const Ticket first = world.join({.instance = "a", .rebalance_ms = 6'000});
    const Ticket second = world.join({.instance = "b", .rebalance_ms = 6'000});
    world.advance(seconds(7));
    world.sync(world.joined(first).member_id, 1);
    world.sync(world.joined(second).member_id, 1);
    world.leave({{"", "a"}});
    CHECK(world.state() == "PreparingRebalance");
    world.advance(seconds(60));
    CHECK(world.state() == "Empty");
}

TEST_CASE("timeouts of zero and less make no step without end") {
    World world({.session_timeout_min = Duration{}});
    const Ticket first = world.join({.session_ms = 0, .rebalance_ms = 0});
    const Ticket second = world.join({.instance = "s", .session_ms = 0, .rebalance_ms = -7});
    world.advance(seconds(20));
    CHECK(!world.waits(first));
    CHECK(!world.waits(second));
    CHECK(world.state() == "Empty");
}

TEST_CASE("a member that sends nothing is removed when its session ends") {
    World world;
    const auto ids = start_group(world, 2);
    for (int i = 0; i < 3; ++i) {
        world.advance(seconds(4));
        CHECK(world.beat(ids[0], 1) ==
              (i < 2 ? ErrorCode::kNone : ErrorCode::kRebalanceInProgress));
    }
    CHECK(world.beat(ids[1], 1) == ErrorCode::kUnknownMemberId);
    const Ticket join = world.join({.member = ids[0]});
    CHECK(world.joined(join).members.size() == 1);
}

TEST_CASE("a member is alive as long as its request waits") {
    World world;
    const auto ids = start_group(world, 2, {.session_ms = 6'000, .rebalance_ms = 60'000});
    const Ticket join = world.join({.member = ids[0], .session_ms = 6'000});
    for (int i = 0; i < 10; ++i) {
        world.advance(seconds(5));
        CHECK(world.beat(ids[1], 1) == ErrorCode::kRebalanceInProgress);
    }
    CHECK(world.waits(join));
}

TEST_CASE("a new member whose JoinGroup waits too long is let go") {
    World world;
    const auto ids = start_group(world, 1, {.session_ms = 1'000'000, .rebalance_ms = 900'000});
    const Ticket join = world.join({.rebalance_ms = 900'000});
    world.advance(seconds(299));
    CHECK(world.waits(join));
    world.advance(seconds(2));
    CHECK(world.joined(join).error_code == ErrorCode::kUnknownMemberId);
}

TEST_CASE("members that do not sync in time are removed") {
    World world;
    std::vector<Ticket> joins;
    for (int i = 0; i < 2; ++i) {
        joins.push_back(world.join({.session_ms = 60'000, .rebalance_ms = 8'000}));
    }
    world.advance(seconds(7));
    const std::string leader = world.joined(joins[0]).member_id;
    const std::string follower = world.joined(joins[1]).member_id;
    SUBCASE("the leader") {
        const Ticket sync = world.sync(follower, 1);
        world.advance(seconds(9));
        CHECK(world.synced(sync).error_code == ErrorCode::kRebalanceInProgress);
        CHECK(world.beat(leader, 1) == ErrorCode::kUnknownMemberId);
        CHECK(world.beat(follower, 1) == ErrorCode::kRebalanceInProgress);
    }
    SUBCASE("a follower of a stable group") {
        world.sync(leader, 1);
        CHECK(world.state() == "Stable");
        world.advance(seconds(9));
        CHECK(world.beat(follower, 1) == ErrorCode::kUnknownMemberId);
        CHECK(world.state() == "PreparingRebalance");
    }
}

TEST_CASE("what SyncGroup is refused for") {
    World world;
    const auto ids = start_group(world, 2);
    const auto error = [&](protocol::SyncGroupRequest request) {
        const Ticket ticket = ++world.last_ticket;
        world.apply(Sync{ticket, request}, ticket);
        return world.synced(ticket).error_code;
    };
    protocol::SyncGroupRequest good;
    good.group_id = "g";
    good.member_id = ids[1];
    good.generation_id = 1;
    good.protocol_type = "consumer";
    good.protocol_name = "range";
    CHECK(error(good) == ErrorCode::kNone);
    auto request = good;
    request.group_id = "";
    CHECK(error(request) == ErrorCode::kInvalidGroupId);
    request.group_id = "other";
    CHECK(error(request) == ErrorCode::kUnknownMemberId);
    request = good;
    request.member_id = "nobody";
    CHECK(error(request) == ErrorCode::kUnknownMemberId);
    request = good;
    request.generation_id = 2;
    CHECK(error(request) == ErrorCode::kIllegalGeneration);
    request = good;
    request.protocol_type = "connect";
    CHECK(error(request) == ErrorCode::kInconsistentGroupProtocol);
    request = good;
    request.protocol_name = "sticky";
    CHECK(error(request) == ErrorCode::kInconsistentGroupProtocol);
    world.join({.member = ids[0]});
    CHECK(error(good) == ErrorCode::kRebalanceInProgress);
}

TEST_CASE("what Heartbeat is refused for") {
    World world;
    const auto ids = start_group(world, 1);
    CHECK(world.beat(ids[0], 1) == ErrorCode::kNone);
    CHECK(world.beat(ids[0], 0) == ErrorCode::kIllegalGeneration);
    CHECK(world.beat("nobody", 1) == ErrorCode::kUnknownMemberId);
    CHECK(world.beat(ids[0], 1, "instance") == ErrorCode::kUnknownMemberId);
    CHECK(world.beat(ids[0], 1, {}, "other") == ErrorCode::kUnknownMemberId);
    CHECK(world.beat(ids[0], 1, {}, "") == ErrorCode::kInvalidGroupId);
}

TEST_CASE("members leave in one request, static ones by their instance id alone") {
    World world;
    const Ticket first = world.join({.instance = "a"});
    const Ticket second = world.join({});
    const Ticket third = world.join({});
    world.advance(seconds(7));
    const std::string stays = world.joined(third).member_id;
    world.sync(world.joined(first).member_id, 1);
    const std::string pending = world.joined(world.join({.version = 4})).member_id;
    const auto left = world.leave({{"", "a"},
                                   {world.joined(second).member_id, std::nullopt},
                                   {pending, std::nullopt},
                                   {"", std::nullopt},
                                   {"nobody", std::nullopt},
                                   {stays, "a"}});
    CHECK(left.error_code == ErrorCode::kNone);
    std::vector<ErrorCode> errors;
    for (const auto& member : left.members) errors.push_back(member.error_code);
    CHECK(errors == std::vector{ErrorCode::kNone, ErrorCode::kNone, ErrorCode::kNone,
                                ErrorCode::kUnknownMemberId, ErrorCode::kUnknownMemberId,
                                ErrorCode::kUnknownMemberId});
    CHECK(world.state() == "PreparingRebalance");
    const Ticket join = world.join({.member = stays});
    CHECK(world.joined(join).members.size() == 1);
    CHECK(world.leave({{"x", std::nullopt}}, "other").members.at(0).error_code ==
          ErrorCode::kUnknownMemberId);
}

TEST_CASE("the last member that leaves makes the group empty, which a restart remembers") {
    World world;
    const auto ids = start_group(world, 1);
    world.leave({{ids[0], std::nullopt}});
    CHECK(world.state() == "Empty");
    world.restart();
    CHECK(world.state() == "Empty");
    CHECK(world.describe().protocol_type == "consumer");
    const Ticket join = world.join({});
    world.advance(seconds(7));
    CHECK(world.joined(join).generation_id == 3);
}

TEST_CASE("after a restart the members of a stable group go on, and silent ones are removed") {
    World world;
    const auto ids = start_group(world, 2);
    world.join({.member = ids[0]});  // A rebalance under way is forgotten.
    world.restart();
    CHECK(world.state() == "Stable");
    world.advance(seconds(6));
    CHECK(world.beat(ids[0], 1) == ErrorCode::kNone);
    world.advance(seconds(6));
    CHECK(world.beat(ids[0], 1) == ErrorCode::kRebalanceInProgress);
    CHECK(world.beat(ids[1], 1) == ErrorCode::kUnknownMemberId);
}

TEST_CASE("a description shows members and assignments of a stable group, a listing is filtered") {
    World world;
    const auto ids = start_group(world, 2);
    CHECK(world.commit("", -1, 5, "orders", 0, "simple") == ErrorCode::kNone);
    const auto described = world.describe();
    CHECK(described.group_state == "Stable");
    CHECK(described.protocol_data == "range");
    REQUIRE(described.members.size() == 2);
    for (const auto& member : described.members) {
        CHECK(as_text(member.member_assignment) == member.member_id);
        CHECK(as_text(member.member_metadata) == subscription({"orders"}));
        CHECK(member.client_id == "client");
        CHECK(member.client_host == "/127.0.0.1");
    }
    CHECK(world.describe("none").error_code == ErrorCode::kGroupIdNotFound);
    CHECK(world.describe("none").group_state == "Dead");
    using Names = std::vector<std::string>;
    CHECK(world.list({}) == Names{"g", "simple"});
    CHECK(world.list({"sTABLE"}) == Names{"g"});
    CHECK(world.list({"Empty", "Stable"}, {"Classic"}) == Names{"g", "simple"});
    CHECK(world.list({}, {"consumer"}).empty());
    CHECK(world.list({"nonsense"}).empty());
}

TEST_CASE("ids as long as a message can hold them fit into every reply and record") {
    World world;
    const std::string long_id(32'767, 'x');
    const auto fits = [](const auto& message) {
        protocol::Writer writer;
        return message.encode(writer, message.kHighestVersion).has_value();
    };
    protocol::DescribeGroupsResponse unknown;
    unknown.groups.push_back(world.describe(long_id));
    CHECK(fits(unknown));
    const Ticket join = world.join({.group = long_id, .instance = long_id});
    world.advance(seconds(7));
    REQUIRE(fits(world.joined(join)));
    const std::string id = world.joined(join).member_id;
    world.sync(id, 1, {{id, "all"}}, long_id);
    CHECK(world.commit(id, 1, 5, std::string(249, 't'), 0, long_id) == ErrorCode::kNone);
    world.restart();
    CHECK(world.state(long_id) == "Stable");
    CHECK(world.remove(long_id) == ErrorCode::kNonEmptyGroup);
}

}  // namespace
}  // namespace dlog::coordination::test
