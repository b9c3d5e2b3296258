// The life of a node, of its connections and of what is produced to it.
#include "broker/node.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/testing_node.h"
#include "protocol/frame.h"
#include "protocol/messages/delete_topics.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/list_offsets.h"
#include "protocol/messages/metadata.h"
#include "protocol/messages/offset_for_leader_epoch.h"
#include "protocol/messages/produce.h"
#include "replication/shard.h"

namespace dlog::broker {
namespace {

using port::Task;
using protocol::ErrorCode;
using testing::batch_of;
using testing::call;
using testing::Cluster;
using testing::create_topic;
using testing::fetch_request;
using testing::produce;
using testing::produce_request;
using testing::receive;
using testing::send;
using testing::send_bytes;
using testing::values_in;
using testing::Wire;

// ---- produce and fetch ----

Task<void> produce_and_fetch(Wire& wire) {
    co_await create_topic(wire, "t", 3);
    for (std::int32_t partition = 0; partition < 3; ++partition) {
        const auto first = co_await produce(wire, "t", partition, batch_of({"a", "b"}));
        CHECK(first.error_code == ErrorCode::kNone);
        CHECK(first.base_offset == 0);
        const auto second = co_await produce(wire, "t", partition, batch_of({"c"}));
        CHECK(second.base_offset == 2);
        const auto all = co_await call(wire, 12, fetch_request("t", partition, 0));
        const auto& data = all.message.responses.at(0).partitions.at(0);
        CHECK(data.error_code == ErrorCode::kNone);
        CHECK(data.high_watermark == 3);
        CHECK(values_in(data.records.view()) == std::vector<std::string>{"a", "b", "c"});
    }
    const auto beyond = co_await call(wire, 12, fetch_request("t", 0, 99));
    CHECK(beyond.message.responses.at(0).partitions.at(0).error_code ==
          ErrorCode::kOffsetOutOfRange);
    const auto unknown = co_await call(wire, 12, fetch_request("u", 0, 0));
    CHECK(unknown.message.responses.at(0).partitions.at(0).error_code ==
          ErrorCode::kUnknownTopicOrPartition);
    const auto no_partition = co_await produce(wire, "t", 3, batch_of({"x"}));
    CHECK(no_partition.error_code == ErrorCode::kUnknownTopicOrPartition);
}

TEST_CASE("what is produced to each core's partitions is fetched as it came") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Cluster cluster(seed);
        cluster.run(produce_and_fetch);
    }
}

Task<void> fetch_again(Wire& wire) {
    for (std::int32_t partition = 0; partition < 3; ++partition) {
        const auto all = co_await call(wire, 12, fetch_request("t", partition, 0));
        const auto& data = all.message.responses.at(0).partitions.at(0);
        CHECK(values_in(data.records.view()) == std::vector<std::string>{"a", "b", "c"});
    }
    const auto more = co_await produce(wire, "t", 1, batch_of({"d"}));
    CHECK(more.base_offset == 3);
    // The second start wrote it, under its own epoch.
    protocol::OffsetForLeaderEpochRequest epochs;
    auto& topic = epochs.topics.emplace_back();
    topic.topic = "t";
    topic.partitions.push_back({.partition = 1, .leader_epoch = 1});
    const auto end = co_await call(wire, 4, std::move(epochs));
    CHECK(end.message.topics.at(0).partitions.at(0).end_offset == 3);
    CHECK(end.message.topics.at(0).partitions.at(0).leader_epoch == 1);
}

TEST_CASE("topics and acknowledged records are there after a stop, a kill and a loss of power") {
    for (const testing::Ending ending : testing::kEndings) {
        const auto way = static_cast<std::uint64_t>(ending);
        CAPTURE(way);
        Cluster cluster(7 + way);
        cluster.run(produce_and_fetch);
        cluster.restart(ending);
        cluster.run(fetch_again);
    }
}

// ---- order and pipelining ----

Task<void> pipeline(Wire& wire) {
    co_await create_topic(wire, "t", 4);
    constexpr int kRequests = 200;
    const std::int32_t before = wire.correlation_id;
    for (int i = 0; i < kRequests; ++i) {
        const std::int32_t partition = i % 4;
        co_await send(wire, 9, produce_request("t", partition, batch_of({std::to_string(i)}), 1));
    }
    for (int i = 0; i < kRequests; ++i) {
        const auto reply = co_await receive<protocol::ProduceResponse>(wire, 9, before + 1 + i);
        REQUIRE(reply.has_value());
        const auto& answer = reply->message.responses.at(0).partition_responses.at(0);
        CHECK(answer.error_code == ErrorCode::kNone);
        CHECK(answer.base_offset == i / 4);
    }
}

