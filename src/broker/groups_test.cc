// Groups of a whole node: the way to their coordinator, and what of them survives.
#include "broker/groups.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "broker/testing_node.h"
#include "protocol/messages/delete_groups.h"
#include "protocol/messages/delete_topics.h"
#include "protocol/messages/find_coordinator.h"
#include "protocol/messages/heartbeat.h"
#include "protocol/messages/join_group.h"
#include "protocol/messages/leave_group.h"
#include "protocol/messages/list_groups.h"
#include "protocol/messages/offset_commit.h"
#include "protocol/messages/offset_fetch.h"
#include "protocol/messages/sync_group.h"

namespace dlog::broker {
namespace {

using port::Task;
using protocol::ErrorCode;
using testing::call;
using testing::Cluster;
using testing::create_topic;
using testing::Wire;

NodeConfig quick_groups() {
    NodeConfig config;
    config.groups.initial_rebalance_delay = Duration{};
    config.offsets_topic_partitions = 8;
    return config;
}

protocol::JoinGroupRequest join_request(std::string group, std::string member = "") {
    protocol::JoinGroupRequest request;
    request.group_id = std::move(group);
    request.session_timeout_ms = 10'000;
    request.rebalance_timeout_ms = 10'000;
    request.member_id = std::move(member);
    request.protocol_type = "consumer";
    request.protocols.push_back({.name = "range", .metadata = as_bytes("metadata")});
    return request;
}

Task<ErrorCode> find_coordinator(Wire& wire, std::string group) {
    protocol::FindCoordinatorRequest request;
    request.coordinator_keys = {std::move(group)};
    const auto reply = co_await call(wire, 6, std::move(request));
    const auto& found = reply.message.coordinators.at(0);
    if (found.error_code == ErrorCode::kNone) {
        CHECK(found.host == "node");
        CHECK(found.port == 9092);
    }
    co_return found.error_code;
}

/// A coordinator that has not read its log yet says so.
Task<protocol::JoinGroupResponse> join(Wire& wire, std::string group, std::string member = "") {
    for (int attempt = 0; attempt < 100; ++attempt) {
        auto reply = co_await call(wire, 9, join_request(group, member));
        if (reply.message.error_code == ErrorCode::kMemberIdRequired) {
            member = reply.message.member_id;
            continue;
        }
        if (reply.message.error_code == ErrorCode::kCoordinatorLoadInProgress) {
            co_await port::sleep_for(wire.ports.clock, milliseconds(10));
            continue;
        }
        reply.message.members.clear();  // Their views end with the frame.
        co_return std::move(reply.message);
    }
    FAIL("the coordinator does not come");
    co_return {};
}

Task<ErrorCode> sync(Wire& wire, std::string group, std::string member, std::int32_t generation) {
    protocol::SyncGroupRequest request;
    request.group_id = std::move(group);
    request.generation_id = generation;
    request.member_id = member;
    request.assignments.push_back({.member_id = member, .assignment = as_bytes("everything")});
    const auto reply = co_await call(wire, 5, std::move(request));
    if (reply.message.error_code == ErrorCode::kNone) {
        CHECK(as_text(reply.message.assignment) == "everything");
    }
    co_return reply.message.error_code;
}

Task<ErrorCode> beat(Wire& wire, std::string group, std::string member, std::int32_t generation) {
    protocol::HeartbeatRequest request;
    request.group_id = std::move(group);
    request.generation_id = generation;
    request.member_id = std::move(member);
    const auto reply = co_await call(wire, 4, std::move(request));
    co_return reply.message.error_code;
}

protocol::OffsetCommitRequest commit_request(std::string group, std::string topic,
                                             std::int32_t partition, std::int64_t offset) {
    protocol::OffsetCommitRequest request;
    request.group_id = std::move(group);
    auto& asked = request.topics.emplace_back();
    asked.name = std::move(topic);
    asked.partitions.push_back(
        {.partition_index = partition, .committed_offset = offset, .committed_metadata = "note"});
    return request;
}

Task<std::int64_t> committed(Wire& wire, std::string group, std::string topic,
                             std::int32_t partition) {
    for (int attempt = 0; attempt < 100; ++attempt) {
        protocol::OffsetFetchRequest request;
        auto& asked = request.groups.emplace_back();
        asked.group_id = group;
        asked.topics.emplace().push_back({.name = topic, .partition_indexes = {partition}});
        const auto reply = co_await call(wire, 8, std::move(request));
        const auto& answer = reply.message.groups.at(0);
        if (answer.error_code == ErrorCode::kCoordinatorLoadInProgress) {
            co_await port::sleep_for(wire.ports.clock, milliseconds(10));
            continue;
        }
        CHECK(answer.error_code == ErrorCode::kNone);
        co_return answer.topics.at(0).partitions.at(0).committed_offset;
    }
    FAIL("the coordinator does not come");
    co_return -2;
}

/// A commit of the member for one partition that exists and two that do not.
Task<void> commit_as(Wire& wire, std::string group, std::string member, std::int64_t offset) {
    auto commit = commit_request(group, "t", 2, offset);
    commit.generation_id_or_member_epoch = 1;
    commit.member_id = std::move(member);
    commit.topics.push_back({.name = "none", .partitions = {{.partition_index = 0}}});
    commit.topics.push_back({.name = "t", .partitions = {{.partition_index = 9}}});
    const auto reply = co_await call(wire, 9, std::move(commit));
    REQUIRE(reply.message.topics.size() == 3);
    CHECK(reply.message.topics[0].partitions.at(0).error_code == ErrorCode::kNone);
    for (const std::size_t unknown : {1, 2}) {
        CHECK(reply.message.topics[unknown].partitions.at(0).error_code ==
              ErrorCode::kUnknownTopicOrPartition);
    }
}

Task<void> run_group(Wire& wire, std::string group, std::int64_t offset) {
    CHECK(co_await find_coordinator(wire, group) == ErrorCode::kNone);
    const protocol::JoinGroupResponse joined = co_await join(wire, group);
    CHECK(joined.error_code == ErrorCode::kNone);
    CHECK(joined.generation_id == 1);
    CHECK(joined.leader == joined.member_id);
    CHECK(co_await sync(wire, group, joined.member_id, 1) == ErrorCode::kNone);
    CHECK(co_await beat(wire, group, joined.member_id, 1) == ErrorCode::kNone);
    CHECK(co_await beat(wire, group, joined.member_id, 2) == ErrorCode::kIllegalGeneration);
    CHECK(co_await beat(wire, group, "nobody", 1) == ErrorCode::kUnknownMemberId);
    co_await commit_as(wire, group, joined.member_id, offset);
    CHECK(co_await committed(wire, group, "t", 2) == offset);
    CHECK(co_await committed(wire, group, "t", 1) == -1);
}

Task<void> run_groups(Wire& wire) {
    co_await create_topic(wire, "t", 3);
    // Groups whose coordinators live on both cores.
    for (int i = 0; i < 6; ++i) co_await run_group(wire, "group-" + std::to_string(i), 40 + i);
    const auto listed = co_await call(wire, 5, protocol::ListGroupsRequest{});
    CHECK(listed.message.error_code == ErrorCode::kNone);
    CHECK(listed.message.groups.size() == 6);
}

TEST_CASE("a group's partition is the one that Java's hash of its id gives") {
    CHECK(offsets_partition_of("", 50) == 0);
    CHECK(offsets_partition_of("a", 50) == 97 % 50);
    CHECK(offsets_partition_of("consumer-group", 50) == (-1'738'392'088 & INT32_MAX) % 50);
    CHECK(offsets_partition_of("gr\xC3\xBC\xC3\x9F"
                               "e",
                               50) == 98'768'023 % 50);
    CHECK(offsets_partition_of("\xF0\x9F\x98\x80", 50) == 1'772'899 % 50);
    CHECK(offsets_partition_of("\xFF", 1) == 0);
}

TEST_CASE("members join, sync, beat and commit on every core") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Cluster cluster(seed, quick_groups());
        cluster.run(run_groups);
        cluster.stop();
    }
}

Task<void> find_everything_again(Wire& wire) {
    for (int i = 0; i < 6; ++i) {
        CHECK(co_await committed(wire, "group-" + std::to_string(i), "t", 2) == 40 + i);
    }
    // The member is still one: who joins now waits until it has had its time to join again.
    const Instant before = wire.ports.clock.now();
    const protocol::JoinGroupResponse joined = co_await join(wire, "group-0");
    CHECK(joined.error_code == ErrorCode::kNone);
    CHECK(joined.generation_id == 2);
    CHECK(wire.ports.clock.now() - before >= seconds(5));
}

TEST_CASE("groups and their offsets are there after a stop, a kill and a loss of power") {
    for (const testing::Ending ending : testing::kEndings) {
        const auto way = static_cast<std::uint64_t>(ending);
        CAPTURE(way);
        Cluster cluster(11 + way, quick_groups());
        cluster.run(run_groups);
        cluster.restart(ending);
        cluster.run(find_everything_again);
    }
}

Task<void> leave_a_join_waiting(Wire& wire) {
    CHECK(co_await find_coordinator(wire, "g") == ErrorCode::kNone);
    const protocol::JoinGroupResponse first = co_await join(wire, "g");
    CHECK(co_await sync(wire, "g", first.member_id, 1) == ErrorCode::kNone);
    // The second waits for the first to join again, which it does not.
    const auto asked = co_await call(wire, 9, join_request("g"));
    CHECK(asked.message.error_code == ErrorCode::kMemberIdRequired);
    co_await testing::send(wire, 9, join_request("g", asked.message.member_id));
    co_await port::sleep_for(wire.ports.clock, milliseconds(100));
}

TEST_CASE("a node stops while members wait to join") {
    Cluster cluster(3, quick_groups());
    cluster.run(leave_a_join_waiting);
    cluster.stop();
}

Task<void> delete_a_topic(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    co_await create_topic(wire, "u", 1);
    CHECK(co_await find_coordinator(wire, "g") == ErrorCode::kNone);
    CHECK(co_await committed(wire, "g", "t", 0) == -1);
    for (const char* topic : {"t", "u"}) {
        const auto reply = co_await call(wire, 9, commit_request("g", topic, 0, 7));
        CHECK(reply.message.topics.at(0).partitions.at(0).error_code == ErrorCode::kNone);
    }
    protocol::DeleteTopicsRequest deletion;
    deletion.topics.push_back({.name = "t"});
    (void)co_await call(wire, 6, std::move(deletion));
    CHECK(co_await committed(wire, "g", "t", 0) == -1);
    CHECK(co_await committed(wire, "g", "u", 0) == 7);
}

TEST_CASE("what was committed for a deleted topic goes with it") {
    Cluster cluster(4, quick_groups());
    cluster.run(delete_a_topic);
}

Task<void> commit_by_unknown_ids(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    CHECK(co_await find_coordinator(wire, "g") == ErrorCode::kNone);
    CHECK(co_await committed(wire, "g", "t", 0) == -1);
    auto commit = commit_request("g", "", 0, 7);
    commit.topics.at(0).topic_id = TopicId{1, 2};
    const auto reply = co_await call(wire, 10, std::move(commit));
    const auto& answer = reply.message.topics.at(0);
    CHECK(answer.topic_id == TopicId{1, 2});
    CHECK(answer.partitions.at(0).error_code == ErrorCode::kUnknownTopicId);

    protocol::OffsetFetchRequest fetch;
    auto& asked = fetch.groups.emplace_back();
    asked.group_id = "g";
    asked.topics.emplace().push_back({.topic_id = TopicId{1, 2}, .partition_indexes = {0}});
    const auto fetched = co_await call(wire, 10, std::move(fetch));
    const auto& found = fetched.message.groups.at(0).topics.at(0).partitions.at(0);
    CHECK(found.error_code == ErrorCode::kUnknownTopicId);
    CHECK(found.committed_offset == -1);
}

TEST_CASE("offsets of an id that no topic has are refused (KIP-848)") {
    Cluster cluster(6, quick_groups());
    cluster.run(commit_by_unknown_ids);
}

/// Its tombstones are more than a batch, which may be as large as a segment.
Task<void> delete_a_group_of_large_records(Wire& wire) {
    constexpr std::int32_t kPartitions = 50;
    const std::string group(30'000, 'g');
    co_await create_topic(wire, "t", kPartitions);
    CHECK(co_await find_coordinator(wire, group) == ErrorCode::kNone);
    CHECK(co_await committed(wire, group, "t", 0) == -1);
    for (std::int32_t partition = 0; partition < kPartitions; ++partition) {
        const auto reply = co_await call(wire, 9, commit_request(group, "t", partition, 7));
        CHECK(reply.message.topics.at(0).partitions.at(0).error_code == ErrorCode::kNone);
    }
    protocol::DeleteGroupsRequest deletion;
    deletion.groups_names = {group};
    const auto reply = co_await call(wire, 2, std::move(deletion));
    CHECK(reply.message.results.at(0).error_code == ErrorCode::kNone);
    CHECK(co_await committed(wire, group, "t", kPartitions - 1) == -1);
}

Task<void> find_no_group(Wire& wire) {
    CHECK(co_await committed(wire, std::string(30'000, 'g'), "t", 0) == -1);
    const auto listed = co_await call(wire, 5, protocol::ListGroupsRequest{});
    CHECK(listed.message.groups.empty());
}

TEST_CASE("what is decided at once may be more than a batch holds") {
    NodeConfig config = quick_groups();
    config.offsets_topic_segment_bytes = 1'048'576;
    Cluster cluster(5, std::move(config));
    cluster.run(delete_a_group_of_large_records);
    cluster.restart(testing::kEndings[0]);
    cluster.run(find_no_group);
}

constexpr std::int32_t kCommittedAtOnce = 5;

Task<void> commit_alone(port::Ports& ports, std::string group, int& acknowledged) {
    Wire wire{.ports = ports};
    CHECK(co_await testing::connect(wire));
    auto commit = commit_request(group, "t", 0, 7);
    for (std::int32_t partition = 1; partition < kCommittedAtOnce; ++partition) {
        commit.topics.at(0).partitions.push_back(
            {.partition_index = partition, .committed_offset = 7, .committed_metadata = ""});
    }
    const auto reply = co_await call(wire, 9, std::move(commit));
    for (const auto& one : reply.message.topics.at(0).partitions) {
        CHECK(one.error_code == ErrorCode::kNone);
    }
    ++acknowledged;
}

/// Every batch of the fetched ones has all records of its decisions; returns where they end.
Offset check_decisions_are_whole(ByteView records) {
    Offset end = kNoOffset;
    record::BatchSplitter batches(records);
    for (auto batch = batches.next(); batch && *batch; batch = batches.next()) {
        CHECK((*batch)->header.record_count % kCommittedAtOnce == 0);
        end = (*batch)->header.next_offset();
    }
    return end;
}

Task<void> commit_many_at_once(Wire& wire) {
    constexpr int kGroups = 60;
    co_await create_topic(wire, "t", kCommittedAtOnce);
    co_await create_topic(wire, "__consumer_offsets", 1,
                          {{"cleanup.policy", "compact"}, {"internal.segment.bytes", "1000"}});
    CHECK(co_await committed(wire, "g", "t", 0) == -1);
    int acknowledged = 0;
    for (int i = 0; i < kGroups; ++i) {
        wire.ports.spawn.spawn(
            commit_alone(wire.ports, "group-" + std::to_string(i), acknowledged));
    }
    const auto is_done = [&] { return acknowledged == kGroups; };
    while (!is_done()) co_await port::sleep_for(wire.ports.clock, milliseconds(10));
    Offset offset{0};
    while (offset < Offset{kGroups * kCommittedAtOnce}) {
        const auto reply =
            co_await call(wire, 12, testing::fetch_request("__consumer_offsets", 0, offset.value));
        const ByteView records = reply.message.responses.at(0).partitions.at(0).records.view();
        const Offset end = check_decisions_are_whole(records);
        REQUIRE(end > offset);
        offset = end;
    }
}

TEST_CASE("what is decided at once is in one batch, however many decisions wait for a write") {
    Cluster cluster(6, quick_groups());
    cluster.host.disk().options.sync = {milliseconds(20), milliseconds(30)};
    cluster.run(commit_many_at_once);
}

}  // namespace
}  // namespace dlog::broker
