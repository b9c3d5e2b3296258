// A whole node on the simulator, spoken to in Kafka's protocol by a client that only encodes and
// decodes.
#include "broker/node.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/api_table.h"
#include "protocol/frame.h"
#include "protocol/messages/api_versions.h"
#include "protocol/messages/create_partitions.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/delete_topics.h"
#include "protocol/messages/describe_cluster.h"
#include "protocol/messages/describe_configs.h"
#include "protocol/messages/describe_topic_partitions.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/init_producer_id.h"
#include "protocol/messages/list_offsets.h"
#include "protocol/messages/metadata.h"
#include "protocol/messages/offset_for_leader_epoch.h"
#include "protocol/messages/produce.h"
#include "record/batch.h"
#include "record/builder.h"
#include "replication/shard.h"
#include "sim/world.h"

namespace dlog::broker {
namespace {

using port::Task;
using protocol::ErrorCode;

struct NodeProgram final : sim::Program {
    explicit NodeProgram(sim::Host& host, NodeConfig config) : host_(host) {
        std::vector<port::Ports> cores;
        for (std::uint32_t i = 0; i < host.core_count(); ++i) {
            cores.push_back(host.ports(CoreId(i)));
        }
        node = std::make_unique<Node>(cores, std::move(config));
        host.ports().spawn.spawn(start(*this));
    }

    static Task<void> start(NodeProgram& self) {
        auto started = co_await self.node->start();
        self.failure = started ? std::string() : started.error();
        self.has_started = started.has_value();
    }
    static Task<void> stop(NodeProgram& self) {
        co_await self.node->stop();
        self.has_stopped = true;
    }
    void stop_soon() { host_.ports().spawn.spawn(stop(*this)); }