TEST_CASE("pipelined produce requests keep their order on every core and in the answers") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Cluster cluster(seed, {}, 3);
        cluster.run(pipeline);
    }
}

Task<void> produce_then_look(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    for (int i = 0; i < 5; ++i) {
        co_await send(wire, 9, produce_request("t", 0, batch_of({"x"}), 0));
    }
    // acks=0 has no answer; what follows on the connection sees the records.
    protocol::ListOffsetsRequest latest;
    latest.replica_id = -1;
    auto& topic = latest.topics.emplace_back();
    topic.name = "t";
    topic.partitions.push_back({.partition_index = 0, .timestamp = -1});
    const auto reply = co_await call(wire, 7, std::move(latest));
    CHECK(reply.message.topics.at(0).partitions.at(0).offset == 5);
}

TEST_CASE("a request after produce requests without answers sees their records") {
    Cluster cluster;
    cluster.run(produce_then_look);
}

// ---- moving to the core of the partitions ----

/// Four produce requests under way at a time; the first record has the offset `first`.
Task<void> produce_four(Wire& wire, std::int32_t partition, std::int64_t first) {
    const std::int32_t before = wire.correlation_id;
    for (int i = 0; i < 4; ++i) {
        const Buffer batch = batch_of({std::to_string(first + i)});
        co_await send(wire, 9, produce_request("t", partition, batch, 1));
    }
    for (int i = 0; i < 4; ++i) {
        const auto reply = co_await receive<protocol::ProduceResponse>(wire, 9, before + 1 + i);
        REQUIRE(reply.has_value());
        const auto& answer = reply->message.responses.at(0).partition_responses.at(0);
        CHECK(answer.base_offset == first + i);
    }
}

/// Many requests for one partition, and a fetch session.
Task<void> use_one_partition(Wire& wire, std::int32_t partition) {
    protocol::FetchRequest fetch = fetch_request("t", partition, 0);
    fetch.max_wait_ms = 0;
    fetch.session_epoch = 0;
    const auto begun = co_await call(wire, 12, fetch);
    REQUIRE(begun.message.session_id != 0);
    fetch.session_id = begun.message.session_id;
    std::int64_t produced = 0;
    for (int round = 0; round < 40; ++round) {
        co_await produce_four(wire, partition, produced);
        produced += 4;
        fetch.topics[0].partitions[0].fetch_offset = produced - 1;
        fetch.session_epoch = round + 1;
        const auto news = co_await call(wire, 12, fetch);
        REQUIRE(news.message.error_code == ErrorCode::kNone);
        const auto values = values_in(news.message.responses.at(0).partitions.at(0).records.view());
        CHECK(values == std::vector<std::string>{std::to_string(produced - 1)});
    }
}

Task<void> use_every_partition(Wire& wire) {
    co_await create_topic(wire, "t", 4);
    for (std::int32_t partition = 0; partition < 4; ++partition) {
        co_await use_one_partition(wire, partition);
    }
}

TEST_CASE("a connection moves to the core of the partition that it uses, and nobody notices") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Cluster cluster(seed, {}, 4);
        cluster.run(use_every_partition);
        const std::string metrics = cluster.metrics();
        // The four partitions lie on four cores, one of which may be where it began.
        const bool moved = metrics.find("dlog_connections_moved_total 3\n") != std::string::npos ||
                           metrics.find("dlog_connections_moved_total 4\n") != std::string::npos;
        CHECK_MESSAGE(moved, metrics);
        CHECK(metrics.find("dlog_fetch_sessions 4\n") != std::string::npos);
        cluster.stop();
    }
}

// ---- long polls and sessions ----

Task<void> produce_later(port::Ports& ports, Duration delay) {
    co_await port::sleep_for(ports.clock, delay);
    Wire wire{.ports = ports};
    CHECK(co_await connect(wire));
    co_await produce(wire, "t", 1, batch_of({"late"}));
}

Task<void> wait_for_record(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    wire.ports.spawn.spawn(produce_later(wire.ports, milliseconds(200)));
    protocol::FetchRequest request = fetch_request("t", 0, 0);
    request.topics[0].partitions.push_back(request.topics[0].partitions[0]);
    request.topics[0].partitions[1].partition = 1;
    request.max_wait_ms = 60'000;
    const Instant begin = wire.ports.clock.now();
    const auto reply = co_await call(wire, 12, std::move(request));
    const Duration waited = wire.ports.clock.now() - begin;
    CHECK(waited >= milliseconds(200));
    CHECK(waited < seconds(5));
    bool has_record = false;
    for (const auto& data : reply.message.responses.at(0).partitions) {
        if (values_in(data.records.view()) == std::vector<std::string>{"late"}) has_record = true;
    }
    CHECK(has_record);
    // Nothing more comes: the wait ends when its time is over.
    protocol::FetchRequest idle = fetch_request("t", 0, 0);
    idle.max_wait_ms = 300;
    const Instant idle_begin = wire.ports.clock.now();
    const auto nothing = co_await call(wire, 12, std::move(idle));
    CHECK(wire.ports.clock.now() - idle_begin >= milliseconds(300));
    CHECK(nothing.message.responses.at(0).partitions.at(0).records.size() == 0);
}

