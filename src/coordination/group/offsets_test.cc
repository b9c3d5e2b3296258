#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "coordination/group/harness.h"

namespace dlog::coordination::test {
namespace {

ErrorCode delete_offset(World& world, const std::string& topic, ErrorCode* of_group = nullptr,
                        const std::string& group = "g") {
    protocol::OffsetDeleteRequest request;
    request.group_id = group;
    request.topics.push_back({.name = topic, .partitions = {{.partition_index = 0}}});
    const Ticket ticket = ++world.last_ticket;
    world.apply(DeleteOffsets{ticket, request}, ticket);
    const auto& response = world.get<protocol::OffsetDeleteResponse>(ticket);
    if (of_group != nullptr) *of_group = response.error_code;
    return response.topics.empty() ? response.error_code
                                   : response.topics[0].partitions.at(0).error_code;
}

TEST_CASE("a committed offset is fetched again, also after a restart") {
    World world;
    const auto ids = start_group(world, 1);
    auto request = World::request_of(ids[0], 1, 42);
    auto& partition = request.topics[0].partitions[0];
    partition.committed_leader_epoch = 7;
    partition.committed_metadata = "note";
    CHECK(world.committed() == -1);
    CHECK(world.commit(request) == ErrorCode::kNone);
    world.restart();
    protocol::OffsetFetchRequest::OffsetFetchRequestGroup all;
    all.group_id = "g";
    all.topics.reset();
    const auto fetched = world.fetch(all);
    REQUIRE(fetched.topics.size() == 1);
    CHECK(fetched.topics[0].name == "orders");
    CHECK(fetched.topics[0].topic_id == TopicId{1, 1});
    const auto& out = fetched.topics[0].partitions.at(0);
    CHECK(out.committed_offset == 42);
    CHECK(out.committed_leader_epoch == 7);
    CHECK(out.metadata == "note");
    CHECK(world.committed("orders", 1) == -1);
    CHECK(world.committed("payments") == -1);
    CHECK(world.committed("orders", 0, "other") == -1);
    CHECK(world.coordinator->counts().offsets == 1);
}

TEST_CASE("a commit of more than a record may hold is refused whole") {
    World world({.record_bytes_max = 100'000});
    auto request = World::request_of("", -1, 1);
    auto& partitions = request.topics[0].partitions;
    partitions.resize(2'000, partitions[0]);
    CHECK(world.commit(request) == ErrorCode::kInvalidCommitOffsetSize);
    CHECK(world.log.empty());
    CHECK(world.state() == "Dead");
    partitions.resize(1'000);
    CHECK(world.commit(request) == ErrorCode::kNone);
}

TEST_CASE("what OffsetCommit is refused for") {
    World world;
    CHECK(world.commit("", 0, 1) == ErrorCode::kIllegalGeneration);
    CHECK(world.commit(World::request_of("", 0, 1), 9) == ErrorCode::kGroupIdNotFound);
    const auto ids = start_group(world, 1);
    CHECK(world.commit("", -1, 1) == ErrorCode::kUnknownMemberId);
    CHECK(world.commit("nobody", 1, 1) == ErrorCode::kUnknownMemberId);
    CHECK(world.commit(ids[0], 2, 1) == ErrorCode::kIllegalGeneration);
    CHECK(world.commit(ids[0], -1, 1) == ErrorCode::kIllegalGeneration);
    auto request = World::request_of(ids[0], 1, 1);
    request.group_instance_id = "i";
    CHECK(world.commit(request) == ErrorCode::kUnknownMemberId);
    request = World::request_of(ids[0], 1, 1);
    request.topics[0].partitions[0].committed_metadata = std::string(4097, 'm');
    request.topics[0].partitions.push_back({.partition_index = 1, .committed_offset = 9});
    CHECK(world.commit(request) == ErrorCode::kOffsetMetadataTooLarge);
    CHECK(world.committed("orders", 0) == -1);
    CHECK(world.committed("orders", 1) == 9);
    world.join({.member = ids[0]});
    CHECK(world.state() == "CompletingRebalance");
    CHECK(world.commit(ids[0], 2, 1) == ErrorCode::kRebalanceInProgress);
}

TEST_CASE(
    "a commit while the group gets ready to rebalance is accepted and counts as a heartbeat") {
    World world;
    const auto ids = start_group(world, 2);
    world.join({.member = ids[0]});
    CHECK(world.state() == "PreparingRebalance");
    for (int i = 0; i < 5; ++i) {
        world.advance(seconds(6));
        CHECK(world.commit(ids[1], 1, i) == ErrorCode::kNone);
    }
    CHECK(world.committed() == 4);
}

TEST_CASE("a consumer that assigns partitions itself commits to a group of its own making") {
    World world;
    CHECK(world.commit("", -1, 3) == ErrorCode::kNone);
    CHECK(world.state() == "Empty");
    CHECK(world.describe().protocol_type.empty());
    world.restart();
    CHECK(world.state() == "Empty");
    CHECK(world.committed() == 3);
    CHECK(world.commit("", -1, 2) == ErrorCode::kNone);
    CHECK(world.committed() == 2);
    const Ticket join = world.join({});  // It may become a group with members.
    world.advance(seconds(7));
    CHECK(world.joined(join).error_code == ErrorCode::kNone);
    CHECK(world.commit("", -1, 5) == ErrorCode::kUnknownMemberId);
}

TEST_CASE("offsets are deleted but for topics that members read") {
    World world;
    const auto ids = start_group(world, 1);
    ErrorCode of_group = ErrorCode::kNone;
    world.commit(ids[0], 1, 1, "orders");
    world.commit(ids[0], 1, 1, "payments");
    CHECK(delete_offset(world, "orders") == ErrorCode::kGroupSubscribedToTopic);
    CHECK(delete_offset(world, "payments") == ErrorCode::kNone);
    CHECK(delete_offset(world, "never committed") == ErrorCode::kNone);
    CHECK(delete_offset(world, "orders", &of_group, "other") == ErrorCode::kGroupIdNotFound);
    world.restart();
    CHECK(world.committed("orders") == 1);
    CHECK(world.committed("payments") == -1);

    const JoinSpec connect{.group = "c", .protocols = {{"x", ""}}, .type = "connect"};
    start_group(world, 1, connect);
    delete_offset(world, "orders", &of_group, "c");
    CHECK(of_group == ErrorCode::kNonEmptyGroup);
}

TEST_CASE("members whose subscription makes no sense keep all offsets") {
    World world;
    const auto ids = start_group(world, 1, {.protocols = {{"range", "\x7f\x7f\x7f\x7f\x7f\x7f"}}});
    CHECK(delete_offset(world, "orders") == ErrorCode::kGroupSubscribedToTopic);
}

TEST_CASE("a group without members is deleted with its offsets, for good") {
    World world;
    const auto ids = start_group(world, 1);
    world.commit(ids[0], 1, 1);
    CHECK(world.remove() == ErrorCode::kNonEmptyGroup);
    world.leave({{ids[0], std::nullopt}});
    CHECK(world.remove() == ErrorCode::kNone);
    CHECK(world.remove() == ErrorCode::kGroupIdNotFound);
    world.restart();
    CHECK(world.state() == "Dead");
    CHECK(world.committed() == -1);
    CHECK(world.coordinator->counts().groups == 0);
}

TEST_CASE("offsets of deleted topics go with them") {
    World world;
    world.commit("", -1, 1, "orders");
    world.commit("", -1, 2, "payments");
    world.commit("", -1, 3, "orders", 1, "other");
    const std::vector<std::string> gone = {"orders", "unknown"};
    world.apply(TopicsDeleted{gone}, 0);
    CHECK(world.coordinator->counts().offsets == 1);
    world.restart();
    CHECK(world.committed("orders") == -1);
    CHECK(world.committed("payments") == 2);
    CHECK(world.committed("orders", 1, "other") == -1);
}

TEST_CASE("offsets expire from when the group became empty, and the empty group with them") {
    World world({.offsets_retention = seconds(7200)});
    const auto ids = start_group(world, 1, {.session_ms = 1'800'000});
    world.commit(ids[0], 1, 1);
    for (int i = 0; i < 10; ++i) {
        world.advance(seconds(1'500));
        CHECK(world.beat(ids[0], 1) == ErrorCode::kNone);
    }
    CHECK(world.committed() == 1);  // A topic that is read expires never.
    world.leave({{ids[0], std::nullopt}});
    world.advance(seconds(7'000));
    CHECK(world.committed() == 1);
    world.restart();
    world.advance(seconds(900));
    CHECK(world.committed() == -1);
    CHECK(world.state() == "Dead");
    world.restart();
    CHECK(world.state() == "Dead");
}

TEST_CASE("a topic that no member reads any more expires from its last commit") {
    World world({.offsets_retention = seconds(3600)});
    const auto ids = start_group(world, 1, {.session_ms = 1'800'000});
    world.commit(ids[0], 1, 1, "orders");
    world.commit(ids[0], 1, 1, "payments");
    for (int i = 0; i < 3; ++i) {
        world.advance(seconds(1'500));
        world.beat(ids[0], 1);
    }
    CHECK(world.committed("orders") == 1);
    CHECK(world.committed("payments") == -1);
    CHECK(world.state() == "Stable");
}

TEST_CASE("what consumers outside of groups commit expires from the commit, or when they say") {
    World world({.offsets_retention = seconds(7200)});
    world.commit("", -1, 1, "orders");
    auto request = World::request_of("", -1, 2, "payments");
    request.retention_time_ms = 1'000'000;
    world.commit(request, 2);
    request = World::request_of("", -1, 3, "payments", 1);
    request.retention_time_ms = INT64_MAX;
    world.commit(request, 2);
    world.restart();
    world.advance(seconds(900));
    CHECK(world.committed("payments") == 2);
    world.advance(seconds(900));
    CHECK(world.committed("payments") == -1);
    CHECK(world.committed("orders") == 1);
    world.advance(seconds(7'000));
    CHECK(world.committed("orders") == -1);
    CHECK(world.committed("payments", 1) == 3);
}

TEST_CASE("many offsets expire in steps that other requests come between") {
    World world({.offsets_retention = seconds(1'000)});
    for (int i = 0; i < 500; ++i) {
        for (int partition = 0; partition < 10; ++partition) {
            world.commit("", -1, 1, "orders", partition, "g" + std::to_string(i));
        }
    }
    const std::size_t before = world.log.size();
    while (world.coordinator->counts().offsets == 5'000) {
        world.instant = world.wake_at;
        world.apply(Tick{}, 0);
    }
    CHECK(world.coordinator->counts().offsets > 2'000);
    CHECK(world.log.size() - before < 3'000);
    world.advance(seconds(1));
    CHECK(world.coordinator->counts().groups == 0);
}

}  // namespace
}  // namespace dlog::coordination::test
