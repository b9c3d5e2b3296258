#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "coordination/group/harness.h"

namespace dlog::coordination::test {
namespace {

std::string text_of(protocol::Bytes bytes) {
    return std::string(as_text(bytes));
}

TEST_CASE("a new group waits for more members, elects a leader and hands on its assignment") {
    World world;
    const Ticket first = world.join({.protocols = {{"range", "a"}}});
    world.advance(seconds(2));
    const Ticket second = world.join({.protocols = {{"range", "b"}}});
    CHECK(world.waits(first));
    world.advance(seconds(2));
    CHECK(world.waits(first));  // Put off once more, for a member has come.
    world.advance(seconds(3));
    REQUIRE(!world.waits(first));
    REQUIRE(!world.waits(second));
    const auto& leader = world.joined(first);
    const auto& follower = world.joined(second);
    CHECK(leader.generation_id == 1);
    CHECK(leader.protocol_name == "range");
    CHECK(leader.protocol_type == "consumer");
    CHECK(leader.leader == leader.member_id);
    CHECK(follower.leader == leader.member_id);
    CHECK(follower.members.empty());
    REQUIRE(leader.members.size() == 2);
    for (const auto& member : leader.members) {
        CHECK(text_of(member.metadata) == (member.member_id == leader.member_id ? "a" : "b"));
    }
    CHECK(world.state() == "CompletingRebalance");

    const std::size_t records = world.log.size();
    const Ticket waiting = world.sync(follower.member_id, 1);
    CHECK(world.waits(waiting));
    const Ticket leading =
        world.sync(leader.member_id, 1, {{leader.member_id, "one"}, {follower.member_id, "two"}});
    CHECK(world.log.size() == records + 1);
    CHECK(text_of(world.synced(leading).assignment) == "one");
    CHECK(text_of(world.synced(waiting).assignment) == "two");
    CHECK(world.synced(waiting).protocol_name == "range");
    CHECK(world.state() == "Stable");
    CHECK(world.coordinator->counts().rebalances == 1);
    CHECK(world.coordinator->counts().members == 2);
}

TEST_CASE("members that keep coming put a new group off no longer than its rebalance timeout") {
    World world;
    const Ticket first = world.join({.rebalance_ms = 8'000});
    for (int i = 0; i < 7; ++i) {
        world.advance(seconds(1));
        CHECK(world.waits(first));
        world.join({.rebalance_ms = 8'000});
    }
    world.advance(seconds(1));
    CHECK(!world.waits(first));
    CHECK(world.state() == "CompletingRebalance");
}

TEST_CASE("without an initial delay the first member is a group at once") {
    World world({.initial_rebalance_delay = Duration{}});
    const Ticket join = world.join({});
    CHECK(world.joined(join).generation_id == 1);
}

TEST_CASE("from version 4 on a dynamic member first asks for an id (KIP-394)") {
    World world;
    const auto refused = world.joined(world.join({.version = 4}));
    CHECK(refused.error_code == ErrorCode::kMemberIdRequired);
    CHECK(refused.member_id.starts_with("client-"));
    CHECK(refused.member_id.size() == std::string("client-").size() + 36);
    const Ticket join = world.join({.member = refused.member_id, .version = 4});
    world.advance(seconds(3));
    CHECK(world.joined(join).error_code == ErrorCode::kNone);
    CHECK(world.joined(join).member_id == refused.member_id);
}

TEST_CASE("an id that nobody joined with is forgotten after the session timeout") {
    World world;
    const std::string id = world.joined(world.join({.version = 4})).member_id;
    world.advance(seconds(11));
    CHECK(world.joined(world.join({.member = id, .version = 4})).error_code ==
          ErrorCode::kUnknownMemberId);
}

TEST_CASE("a rebalance waits for members that have only got an id") {
    World world;
    const auto ids = start_group(world, 1);
    const std::string pending = world.joined(world.join({.version = 4})).member_id;
    const Ticket rejoin = world.join({.member = ids[0]});
    CHECK(world.waits(rejoin));
    const Ticket join = world.join({.member = pending, .version = 4});
    CHECK(world.joined(rejoin).members.size() == 2);
    CHECK(world.joined(join).generation_id == 2);
}

TEST_CASE("what JoinGroup is refused for") {
    World world({.size_max = 1});
    const auto error = [&](const JoinSpec& spec) {
        return world.joined(world.join(spec)).error_code;
    };
    CHECK(error({.group = ""}) == ErrorCode::kInvalidGroupId);
    CHECK(error({.session_ms = 5'999}) == ErrorCode::kInvalidSessionTimeout);
    CHECK(error({.session_ms = 1'800'001}) == ErrorCode::kInvalidSessionTimeout);
    CHECK(error({.session_ms = -1}) == ErrorCode::kInvalidSessionTimeout);
    CHECK(error({.member = "nobody"}) == ErrorCode::kUnknownMemberId);
    CHECK(error({.protocols = {}}) == ErrorCode::kInconsistentGroupProtocol);
    CHECK(error({.type = ""}) == ErrorCode::kInconsistentGroupProtocol);
    CHECK(world.state() == "Dead");  // None of these made a group.

    start_group(world, 1);
    CHECK(error({}) == ErrorCode::kGroupMaxSizeReached);
    world.settings.size_max = 10;
    world.coordinator->set_settings(world.settings);
    CHECK(error({.protocols = {{"sticky", ""}}}) == ErrorCode::kInconsistentGroupProtocol);
    CHECK(error({.type = "connect"}) == ErrorCode::kInconsistentGroupProtocol);
    CHECK(error({.member = "nobody"}) == ErrorCode::kUnknownMemberId);
    CHECK(error({.member = "nobody", .instance = "i"}) == ErrorCode::kUnknownMemberId);
    CHECK(world.state() == "Stable");
}

TEST_CASE("a member that says more than a record may hold is refused, and the group is as before") {
    World world({.record_bytes_max = 100'000});
    const auto error = [&](std::size_t bytes, const std::string& member = "") {
        const Ticket ticket =
            world.join({.member = member, .protocols = {{"range", std::string(bytes, 'x')}}});
        return world.waits(ticket) ? ErrorCode::kNone : world.joined(ticket).error_code;
    };
    CHECK(error(25'001) == ErrorCode::kRecordListTooLarge);
    CHECK(world.state() == "Dead");
    start_group(world, 1, {.protocols = {{"range", std::string(24'000, 'x')}}});
    const std::size_t records = world.log.size();
    CHECK(error(25'001) == ErrorCode::kRecordListTooLarge);
    CHECK(error(25'900 - 24'000) == ErrorCode::kNone);
    CHECK(world.state() == "PreparingRebalance");
    // All together would be more than half of a record, which assignments share.
    CHECK(error(24'900) == ErrorCode::kGroupMaxSizeReached);
    CHECK(world.log.size() == records);
    world.advance(seconds(100));
    CHECK(world.state() == "Empty");
    CHECK(error(24'900) == ErrorCode::kNone);
}

TEST_CASE("an assignment that is more than a record may hold is refused, and the group goes on") {
    World world({.record_bytes_max = 100'000});
    const auto ids = start_group(world, 2);
    const Ticket join = world.join({.member = ids[0]});
    world.join({.member = ids[1]});
    const std::size_t records = world.log.size();
    const std::string large(60'000, 'x');
    const Ticket waits = world.sync(ids[1], 2);
    const Ticket refused = world.sync(ids[0], 2, {{ids[0], large}, {ids[1], large}});
    CHECK(world.joined(join).leader == ids[0]);
    CHECK(world.synced(refused).error_code == ErrorCode::kRecordListTooLarge);
    CHECK(world.waits(waits));
    CHECK(world.log.size() == records);
    // The leader thinks better of it.
    CHECK(world.synced(world.sync(ids[0], 2, {{ids[1], "b"}})).error_code == ErrorCode::kNone);
    CHECK(as_text(world.synced(waits).assignment) == "b");
}

TEST_CASE("the protocol is the one that most members prefer among those that all support") {
    World world;
    const Ticket first = world.join({.protocols = {{"only", ""}, {"a", ""}, {"b", ""}}});
    world.join({.protocols = {{"b", ""}, {"a", ""}}});
    world.join({.protocols = {{"b", ""}, {"a", ""}, {"b", "twice"}}});
    world.advance(seconds(7));
    CHECK(world.joined(first).protocol_name == "b");
}

TEST_CASE("a member whose reply was lost asks again and disturbs nobody") {
    World world;
    const auto ids = start_group(world, 2);
    const auto again = world.joined(world.join({.member = ids[1]}));
    CHECK(again.generation_id == 1);
    CHECK(again.leader == ids[0]);
    CHECK(world.state() == "Stable");
    SUBCASE("with other metadata it begins a rebalance") {
        const Ticket join = world.join({.member = ids[1], .protocols = {{"range", "other"}}});
        CHECK(world.waits(join));
        CHECK(world.state() == "PreparingRebalance");
    }
    SUBCASE("the leader begins a rebalance without any change") {
        const Ticket join = world.join({.member = ids[0]});
        CHECK(world.waits(join));
        CHECK(world.beat(ids[1], 1) == ErrorCode::kRebalanceInProgress);
        world.join({.member = ids[1]});
        CHECK(world.joined(join).generation_id == 2);
    }
}

TEST_CASE("a second JoinGroup of a member sends the first one away") {
    World world;
    const auto ids = start_group(world, 2);
    const Ticket first = world.join({.member = ids[0]});
    const Ticket second = world.join({.member = ids[0]});
    CHECK(world.joined(first).error_code == ErrorCode::kRebalanceInProgress);
    CHECK(world.waits(second));
    world.join({.member = ids[1]});
    CHECK(world.joined(second).error_code == ErrorCode::kNone);
}

TEST_CASE("a static member that restarts gets its place and assignment back (KIP-345)") {
    World world;
    const Ticket first = world.join({.instance = "a"});
    const Ticket second = world.join({.instance = "b"});
    world.advance(seconds(7));
    const std::string leader = world.joined(first).member_id;
    const std::string follower = world.joined(second).member_id;
    CHECK(leader.starts_with("a-"));
    world.sync(leader, 1, {{leader, "one"}, {follower, "two"}});
    world.sync(follower, 1);

    const std::size_t records = world.log.size();
    const auto& back = world.joined(world.join({.instance = "b"}));
    CHECK(back.error_code == ErrorCode::kNone);
    CHECK(back.generation_id == 1);
    CHECK(back.member_id != follower);
    CHECK(world.log.size() == records + 1);
    CHECK(world.state() == "Stable");
    CHECK(text_of(world.synced(world.sync(back.member_id, 1)).assignment) == "two");
    CHECK(world.beat(follower, 1, "b") == ErrorCode::kFencedInstanceId);
    CHECK(world.beat(follower, 1) == ErrorCode::kUnknownMemberId);
    CHECK(world.joined(world.join({.member = follower, .instance = "b"})).error_code ==
          ErrorCode::kFencedInstanceId);

    SUBCASE("the leader is told to take the assignment as it is from version 9 on") {
        const auto& skips = world.joined(world.join({.instance = "a", .version = 9}));
        CHECK(skips.skip_assignment);
        CHECK(skips.leader == skips.member_id);
        CHECK(skips.members.size() == 2);
    }
    SUBCASE("an older leader does not learn that it leads") {
        const auto& old = world.joined(world.join({.instance = "a", .version = 8}));
        CHECK(!old.skip_assignment);
        CHECK(old.leader == leader);
        CHECK(old.members.empty());
    }
    SUBCASE("after a restart of the coordinator too") {
        world.restart();
        CHECK(world.beat(back.member_id, 1, "b") == ErrorCode::kNone);
        CHECK(text_of(world.synced(world.sync(leader, 1)).assignment) == "one");
    }
}

TEST_CASE("a static member that comes back while its old self waits fences it") {
    World world;
    const auto ids = start_group(world, 2);
    const Ticket old = world.join({.instance = "s"});
    CHECK(world.waits(old));
    const Ticket now = world.join({.instance = "s"});
    CHECK(world.joined(old).error_code == ErrorCode::kFencedInstanceId);
    world.join({.member = ids[0]});
    world.join({.member = ids[1]});
    CHECK(world.joined(now).generation_id == 2);
    // The group now waits for its leader; the next restart begins again.
    world.join({.instance = "s"});
    CHECK(world.state() == "PreparingRebalance");
}

}  // namespace
}  // namespace dlog::coordination::test
