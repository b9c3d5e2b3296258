/// For this room's tests: a whole node on the simulator, spoken to in Kafka's protocol by a client
/// that only encodes and decodes.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/node.h"
#include "protocol/frame.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/produce.h"
#include "record/batch.h"
#include "record/builder.h"
#include "record/reader.h"
#include "sim/world.h"

namespace dlog::broker::testing {

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
    std::string client_id = "test";
};

inline Task<bool> connect(Wire& wire) {
    auto connected = co_await wire.ports.net.connect({"node", 9092});
    if (!connected) co_return false;
    wire.connection = *std::move(connected);
    co_return true;
}

inline Task<bool> send_bytes(Wire& wire, Buffer bytes) {
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
                                                        wire.client_id, request);
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

inline Buffer batch_of(const std::vector<std::string>& values, record::BatchSpec spec = {},
                       std::int64_t timestamp_ms = 1'000) {
    record::BatchBuilder builder(spec);
    for (const std::string& value : values) {
        builder.append(Timestamp{timestamp_ms++}, std::nullopt, as_bytes(value));
    }
    auto batch = builder.build();
    REQUIRE(batch.has_value());
    return *std::move(batch);
}

inline protocol::ProduceRequest produce_request(const std::string& topic, std::int32_t partition,
                                                const Buffer& batch, std::int16_t acks = -1) {
    protocol::ProduceRequest request;
    request.acks = acks;
    request.timeout_ms = 1000;
    auto& data = request.topic_data.emplace_back();
    data.name = topic;
    data.partition_data.push_back({.index = partition, .records = batch.view()});
    return request;
}

inline Task<protocol::ProduceResponse::PartitionProduceResponse> produce(Wire& wire,
                                                                         std::string topic,
                                                                         std::int32_t partition,
                                                                         Buffer batch) {
    auto reply = co_await call(wire, 9, produce_request(topic, partition, batch));
    co_return reply.message.responses.at(0).partition_responses.at(0);
}

inline protocol::FetchRequest fetch_request(const std::string& topic, std::int32_t partition,
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
inline std::vector<std::string> values_in(ByteView bytes) {
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

inline Task<void> create_topic(Wire& wire, std::string name, std::int32_t partitions,
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

/// Leaves the node's metrics in `text`; called on the node's first core.
inline Task<void> read_metrics(Node& node, std::string& text) {
    text = co_await node.metrics_text();
}

using Script = std::function<Task<void>(Wire&)>;

/// How a node's process ends before it is started again.
enum class Ending : std::uint8_t { kCleanStop, kKill, kPowerLoss };
inline constexpr Ending kEndings[] = {Ending::kCleanStop, Ending::kKill, Ending::kPowerLoss};

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

    std::string metrics() {
        std::string text;
        host.ports().spawn.spawn(read_metrics(*program().node, text));
        CHECK(world.run_until([&] { return !text.empty(); }, seconds(60)));
        return text;
    }

    /// Ends the process and waits until its successor serves.
    void restart(Ending ending) {
        if (ending == Ending::kCleanStop) stop();
        if (ending == Ending::kPowerLoss) {
            world.crash(host);
        } else {
            world.kill(host);
        }
        world.run_for(milliseconds(10));
        world.restart(host);
        wait_for_start();
    }

    void stop() {
        program().stop_soon();
        CHECK(world.run_until([&] { return program().has_stopped; }, seconds(60)));
    }

    sim::World world;
    sim::Host& host;
    sim::Host& client;
};

}  // namespace dlog::broker::testing