TEST_CASE("a fetch waits for a record on any core, and no longer than asked") {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        Cluster cluster(seed);
        cluster.run(wait_for_record);
    }
}

Task<void> use_session(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    protocol::FetchRequest request = fetch_request("t", 0, 0);
    request.topics[0].partitions.push_back(request.topics[0].partitions[0]);
    request.topics[0].partitions[1].partition = 1;
    request.max_wait_ms = 10;
    request.session_epoch = 0;
    const auto full = co_await call(wire, 12, std::move(request));
    REQUIRE(full.message.session_id != 0);
    CHECK(full.message.responses.at(0).partitions.size() == 2);

    protocol::FetchRequest next;
    next.max_wait_ms = 10;
    next.min_bytes = 1;
    next.max_bytes = 1 << 20;
    next.session_id = full.message.session_id;
    next.session_epoch = 1;
    const auto nothing = co_await call(wire, 12, next);
    CHECK(nothing.message.responses.empty());

    co_await produce(wire, "t", 1, batch_of({"news"}));
    next.session_epoch = 2;
    const auto news = co_await call(wire, 12, next);
    REQUIRE(news.message.responses.size() == 1);
    CHECK(news.message.responses[0].partitions.size() == 1);
    CHECK(news.message.responses[0].partitions[0].partition_index == 1);

    const auto repeated = co_await call(wire, 12, next);
    CHECK(repeated.message.error_code == ErrorCode::kInvalidFetchSessionEpoch);
    next.session_id += 1;
    const auto unknown = co_await call(wire, 12, next);
    CHECK(unknown.message.error_code == ErrorCode::kFetchSessionIdNotFound);
}

TEST_CASE("an incremental fetch session sends only what is new (KIP-227)") {
    Cluster cluster;
    cluster.run(use_session);
}

// ---- bad peers ----

Task<void> expect_end(Wire& wire) {
    std::uint8_t byte[1];
    const auto end = co_await port::read_exactly(*wire.connection, byte);
    CHECK((!end || !*end));
}

Task<void> send_unknown_api(Wire& wire) {
    const std::uint8_t bytes[] = {0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff};
    CHECK(co_await send_bytes(wire, Buffer::copy_of(bytes)));
    co_await expect_end(wire);
}

Task<void> send_http(Wire& wire) {
    CHECK(co_await send_bytes(wire, Buffer::copy_of(as_bytes("GET / HTTP/1.1\r\n\r\n"))));
    co_await expect_end(wire);
}

Task<void> send_broken_body(Wire& wire) {
    // Metadata version 9 with a count that its bytes cannot hold.
    const std::uint8_t bytes[] = {0, 0, 0,    15,   0, 3,    0,    9,    0,   0,
                                  0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0x7f};
    CHECK(co_await send_bytes(wire, Buffer::copy_of(bytes)));
    co_await expect_end(wire);
}

Task<void> send_half(Wire& wire) {
    const std::uint8_t bytes[] = {0, 0, 1, 0, 0, 3};
    CHECK(co_await send_bytes(wire, Buffer::copy_of(bytes)));
    co_await expect_end(wire);
}

Task<void> stay_idle(Wire& wire) {
    const Instant begin = wire.ports.clock.now();
    co_await expect_end(wire);
    CHECK(wire.ports.clock.now() - begin >= seconds(30));
}

TEST_CASE("a broken, half or missing request ends its own connection and no other") {
    NodeConfig config;
    config.connection_idle_max = seconds(40);
    config.write_stall_max = seconds(10);
    Cluster cluster(1, config);
    cluster.run(send_unknown_api);
    cluster.run(send_http);
    cluster.run(send_broken_body);
    cluster.run(send_half);
    cluster.run(stay_idle);
    cluster.run(produce_and_fetch);
}

