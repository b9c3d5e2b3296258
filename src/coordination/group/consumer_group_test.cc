#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "coordination/group/consumer_harness.h"

namespace dlog::coordination::test {

namespace {

/// All that onlookers see of a group and its members, to be compared.
std::string picture(World& world, const std::string& group = "g") {
    const auto described = describe_consumers(world, group);
    protocol::ConsumerGroupDescribeResponse response;
    response.groups.push_back(described);
    protocol::Writer writer;
    REQUIRE(response.encode(writer, 1).has_value());
    return std::string(as_text(writer.take().view()));
}

bool have_settled(const std::vector<Consumer*>& consumers, World& world) {
    for (int round = 0; round < 6; ++round) {
        for (Consumer* const consumer : consumers) consumer->beat(world);
    }
    return describe_consumers(world).group_state == "Stable";
}

ErrorCode refusal(World& world, ConsumerGroupHeartbeatRequest request) {
    return send(world, request).error_code;
}

}  // namespace

TEST_CASE("a first member gets everything in the same step (KIP-848)") {
    World world;
    Consumer a{.id = "a"};
    const auto response = send(world, a.full());
    CHECK(response.error_code == ErrorCode::kNone);
    CHECK(response.member_id == "a");
    CHECK(response.member_epoch == 1);
    CHECK(response.heartbeat_interval_ms == 5'000);
    REQUIRE(response.assignment.has_value());
    a.take(response);
    CHECK(a.holding.size() == 4);
    const auto described = describe_consumers(world);
    CHECK(described.group_state == "Stable");
    CHECK(described.group_epoch == 1);
    CHECK(described.assignment_epoch == 1);
    CHECK(described.assignor_name == "uniform");
    REQUIRE(described.members.size() == 1);
    CHECK(described.members[0].client_host == "/127.0.0.1");
    CHECK(described.members[0].assignment.topic_partitions.at(0).topic_name == "orders");
    CHECK(described.members[0].assignment == described.members[0].target_assignment);

    // Nothing is new: nothing is written and nothing told.
    const std::size_t records = world.log.size();
    CHECK_FALSE(send(world, a.brief()).assignment.has_value());
    CHECK(world.log.size() == records);
}

TEST_CASE("a partition is handed over only when its owner has said that it gave it up") {
    World world;
    Consumer a{.id = "a"};
    Consumer b{.id = "b"};
    a.beat(world);
    b.beat(world);
    CHECK(b.holding.empty());
    CHECK(b.epoch == 2);
    CHECK(describe_consumers(world).group_state == "Reconciling");

    // The response that tells to revoke is lost; as long as it says nothing, it holds everything.
    const auto told = send(world, a.brief());
    REQUIRE(told.assignment.has_value());
    CHECK(told.member_epoch == 1);
    CHECK_FALSE(send(world, a.brief()).assignment.has_value());
    b.beat(world);
    CHECK(b.holding.empty());
    CHECK(a.beat(world) == ErrorCode::kNone);  // Holds all four still, and says so.
    b.beat(world);
    CHECK(b.holding.empty());

    CHECK(a.holding.size() == 2);
    CHECK(a.epoch == 1);
    a.beat(world);  // Says that it holds two.
    CHECK(a.epoch == 2);
    b.beat(world);
    CHECK(b.holding.size() == 2);
    CHECK(describe_consumers(world).group_state == "Stable");
}

TEST_CASE("who does not give up in its rebalance timeout is fenced, and joins again") {
    World world;
    Consumer a{.id = "a", .rebalance_ms = 20'000};
    Consumer b{.id = "b"};
    a.beat(world);
    b.beat(world);
    send(world, a.brief());
    for (int i = 0; i < 5; ++i) {
        world.advance(seconds(5));
        send(world, a.brief());
        b.beat(world);
    }
    CHECK(b.holding.size() == 4);
    CHECK(a.beat(world) == ErrorCode::kUnknownMemberId);
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(have_settled({&a, &b}, world));
    CHECK(a.holding.size() == 2);
}

TEST_CASE("who is silent for a session is fenced, and heartbeats keep a session alive") {
    World world;
    Consumer a{.id = "a"};
    Consumer b{.id = "b"};
    a.beat(world);
    REQUIRE(have_settled({&a, &b}, world));
    for (int i = 0; i < 8; ++i) {
        world.advance(seconds(10));
        b.beat(world);
    }
    CHECK(describe_consumers(world).members.size() == 1);
    CHECK(b.holding.size() == 4);
    world.advance(seconds(46));
    CHECK(describe_consumers(world).group_state == "Empty");
    CHECK(a.beat(world) == ErrorCode::kUnknownMemberId);
}

TEST_CASE("the epochs of a member are checked as Kafka checks them") {
    World world;
    Consumer a{.id = "a"};
    Consumer b{.id = "b"};
    a.beat(world);
    Consumer before = a;
    REQUIRE(have_settled({&a, &b}, world));
    REQUIRE(a.epoch == 2);

    auto request = a.full();
    request.member_epoch = 3;
    CHECK(refusal(world, request) == ErrorCode::kFencedMemberEpoch);
    request.member_epoch = 2;
    request.member_id = "nobody";
    CHECK(refusal(world, request) == ErrorCode::kUnknownMemberId);
    request.group_id = "nowhere";
    CHECK(refusal(world, request) == ErrorCode::kGroupIdNotFound);

    // The response that told the new epoch was lost: the old one is taken from who holds no more
    // than it may, and from nobody else.
    request = a.full();
    request.member_epoch = 1;
    CHECK(refusal(world, request) == ErrorCode::kNone);
    CHECK(refusal(world, before.full()) == ErrorCode::kFencedMemberEpoch);
    request.topic_partitions.reset();
    CHECK(refusal(world, request) == ErrorCode::kFencedMemberEpoch);

    // It may begin anew at any time, and is told what it has.
    a.epoch = 0;
    a.holding.clear();
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(a.holding.size() == 2);
    CHECK(a.epoch == 2);
}

TEST_CASE("requests that make no sense are refused in Kafka's words") {
    World world;
    const Consumer a{.id = "a"};
    const auto refused = [&](auto change) {
        auto request = a.full();
        change(request);
        const auto response = send(world, request);
        CHECK(describe_consumers(world).error_code == ErrorCode::kGroupIdNotFound);
        CHECK(response.error_message.value_or("").size() > 10);
        return response.error_code;
    };
    const ErrorCode invalid = ErrorCode::kInvalidRequest;
    CHECK(refused([](auto& r) { r.group_id = ""; }) == invalid);
    CHECK(refused([](auto& r) { r.instance_id = ""; }) == invalid);
    CHECK(refused([](auto& r) { r.rack_id = ""; }) == invalid);
    CHECK(refused([](auto& r) { r.rebalance_timeout_ms = -1; }) == invalid);
    CHECK(refused([](auto& r) { r.subscribed_topic_names.reset(); }) == invalid);
    CHECK(refused([](auto& r) { r.topic_partitions->push_back({{1, 1}, {0}}); }) == invalid);
    CHECK(refused([](auto& r) { r.member_epoch = -3; }) == invalid);
    CHECK(refused([](auto& r) { r.member_epoch = -2; }) == invalid);
    CHECK(refused([](auto& r) {
              r.member_epoch = 1;
              r.member_id = "";
          }) == invalid);
    CHECK(refused([](auto& r) { r.server_assignor = "odd"; }) == ErrorCode::kUnsupportedAssignor);
    CHECK(refused([](auto& r) { r.subscribed_topic_regex = "("; }) ==
          ErrorCode::kInvalidRegularExpression);
    CHECK(refused([](auto& r) { r.member_epoch = -1; }) == ErrorCode::kGroupIdNotFound);
}

TEST_CASE("a group takes no more members than it may, and ids are made for who has none") {
    World world({.consumer_size_max = 2});
    Consumer a{.id = ""};
    Consumer b{.id = ""};
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(b.beat(world) == ErrorCode::kNone);
    CHECK(a.id.size() == 36);
    CHECK(a.id != b.id);
    Consumer c{.id = "c"};
    CHECK(c.beat(world) == ErrorCode::kGroupMaxSizeReached);
    CHECK(a.beat(world) == ErrorCode::kNone);
    a.epoch = 0;
    a.holding.clear();
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(b.leave(world) == ErrorCode::kNone);
    CHECK(c.beat(world) == ErrorCode::kNone);
    CHECK(describe_consumers(world).members.size() == 2);
}

TEST_CASE("a static member comes back under a new id and goes on with what it had") {
    World world;
    Consumer a{.id = "a", .instance = "one"};
    Consumer b{.id = "b"};
    REQUIRE(have_settled({&a, &b}, world));
    const Holding held = a.holding;
    const std::int32_t epoch = describe_consumers(world).group_epoch;

    Consumer twin{.id = "a2", .instance = "one"};
    CHECK(twin.beat(world) == ErrorCode::kUnreleasedInstanceId);
    CHECK(a.leave(world, -2) == ErrorCode::kNone);
    CHECK(describe_consumers(world).members.size() == 2);
    b.beat(world);
    CHECK(b.holding.size() == 2);

    Consumer thief{.id = "b", .instance = "one"};
    CHECK(thief.beat(world) == ErrorCode::kFencedInstanceId);
    CHECK(twin.beat(world) == ErrorCode::kNone);
    CHECK(twin.holding == held);
    CHECK(describe_consumers(world).group_epoch == epoch);
    auto late = twin.brief();
    late.member_id = "a";
    CHECK(refusal(world, late) == ErrorCode::kFencedInstanceId);
    late.instance_id = "two";
    CHECK(refusal(world, late) == ErrorCode::kUnknownMemberId);

    // Without an id of its own, it is given a new one.
    CHECK(twin.leave(world, -2) == ErrorCode::kNone);
    Consumer nameless{.id = "", .instance = "one"};
    CHECK(nameless.beat(world) == ErrorCode::kNone);
    CHECK(nameless.id != "a2");
    CHECK(nameless.holding == held);

    // Only its session waits for it.
    CHECK(nameless.leave(world, -2) == ErrorCode::kNone);
    world.advance(seconds(30));
    b.beat(world);
    world.advance(seconds(20));
    CHECK(describe_consumers(world).members.size() == 1);
}

TEST_CASE("an operator removes a static member by its instance id") {
    World world;
    Consumer a{.id = "a", .instance = "one"};
    Consumer b{.id = "b"};
    REQUIRE(have_settled({&a, &b}, world));
    const auto response = world.leave({{"", "one"}, {"", "one"}, {"", "two"}, {"b", {}}});
    CHECK(response.members.at(0).error_code == ErrorCode::kNone);
    for (const std::size_t other : {1, 2, 3}) {
        CHECK(response.members.at(other).error_code == ErrorCode::kUnknownMemberId);
    }
    CHECK(have_settled({&b}, world));
    CHECK(b.holding.size() == 4);
}

TEST_CASE("new partitions, new topics and deleted ones change what members have") {
    World world;
    Consumer a{.id = "a", .topics = {"payments", "orders", "orders", "later"}};
    a.beat(world);
    CHECK(a.holding.size() == 8);
    world.topics.topics[0].partition_count = 6;
    ++world.topics.changes;
    a.beat(world);
    CHECK(a.holding.size() == 10);
    CHECK(a.epoch == 2);
    world.topics.topics.push_back({.id = {3, 3}, .name = "later", .partition_count = 1});
    ++world.topics.changes;
    a.beat(world);
    CHECK(a.holding.size() == 11);
    world.topics.topics.erase(world.topics.topics.begin());
    ++world.topics.changes;
    a.beat(world);
    a.beat(world);
    CHECK(a.holding.size() == 5);
    CHECK(describe_consumers(world).group_state == "Stable");
    // A change that is not about its topics means nothing to it.
    const std::int32_t epoch = a.epoch;
    world.topics.topics.push_back({.id = {4, 4}, .name = "other", .partition_count = 1});
    ++world.topics.changes;
    a.beat(world);
    CHECK(a.epoch == epoch);
    // Nor does a restart, though the topics are looked at anew.
    world.restart();
    a.beat(world);
    CHECK(a.epoch == epoch);
}

TEST_CASE("members may want other topics and another assignor than before") {
    World world;
    Consumer a{.id = "a"};
    Consumer b{.id = "b"};
    REQUIRE(have_settled({&a, &b}, world));
    a.topics = {"payments"};
    REQUIRE(have_settled({&a, &b}, world));
    CHECK(a.holding.size() == 4);
    CHECK(b.holding.size() == 4);
    CHECK(b.holding.begin()->first == TopicId{1, 1});

    a.topics = {"orders", "payments"};
    b.topics = {"orders", "payments"};
    a.assignor = "range";
    REQUIRE(have_settled({&a, &b}, world));
    CHECK(describe_consumers(world).assignor_name == "range");
    CHECK(a.holding == Holding{{{1, 1}, 0}, {{1, 1}, 1}, {{2, 2}, 0}, {{2, 2}, 1}});
}

TEST_CASE("members of the consumer protocol commit and fetch in their epoch") {
    World world;
    Consumer a{.id = "a"};
    Consumer b{.id = "b"};
    a.beat(world);
    const auto commit = [&](const std::string& member, std::int32_t epoch,
                            std::int32_t partition = 0, std::int16_t version = 9) {
        return world.commit(World::request_of(member, epoch, 5, "orders", partition), version);
    };
    CHECK(commit("a", 1) == ErrorCode::kNone);
    CHECK(commit("a", 2) == ErrorCode::kStaleMemberEpoch);
    CHECK(commit("x", 1) == ErrorCode::kUnknownMemberId);
    CHECK(commit("", -1) == ErrorCode::kUnknownMemberId);
    CHECK(commit("a", 1, 0, 8) == ErrorCode::kUnsupportedVersion);
    REQUIRE(have_settled({&a, &b}, world));
    REQUIRE(a.epoch == 2);
    // What it has had since the first epoch it may still commit in that; what it lost it may not.
    for (std::int32_t partition = 0; partition < 4; ++partition) {
        const bool has = a.holding.contains({TopicId{1, 1}, partition});
        CHECK(commit("a", 1, partition) == (has ? ErrorCode::kNone : ErrorCode::kStaleMemberEpoch));
        CHECK(commit("b", 1, partition) == ErrorCode::kStaleMemberEpoch);
    }

    protocol::OffsetFetchRequest::OffsetFetchRequestGroup fetch;
    fetch.group_id = "g";
    fetch.topics.reset();
    CHECK(world.fetch(fetch).error_code == ErrorCode::kNone);
    CHECK(world.fetch(fetch).topics.size() == 1);
    fetch.member_id = "a";
    fetch.member_epoch = 1;
    CHECK(world.fetch(fetch).error_code == ErrorCode::kStaleMemberEpoch);
    CHECK(world.fetch(fetch).topics.empty());
    fetch.member_epoch = 2;
    CHECK(world.fetch(fetch).error_code == ErrorCode::kNone);
    fetch.member_id = "x";
    CHECK(world.fetch(fetch).error_code == ErrorCode::kUnknownMemberId);

    a.leave(world);
    b.leave(world);
    CHECK(commit("", -1) == ErrorCode::kNone);
}

TEST_CASE("without migration a group changes its kind only while it has no members") {
    World world({.migration_policy = MigrationPolicy::kDisabled});
    Consumer a{.id = "a"};
    const std::string member = start_group(world, 1).front();
    world.commit(member, 1, 7);
    CHECK(a.beat(world) == ErrorCode::kGroupIdNotFound);
    CHECK(describe_consumers(world).error_code == ErrorCode::kGroupIdNotFound);
    world.leave({{member, {}}});
    CHECK(world.state() == "Empty");

    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(world.committed() == 7);
    CHECK(world.describe().error_code == ErrorCode::kGroupIdNotFound);
    CHECK(world.list({}, {"consumer"}) == std::vector<std::string>{"g"});
    CHECK(world.list({"stable"}, {}) == std::vector<std::string>{"g"});
    CHECK(world.list({}, {"classic"}).empty());
    CHECK(world.beat(member, 1) == ErrorCode::kUnknownMemberId);
    CHECK(world.remove() == ErrorCode::kNonEmptyGroup);
    world.restart();
    CHECK(world.committed() == 7);
    CHECK(a.beat(world) == ErrorCode::kNone);

    CHECK(a.leave(world) == ErrorCode::kNone);
    CHECK(describe_consumers(world).group_state == "Empty");
    start_group(world, 2);
    CHECK(world.state() == "Stable");
    CHECK(a.beat(world) == ErrorCode::kGroupIdNotFound);
    CHECK(world.committed() == 7);
    world.restart();
    CHECK(world.state() == "Stable");
    CHECK(describe_consumers(world).error_code == ErrorCode::kGroupIdNotFound);
}

TEST_CASE("a refused join leaves a group of the other kind as it was") {
    World world({.consumer_size_max = 0});
    world.commit("", -1, 7);
    Consumer a{.id = "a"};
    CHECK(a.beat(world) == ErrorCode::kGroupMaxSizeReached);
    world.advance(seconds(5));
    CHECK(world.state() == "Empty");
    CHECK(world.committed() == 7);
}

TEST_CASE("a group without members is deleted with its offsets, or forgotten when they expire") {
    for (const bool is_deleted : {true, false}) {
        World world;
        Consumer a{.id = "a"};
        a.beat(world);
        world.commit(World::request_of("a", 1, 5), 9);
        world.advance(seconds(30));
        CHECK(a.beat(world) == ErrorCode::kNone);
        a.leave(world);
        world.restart();
        CHECK(describe_consumers(world).group_state == "Empty");
        CHECK(world.committed() == 5);
        if (is_deleted) {
            CHECK(world.remove() == ErrorCode::kNone);
        } else {
            world.advance(seconds(8 * 86'400));
        }
        CHECK(describe_consumers(world).error_code == ErrorCode::kGroupIdNotFound);
        CHECK(world.committed() == -1);
        world.restart();
        CHECK(world.list({}).empty());
        CHECK(world.coordinator->counts().groups == 0);
    }
}

TEST_CASE("what a restart folds from the records is what there was") {
    World world;
    Consumer a{.id = "a", .instance = "one", .assignor = "uniform"};
    Consumer b{.id = "b", .topics = {"orders", "payments"}};
    Consumer c{.id = "c"};
    a.beat(world);
    b.beat(world);
    send(world, a.brief());  // Has to give up what it has not yet.
    c.beat(world);
    const std::string before = picture(world);
    world.restart();
    CHECK(picture(world) == before);
    CHECK(have_settled({&a, &b, &c}, world));
    CHECK(a.holding.size() + b.holding.size() + c.holding.size() == 8);
    // Who does not come back after a restart is fenced.
    world.restart();
    world.advance(seconds(46));
    CHECK(describe_consumers(world).group_state == "Empty");
}

TEST_CASE("a member that names more topics than a record may hold is refused, others go on") {
    World world({.record_bytes_max = 100'000});
    Consumer a{.id = "a"};
    Consumer b{.id = "b", .topics = std::vector<std::string>(2'000, "a-long-name")};
    a.beat(world);
    const std::size_t records = world.log.size();
    const auto refused = send(world, b.full());
    CHECK(refused.error_code == ErrorCode::kRecordListTooLarge);
    CHECK(refused.error_message->contains("28000 bytes and may take 25000"));
    CHECK(world.log.size() == records);
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(a.holding.size() == 4);
    // The same of one that is a member already.
    a.topics = b.topics;
    CHECK(send(world, a.full()).error_code == ErrorCode::kRecordListTooLarge);
    CHECK(describe_consumers(world).members.at(0).subscribed_topic_names.at(0) == "orders");
}

TEST_CASE("a group's own settings go before the node's, for its next heartbeat on") {
    World world;
    Consumer a{.id = "a"};
    Consumer other{.id = "b", .group = "h"};
    world.topics.own = {.consumer_session_timeout = seconds(60),
                        .consumer_heartbeat_interval = seconds(10)};
    CHECK(send(world, a.full()).heartbeat_interval_ms == 10'000);
    CHECK(send(world, other.full()).heartbeat_interval_ms == 5'000);
    world.advance(seconds(50));
    CHECK(describe_consumers(world, "h").members.empty());
    CHECK(describe_consumers(world).members.size() == 1);

    world.topics.own = {};
    a.epoch = 1;
    CHECK(send(world, a.brief()).heartbeat_interval_ms == 5'000);
    world.advance(seconds(50));
    CHECK(describe_consumers(world).members.empty());
}

}  // namespace dlog::coordination::test