    sim::Host& host_;
    std::unique_ptr<Node> node;
    std::string failure;
    bool has_started = false;
    bool has_stopped = false;
};

/// One connection of a test's client.
struct Wire {
    port::Ports& ports;
    port::ConnectionPtr connection;
    std::int32_t correlation_id = 0;
};

Task<bool> connect(Wire& wire) {
    auto connected = co_await wire.ports.net.connect({"node", 9092});
    if (!connected) co_return false;
    wire.connection = *std::move(connected);
    co_return true;
}

Task<bool> send_bytes(Wire& wire, Buffer bytes) {
    std::vector<port::OutPart> parts;
    parts.emplace_back(std::move(bytes));
    const auto written = co_await wire.connection->write(std::move(parts));
    co_return written.has_value();
}

template <class Message>
struct Reply {
    Message message;
    Buffer frame;  // what the message's views point into
};

template <class Request>
Task<void> send(Wire& wire, std::int16_t version, Request request) {
    protocol::Writer writer;
    const auto encoded = protocol::encode_request_frame(writer, version, ++wire.correlation_id,
                                                        std::string("test"), request);
    REQUIRE_MESSAGE(encoded.has_value(), encoded.error().text());
    CHECK(co_await send_bytes(wire, writer.take()));
}

/// Nothing when the connection ended.
template <class Response>
Task<std::optional<Reply<Response>>> receive(Wire& wire, std::int16_t version,
                                             std::int32_t correlation_id) {
    std::uint8_t length[4];
    const auto has_length = co_await port::read_exactly(*wire.connection, length);
    if (!has_length || !*has_length) co_return std::nullopt;
    Buffer frame = Buffer::allocate(load_big_endian<std::uint32_t>(length));
    const auto has_frame = co_await port::read_exactly(*wire.connection, frame.mutable_view());
    if (!has_frame || !*has_frame) co_return std::nullopt;
    protocol::Reader reader(frame.view());
    const auto header = protocol::decode_response_header(reader, Response::kKey, version);
    REQUIRE(header.has_value());
    CHECK(header->correlation_id == correlation_id);
    auto body = protocol::decode_body<Response>(reader, version);
    REQUIRE_MESSAGE(body.has_value(), body.error().text());
    co_return Reply<Response>{*std::move(body), std::move(frame)};
}

template <class Request>
Task<Reply<typename Request::Response>> call(Wire& wire, std::int16_t version, Request request) {
    co_await send(wire, version, std::move(request));
    auto reply = co_await receive<typename Request::Response>(wire, version, wire.correlation_id);
    REQUIRE_MESSAGE(reply.has_value(), Request::kName, " ended the connection");
    co_return *std::move(reply);
}

Buffer batch_of(const std::vector<std::string>& values, record::BatchSpec spec = {},
                std::int64_t timestamp_ms = 1'000) {
    record::BatchBuilder builder(spec);
    for (const std::string& value : values) {
        builder.append(Timestamp{timestamp_ms++}, std::nullopt, as_bytes(value));
    }
    auto batch = builder.build();
    REQUIRE(batch.has_value());
    return *std::move(batch);
}

protocol::ProduceRequest produce_request(const std::string& topic, std::int32_t partition,
                                         const Buffer& batch, std::int16_t acks = -1) {
    protocol::ProduceRequest request;
    request.acks = acks;
    request.timeout_ms = 1000;
    auto& data = request.topic_data.emplace_back();
    data.name = topic;
    data.partition_data.push_back({.index = partition, .records = batch.view()});
    return request;
}

Task<protocol::ProduceResponse::PartitionProduceResponse> produce(Wire& wire, std::string topic,
                                                                  std::int32_t partition,
                                                                  Buffer batch) {
    auto reply = co_await call(wire, 9, produce_request(topic, partition, batch));
    co_return reply.message.responses.at(0).partition_responses.at(0);
}

protocol::FetchRequest fetch_request(const std::string& topic, std::int32_t partition,
                                     std::int64_t offset) {
    protocol::FetchRequest request;
    request.max_wait_ms = 500;
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    auto& asked = request.topics.emplace_back();
    asked.topic = topic;
    protocol::FetchRequest::FetchPartition one;
    one.partition = partition;
    one.fetch_offset = offset;
    one.partition_max_bytes = 1 << 20;
    asked.partitions.push_back(one);
    return request;
}

/// The values of all records in `bytes`.
std::vector<std::string> values_in(ByteView bytes) {
    std::vector<std::string> values;
    record::BatchSplitter batches(bytes);
    record::ReaderScratch scratch;
    while (true) {
        auto batch = batches.next();
        if (!batch || !*batch) return values;
        CHECK(record::verify_crc((*batch)->bytes).has_value());
        auto reader = record::BatchReader::open((*batch)->bytes, scratch);
        REQUIRE(reader.has_value());
        record::Record one;
        while (*reader->next(one)) values.emplace_back(as_text(*one.value));
    }
}

Task<void> create_topic(Wire& wire, std::string name, std::int32_t partitions,
                        std::vector<std::pair<std::string, std::string>> configs = {}) {
    protocol::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = partitions;
    topic.replication_factor = 1;
    for (auto& [key, value] : configs) topic.configs.push_back({.name = key, .value = value});
    const auto reply = co_await call(wire, 7, std::move(request));
    CHECK(reply.message.topics.at(0).error_code == ErrorCode::kNone);
}

using Script = std::function<Task<void>(Wire&)>;

/// A node on two cores and a client's machine.
struct Cluster {
    explicit Cluster(std::uint64_t seed = 1, NodeConfig config = {}, std::uint32_t cores = 2)
        : world(seed), host(world.add_host("node", cores)), client(world.add_host("client")) {
        config.listen = {"node", 9092};
        config.advertised = {"node", 9092};
        config.data_dir = "data";
        host.boot(
            [config](sim::Host& booted) { return std::make_unique<NodeProgram>(booted, config); });
        wait_for_start();
    }

    NodeProgram& program() { return *static_cast<NodeProgram*>(host.program()); }

    void wait_for_start() {
        const bool started = world.run_until(
            [&] { return program().has_started || !program().failure.empty(); }, seconds(60));
        REQUIRE(started);
        REQUIRE_MESSAGE(program().has_started, program().failure);
    }

    static Task<void> run_script(port::Ports& ports, Script script, bool& is_done) {
        Wire wire{.ports = ports};
        CHECK(co_await connect(wire));
        co_await script(wire);
        is_done = true;
    }

    /// Runs `script` on a connection of its own until it ends.
    void run(Script script) {
        bool is_done = false;
        client.ports().spawn.spawn(run_script(client.ports(), std::move(script), is_done));
        const bool finished = world.run_until([&] { return is_done; }, seconds(120));
        CHECK_MESSAGE(finished, world.last_lines(20));
    }