Task<void> never_read(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    co_await produce(wire, "t", 0, batch_of({std::string(500'000, 'x')}));
    // Far more answers than any window holds; none is taken.
    for (int i = 0; i < 200; ++i) {
        protocol::Writer writer;
        static_cast<void>(protocol::encode_request_frame(writer, 12, 100 + i, std::string("t"),
                                                         fetch_request("t", 0, 0)));
        if (!co_await send_bytes(wire, writer.take())) co_return;
    }
    co_await port::sleep_for(wire.ports.clock, seconds(60));
    const bool is_open = co_await send_bytes(wire, Buffer::copy_of(as_bytes("x")));
    CHECK(!is_open);
}

Task<void> list_topics(Wire& wire) {
    protocol::MetadataRequest all;
    all.topics = std::nullopt;
    CHECK((co_await call(wire, 12, all)).message.brokers.size() == 1);
}

TEST_CASE("a client that never reads its responses is closed") {
    NodeConfig config;
    config.write_stall_max = seconds(10);
    Cluster cluster(1, config);
    cluster.run(never_read);
    cluster.run(list_topics);
}

// ---- the data folder ----

Task<void> note_id_and_delete(Wire& wire, TopicId& id) {
    co_await create_topic(wire, "t", 2);
    protocol::MetadataRequest request;
    request.topics.emplace();
    request.topics->push_back({.name = "t"});
    const auto described = co_await call(wire, 12, std::move(request));
    id = described.message.topics.at(0).topic_id;
    protocol::DeleteTopicsRequest deletion;
    deletion.topics.push_back({.name = "t"});
    const auto reply = co_await call(wire, 6, std::move(deletion));
    CHECK(reply.message.responses.at(0).error_code == ErrorCode::kNone);
}

struct Found {
    bool is_left = true;
    bool is_other_there = false;
    bool is_done = false;
};

Task<void> make_folders(port::Ports& ports, std::string left, std::string other, Found& found) {
    CHECK((co_await ports.disk.make_directories(left)).has_value());
    CHECK((co_await ports.disk.make_directories(other)).has_value());
    found.is_done = true;
}

Task<void> look_for_folders(port::Ports& ports, std::string left, std::string other, Found& found) {
    found.is_left = (co_await ports.disk.stat_path(left)).has_value();
    found.is_other_there = (co_await ports.disk.stat_path(other)).has_value();
    found.is_done = true;
}

Task<void> make_and_delete(Wire& wire) {
    co_await create_topic(wire, "t", 3);
    co_await produce(wire, "t", 1, batch_of({"x"}));
    protocol::DeleteTopicsRequest request;
    request.topic_names.push_back("t");
    const auto reply = co_await call(wire, 5, std::move(request));
    CHECK(reply.message.responses.at(0).error_code == ErrorCode::kNone);
}

TEST_CASE("nothing of a deleted topic stays in the data folder") {
    Cluster cluster;
    cluster.run(make_and_delete);
    CHECK(cluster.host.disk().image.find("data/topics").has_value());
    CHECK_FALSE(cluster.host.disk().image.find("data/topics/t").has_value());
}

TEST_CASE("what a crash left of a deleted topic is removed at the next start, and nothing else") {
    Cluster cluster;
    TopicId id;
    cluster.run([&id](Wire& wire) { return note_id_and_delete(wire, id); });
    const std::string left = replication::partition_folder(
        "data", {.topic = "t", .topic_id = id, .partition = PartitionId(1)});
    const std::string other = "data/topics/t/1-00000000";
    Found found;
    cluster.host.ports().spawn.spawn(make_folders(cluster.host.ports(), left, other, found));
    CHECK(cluster.world.run_until([&] { return found.is_done; }, seconds(10)));
    cluster.stop();
    cluster.world.kill(cluster.host);
    cluster.world.run_for(milliseconds(1));
    cluster.world.restart(cluster.host);
    cluster.wait_for_start();
    found.is_done = false;
    cluster.host.ports().spawn.spawn(look_for_folders(cluster.host.ports(), left, other, found));
    CHECK(cluster.world.run_until([&] { return found.is_done; }, seconds(10)));
    CHECK(!found.is_left);
    CHECK(found.is_other_there);
}

TEST_CASE("a data folder of another node is refused in words") {
    Cluster cluster;
    cluster.stop();
    cluster.world.kill(cluster.host);
    cluster.world.run_for(milliseconds(1));
    NodeConfig other;
    other.node_id = NodeId(2);
    other.listen = {"node", 9092};
    other.data_dir = "data";
    cluster.world.restart(cluster.host);
    cluster.wait_for_start();
    cluster.stop();
    auto second = std::make_unique<testing::NodeProgram>(cluster.host, other);
    CHECK(cluster.world.run_until([&] { return !second->failure.empty(); }, seconds(10)));
    CHECK(second->failure.find("belongs to node 1, but this is node 2") != std::string::npos);
}

}  // namespace
}  // namespace dlog::broker