    void stop() {
        program().stop_soon();
        CHECK(world.run_until([&] { return program().has_stopped; }, seconds(60)));
    }

    sim::World world;
    sim::Host& host;
    sim::Host& client;
};

// ---- ApiVersions ----

Task<void> ask_api_versions(Wire& wire) {
    const auto reply = co_await call(wire, 3,
                                     protocol::ApiVersionsRequest{.client_software_name = "test",
                                                                  .client_software_version = "1"});
    CHECK(reply.message.error_code == ErrorCode::kNone);
    bool has_produce = false;
    for (const auto& api : reply.message.api_keys) {
        if (api.api_key != 0) continue;
        has_produce = true;
        CHECK(api.min_version == 0);
        CHECK(api.max_version >= 12);
    }
    CHECK(has_produce);
    const auto nameless = co_await call(wire, 3, protocol::ApiVersionsRequest{});
    CHECK(nameless.message.error_code == ErrorCode::kInvalidRequest);
}

Task<void> ask_unknown_api_versions(Wire& wire) {
    // Version 77 of the request: a header and a body that this node cannot know.
    protocol::Writer writer;
    const std::size_t begin = writer.begin_frame();
    writer.write(std::int16_t{18});
    writer.write(std::int16_t{77});
    writer.write(std::int32_t{5});
    writer.write(std::int16_t{-1});
    writer.write(std::int64_t{0});
    writer.end_frame(begin);
    CHECK(co_await send_bytes(wire, writer.take()));
    const auto reply = co_await receive<protocol::ApiVersionsResponse>(wire, 0, 5);
    REQUIRE(reply.has_value());
    CHECK(reply->message.error_code == ErrorCode::kUnsupportedVersion);
    CHECK(!reply->message.api_keys.empty());
    // The connection goes on.
    const auto again = co_await call(wire, 0, protocol::ApiVersionsRequest{});
    CHECK(again.message.error_code == ErrorCode::kNone);
}

TEST_CASE("ApiVersions tells the table; an unknown version of it is answered in version 0") {
    Cluster cluster;
    cluster.run(ask_api_versions);
    cluster.run(ask_unknown_api_versions);
}

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
    for (const int way : {0, 1, 2}) {
        CAPTURE(way);
        Cluster cluster(7 + static_cast<std::uint64_t>(way));
        cluster.run(produce_and_fetch);
        if (way == 0) cluster.stop();
        if (way == 2) {
            cluster.world.crash(cluster.host);
        } else {
            cluster.world.kill(cluster.host);
        }
        cluster.world.run_for(milliseconds(10));
        cluster.world.restart(cluster.host);
        cluster.wait_for_start();
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

// ---- metadata and administration ----

Task<void> ask_metadata(Wire& wire) {
    protocol::MetadataRequest request;
    request.topics.emplace();
    request.topics->push_back({.name = "auto"});
    request.allow_auto_topic_creation = false;
    const auto missing = co_await call(wire, 12, request);
    CHECK(missing.message.topics.at(0).error_code == ErrorCode::kUnknownTopicOrPartition);
    request.allow_auto_topic_creation = true;
    request.topics->push_back({.name = "no/such"});
    const auto made = co_await call(wire, 12, request);
    CHECK(made.message.brokers.size() == 1);
    CHECK(made.message.brokers.at(0).port == 9092);
    CHECK(made.message.topics.at(0).error_code == ErrorCode::kNone);
    CHECK(made.message.topics.at(0).partitions.size() == 1);
    CHECK(made.message.topics.at(0).partitions.at(0).leader_id == 1);
    CHECK(made.message.topics.at(1).error_code == ErrorCode::kInvalidTopicException);

    protocol::MetadataRequest by_id;
    by_id.topics.emplace();
    by_id.topics->push_back({.topic_id = made.message.topics.at(0).topic_id});
    by_id.topics->push_back({.topic_id = TopicId{1, 2}});
    const auto found = co_await call(wire, 12, by_id);
    CHECK(found.message.topics.at(0).name == "auto");
    CHECK(found.message.topics.at(1).error_code == ErrorCode::kUnknownTopicId);
    protocol::MetadataRequest all;
    all.topics = std::nullopt;
    CHECK((co_await call(wire, 12, all)).message.topics.size() == 1);
    // Every version can be encoded.
    for (std::int16_t version = 1; version <= 13; ++version) {
        protocol::MetadataRequest each;
        each.topics = std::nullopt;
        CHECK((co_await call(wire, version, each)).message.topics.size() == 1);
    }
}

TEST_CASE("metadata makes missing topics when the request and the node allow it") {
    Cluster cluster;
    cluster.run(ask_metadata);
}

Task<void> administrate(Wire& wire) {
    co_await create_topic(wire, "t", 1, {{"retention.ms", "1234"}});
    protocol::CreateTopicsRequest bad;
    bad.topics.push_back({.name = "t", .num_partitions = 1, .replication_factor = 1});
    bad.topics.push_back({.name = "u", .num_partitions = 1, .replication_factor = 3});
    const auto refused = co_await call(wire, 7, std::move(bad));
    CHECK(refused.message.topics.at(0).error_code == ErrorCode::kTopicAlreadyExists);
    CHECK(refused.message.topics.at(1).error_code == ErrorCode::kInvalidReplicationFactor);

    protocol::CreatePartitionsRequest more;
    more.topics.push_back({.name = "t", .count = 3, .assignments = std::nullopt});
    CHECK((co_await call(wire, 3, more)).message.results.at(0).error_code == ErrorCode::kNone);
    const auto produced = co_await produce(wire, "t", 2, batch_of({"x"}));
    CHECK(produced.error_code == ErrorCode::kNone);

    protocol::DescribeConfigsRequest configs;
    configs.include_synonyms = true;
    configs.resources.push_back({.resource_type = 2, .resource_name = "t"});
    configs.resources.back().configuration_keys = std::vector<std::string>{"retention.ms"};
    configs.resources.push_back({.resource_type = 4, .resource_name = "1"});
    configs.resources.back().configuration_keys = std::nullopt;
    configs.resources.push_back({.resource_type = 2, .resource_name = "nope"});
    const auto described = co_await call(wire, 4, std::move(configs));
    REQUIRE(described.message.results.at(0).configs.size() == 1);
    CHECK(described.message.results.at(0).configs.at(0).value == "1234");
    CHECK(described.message.results.at(0).configs.at(0).config_source == 1);
    CHECK(described.message.results.at(1).configs.size() > 20);
    CHECK(described.message.results.at(2).error_code == ErrorCode::kUnknownTopicOrPartition);

    protocol::DescribeTopicPartitionsRequest page;
    page.response_partition_limit = 2;
    const auto first = co_await call(wire, 0, page);
    CHECK(first.message.topics.at(0).partitions.size() == 2);
    REQUIRE(first.message.next_cursor.has_value());
    CHECK(first.message.next_cursor->partition_index == 2);
    page.cursor.emplace();
    page.cursor->topic_name = "t";
    page.cursor->partition_index = 2;
    const auto second = co_await call(wire, 0, page);
    CHECK(second.message.topics.at(0).partitions.size() == 1);
    CHECK(!second.message.next_cursor.has_value());

    const auto nodes = co_await call(wire, 1, protocol::DescribeClusterRequest{});
    CHECK(nodes.message.brokers.size() == 1);
    CHECK(nodes.message.cluster_id.size() == 22);

    protocol::DeleteTopicsRequest deletion;
    deletion.topics.push_back({.name = "t"});
    CHECK((co_await call(wire, 6, deletion)).message.responses.at(0).error_code ==
          ErrorCode::kNone);
    const auto gone = co_await produce(wire, "t", 0, batch_of({"x"}));
    CHECK(gone.error_code == ErrorCode::kUnknownTopicOrPartition);
    co_await create_topic(wire, "t", 1);
    const auto fresh = co_await produce(wire, "t", 0, batch_of({"x"}));
    CHECK(fresh.base_offset == 0);
}

TEST_CASE("topics are created, grown, described and deleted") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        Cluster cluster(seed);
        cluster.run(administrate);
    }
}

// ---- versions ----

/// Calls `make(version)` in every version that the table serves. What cannot be encoded or decoded
/// ends the test.
template <class Request, class Make>
Task<void> call_every_version(Wire& wire, Make make) {
    const ApiEntry* api = find_api(static_cast<std::int16_t>(Request::kKey));
    REQUIRE(api != nullptr);
    for (std::int16_t version = api->version_min; version <= api->version_max; ++version) {
        CAPTURE(version);
        static_cast<void>(co_await call(wire, version, make(version)));
    }
}

Task<TopicId> id_of(Wire& wire, std::string name) {
    protocol::MetadataRequest request;
    request.topics.emplace();
    request.topics->push_back({.name = std::move(name)});
    const auto reply = co_await call(wire, 12, std::move(request));
    co_return reply.message.topics.at(0).topic_id;
}

Task<void> speak_every_data_version(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    const TopicId id = co_await id_of(wire, "t");
    const Buffer batch = batch_of({"x"});
    for (std::int16_t version = 3; version <= find_api(kProduceKey)->version_max; ++version) {
        CAPTURE(version);
        auto request = produce_request("t", 0, batch, version % 2 == 0 ? 1 : -1);
        if (version >= 13)
            request.topic_data[0] = {.topic_id = id,
                                     .partition_data = request.topic_data[0].partition_data};
        const auto reply = co_await call(wire, version, std::move(request));
        const auto& answer = reply.message.responses.at(0).partition_responses.at(0);
        CHECK(answer.error_code == ErrorCode::kNone);
        CHECK(answer.base_offset == version - 3);
    }
    const std::int16_t fetch_max = find_api(1)->version_max;
    for (std::int16_t version = 4; version <= fetch_max; ++version) {
        CAPTURE(version);
        auto request = fetch_request(version >= 13 ? "" : "t", 0, 0);
        if (version >= 13) request.topics[0].topic_id = id;
        if (version >= 7) request.session_epoch = 0;
        const auto reply = co_await call(wire, version, request);
        const auto& data = reply.message.responses.at(0).partitions.at(0);
        CHECK(data.error_code == ErrorCode::kNone);
        CHECK(values_in(data.records.view()).size() >= 10);
        request.topics[0].partitions[0].fetch_offset = 1'000;
        CHECK((co_await call(wire, version, request))
                  .message.responses.at(0)
                  .partitions.at(0)
                  .error_code == ErrorCode::kOffsetOutOfRange);
        if (version < 9) continue;
        request.topics[0].partitions[0].current_leader_epoch = 77;
        CHECK((co_await call(wire, version, request))
                  .message.responses.at(0)
                  .partitions.at(0)
                  .error_code == ErrorCode::kUnknownLeaderEpoch);
    }
}

Task<void> read_in_every_version(Wire& wire) {
    co_await call_every_version<protocol::ApiVersionsRequest>(wire, [](std::int16_t) {
        return protocol::ApiVersionsRequest{.client_software_name = "a",
                                            .client_software_version = "1"};
    });
    co_await call_every_version<protocol::MetadataRequest>(wire, [](std::int16_t version) {
        protocol::MetadataRequest request;
        request.topics.emplace();
        request.topics->push_back({.name = "t"});
        if (version >= 10) request.topics->push_back({.topic_id = TopicId{1, 1}, .name = ""});
        request.allow_auto_topic_creation = true;
        request.include_topic_authorized_operations = version >= 8;
        return request;
    });
    co_await call_every_version<protocol::ListOffsetsRequest>(wire, [](std::int16_t) {
        protocol::ListOffsetsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = "t";
        topic.partitions.push_back({.partition_index = 1, .timestamp = -2});
        return request;
    });
    co_await call_every_version<protocol::OffsetForLeaderEpochRequest>(wire, [](std::int16_t) {
        protocol::OffsetForLeaderEpochRequest request;
        auto& topic = request.topics.emplace_back();
        topic.topic = "t";
        topic.partitions.push_back({.partition = 1, .leader_epoch = 1});
        return request;
    });
}

Task<void> administrate_in_every_version(Wire& wire) {
    co_await call_every_version<protocol::CreateTopicsRequest>(wire, [](std::int16_t version) {
        protocol::CreateTopicsRequest request;
        request.topics.push_back({.name = "made-" + std::to_string(version),
                                  .num_partitions = 1,
                                  .replication_factor = 1});
        return request;
    });
    co_await call_every_version<protocol::CreatePartitionsRequest>(wire, [](std::int16_t) {
        protocol::CreatePartitionsRequest request;
        request.topics.push_back({.name = "t", .count = 1, .assignments = std::nullopt});
        return request;
    });
    co_await call_every_version<protocol::DescribeConfigsRequest>(wire, [](std::int16_t version) {
        protocol::DescribeConfigsRequest request;
        request.include_synonyms = true;
        request.include_documentation = version >= 3;
        request.resources.push_back({.resource_type = 2, .resource_name = "t"});
        request.resources.push_back({.resource_type = 4, .resource_name = "1"});
        for (auto& resource : request.resources) resource.configuration_keys = std::nullopt;
        return request;
    });
    co_await call_every_version<protocol::DescribeClusterRequest>(
        wire, [](std::int16_t) { return protocol::DescribeClusterRequest{}; });
    co_await call_every_version<protocol::DescribeTopicPartitionsRequest>(
        wire, [](std::int16_t) { return protocol::DescribeTopicPartitionsRequest{}; });
    co_await call_every_version<protocol::InitProducerIdRequest>(wire, [](std::int16_t) {
        return protocol::InitProducerIdRequest{.transactional_id = std::nullopt};
    });
    co_await call_every_version<protocol::DeleteTopicsRequest>(wire, [](std::int16_t version) {
        protocol::DeleteTopicsRequest request;
        const std::string name = "made-" + std::to_string(version + 1);
        if (version >= 6) {
            request.topics.push_back({.name = name});
        } else {
            request.topic_names.push_back(name);
        }
        return request;
    });
}

Task<void> speak_every_other_version(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    co_await read_in_every_version(wire);
    co_await administrate_in_every_version(wire);
}

TEST_CASE("every API is answered in every version that the table serves") {
    Cluster cluster;
    cluster.run(speak_every_data_version);
    Cluster other(2);
    other.run(speak_every_other_version);
}

// ---- producers ----

Task<void> produce_idempotently(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    const auto id =
        co_await call(wire, 4, protocol::InitProducerIdRequest{.transactional_id = std::nullopt});
    CHECK(id.message.error_code == ErrorCode::kNone);
    const auto other =
        co_await call(wire, 4, protocol::InitProducerIdRequest{.transactional_id = std::nullopt});
    CHECK(other.message.producer_id != id.message.producer_id);
    protocol::InitProducerIdRequest transactional;
    transactional.transactional_id = "tx";
    CHECK((co_await call(wire, 4, transactional)).message.error_code ==
          ErrorCode::kUnsupportedVersion);

    record::BatchSpec spec{.producer_id = ProducerId(id.message.producer_id),
                           .producer_epoch = ProducerEpoch(0),
                           .base_sequence = 0};
    const auto first = co_await produce(wire, "t", 0, batch_of({"a", "b"}, spec));
    CHECK(first.base_offset == 0);
    const auto again = co_await produce(wire, "t", 0, batch_of({"a", "b"}, spec));
    CHECK(again.error_code == ErrorCode::kNone);
    CHECK(again.base_offset == 0);
    spec.base_sequence = 5;
    const auto gap = co_await produce(wire, "t", 0, batch_of({"c"}, spec));
    CHECK(gap.error_code == ErrorCode::kOutOfOrderSequenceNumber);
}

TEST_CASE("an idempotent producer's duplicate has its first offset, and a gap is refused") {
    Cluster cluster;
    cluster.run(produce_idempotently);
}

Task<void> produce_badly(Wire& wire) {
    co_await create_topic(wire, "t", 1, {{"max.message.bytes", "1000"}});
    Buffer bad_crc = batch_of({"a"});
    bad_crc.mutable_data()[65] ^= 1;
    CHECK((co_await produce(wire, "t", 0, bad_crc)).error_code == ErrorCode::kCorruptMessage);
    const Buffer large = batch_of({std::string(2000, 'x')});
    CHECK((co_await produce(wire, "t", 0, large)).error_code == ErrorCode::kMessageTooLarge);
    const Buffer future = batch_of({"a"}, {}, INT64_MAX / 2);
    CHECK((co_await produce(wire, "t", 0, future)).error_code == ErrorCode::kInvalidTimestamp);
    const Buffer one = batch_of({"a"});
    Buffer two = Buffer::allocate(one.size() * 2);
    std::copy_n(one.data(), one.size(), two.mutable_data());
    std::copy_n(one.data(), one.size(), two.mutable_data() + one.size());
    CHECK((co_await produce(wire, "t", 0, two)).error_code == ErrorCode::kInvalidRecord);
    CHECK((co_await produce(wire, "t", 0, Buffer())).error_code == ErrorCode::kInvalidRecord);
    auto strange = produce_request("t", 0, one);
    strange.acks = 2;
    const auto reply = co_await call(wire, 9, std::move(strange));
    CHECK(reply.message.responses.at(0).partition_responses.at(0).error_code ==
          ErrorCode::kInvalidRequiredAcks);
    CHECK((co_await produce(wire, "t", 0, one)).base_offset == 0);
}

TEST_CASE("a bad batch gets Kafka's error code and leaves nothing behind") {
    Cluster cluster;
    cluster.run(produce_badly);
}

Task<void> produce_to_configured_topics(Wire& wire) {
    co_await create_topic(wire, "zstd", 1, {{"compression.type", "zstd"}});
    co_await produce(wire, "zstd", 0, batch_of({std::string(500, 'a'), "b"}));
    const auto stored = co_await call(wire, 12, fetch_request("zstd", 0, 0));
    const ByteView bytes = stored.message.responses.at(0).partitions.at(0).records.view();
    CHECK(record::read_batch_header(bytes)->compression() == codec::Compression::kZstd);
    CHECK(values_in(bytes) == std::vector<std::string>{std::string(500, 'a'), "b"});

    co_await create_topic(wire, "stamped", 1, {{"message.timestamp.type", "LogAppendTime"}});
    const auto stamped = co_await produce(wire, "stamped", 0, batch_of({"x"}));
    CHECK(stamped.log_append_time_ms > 0);
    const auto read = co_await call(wire, 12, fetch_request("stamped", 0, 0));
    const auto header =
        record::read_batch_header(read.message.responses.at(0).partitions.at(0).records.view());
    CHECK(header->has_log_append_time());
    CHECK(header->max_timestamp.ms == stamped.log_append_time_ms);

    co_await create_topic(wire, "safe", 1, {{"min.insync.replicas", "2"}});
    CHECK((co_await produce(wire, "safe", 0, batch_of({"x"}))).error_code ==
          ErrorCode::kNotEnoughReplicas);
}

TEST_CASE("compression.type, message.timestamp.type and min.insync.replicas do what they say") {
    Cluster cluster;
    cluster.run(produce_to_configured_topics);
}

Task<void> ask_offsets(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    co_await produce(wire, "t", 0, batch_of({"a", "b", "c"}, {}, 1000));
    const auto ask = [](std::int64_t timestamp) {
        protocol::ListOffsetsRequest request;
        request.replica_id = -1;
        auto& topic = request.topics.emplace_back();
        topic.name = "t";
        topic.partitions.push_back({.partition_index = 0, .timestamp = timestamp});
        return request;
    };
    const std::pair<std::int64_t, std::int64_t> expected[] = {
        {-1, 3}, {-2, 0}, {-3, 2}, {-4, 0}, {-5, -1}, {0, 0}, {1001, 1}, {2000, -1}};
    for (const auto& [timestamp, offset] : expected) {
        CAPTURE(timestamp);
        const auto reply = co_await call(wire, 9, ask(timestamp));
        CHECK(reply.message.topics.at(0).partitions.at(0).error_code == ErrorCode::kNone);
        CHECK(reply.message.topics.at(0).partitions.at(0).offset == offset);
    }
    const auto early = co_await call(wire, 6, ask(-3));
    CHECK(early.message.topics.at(0).partitions.at(0).error_code == ErrorCode::kUnsupportedVersion);
}

TEST_CASE("offsets are listed by place and by time") {
    Cluster cluster;
    cluster.run(ask_offsets);
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

TEST_CASE("a client that never reads its responses is closed") {
    NodeConfig config;
    config.write_stall_max = seconds(10);
    Cluster cluster(1, config);
    cluster.run(never_read);
    cluster.run(ask_api_versions);
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
    auto second = std::make_unique<NodeProgram>(cluster.host, other);
    CHECK(cluster.world.run_until([&] { return !second->failure.empty(); }, seconds(10)));
    CHECK(second->failure.find("belongs to node 1, but this is node 2") != std::string::npos);
}

}  // namespace
}  // namespace dlog::broker
