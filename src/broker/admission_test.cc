// Limits on connections: how many, of one address, and how fast.
#include "broker/admission.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker_config.h"
#include "broker/testing_node.h"
#include "protocol/messages/alter_client_quotas.h"
#include "protocol/messages/api_versions.h"

namespace dlog::broker {
namespace {

using port::Task;
using protocol::ErrorCode;
using testing::call;
using testing::Cluster;
using testing::connect;
using testing::receive;
using testing::send;
using testing::Wire;

/// True when a new connection is served.
Task<bool> is_served(Wire& wire) {
    CHECK(co_await connect(wire));
    co_await send(wire, 3, protocol::ApiVersionsRequest{});
    const auto reply =
        co_await receive<protocol::ApiVersionsResponse>(wire, 3, wire.correlation_id);
    co_return reply.has_value();
}

Task<void> two_at_a_time(Wire& wire) {
    Wire second{.ports = wire.ports};
    CHECK(co_await is_served(second));
    Wire third{.ports = wire.ports};
    CHECK(!co_await is_served(third));
    second.connection.reset();
    co_await port::sleep_for(wire.ports.clock, seconds(1));
    CHECK(co_await is_served(third));
}

TEST_CASE("an address has as many connections as it may have, and may come back") {
    for (const bool is_override : {false, true}) {
        CAPTURE(is_override);
        NodeConfig config;
        config.connections_per_ip_max = is_override ? 1 : 2;
        if (is_override) config.connections_per_ip_overrides["10.0.0.2"] = 2;
        Cluster cluster(1, config);
        cluster.run(two_at_a_time);
        CHECK(cluster.metrics().find(
                  "dlog_connections_refused_total{limit=\"max.connections.per.ip\"} 1\n") !=
              std::string::npos);
        cluster.stop();
    }
}

TEST_CASE("a node has as many connections as max.connections says, of whatever address") {
    NodeConfig config;
    config.connections_max = 2;
    Cluster cluster(4, config);
    cluster.run(two_at_a_time);
    CHECK(cluster.metrics().find("dlog_connections_refused_total{limit=\"max.connections\"} 1\n") !=
          std::string::npos);
    cluster.stop();
}

/// The four bytes before a request are all that is sent.
Task<void> announce(Wire& wire, std::int32_t size_bytes) {
    Wire other{.ports = wire.ports};
    CHECK(co_await connect(other));
    Buffer length = Buffer::allocate(sizeof(size_bytes));
    store_big_endian(length.mutable_data(), size_bytes);
    std::vector<port::OutPart> parts;
    parts.emplace_back(std::move(length));
    CHECK((co_await other.connection->write(std::move(parts))).has_value());
    std::uint8_t byte = 0;
    const auto answer = co_await other.connection->read({&byte, 1});
    CHECK((!answer || *answer == 0));
}

Task<void> ask_too_much(Wire& wire) {
    co_await announce(wire, 1001);
    co_await announce(wire, -1);
}

TEST_CASE("a request above socket.request.max.bytes ends its connection and is counted") {
    NodeConfig config;
    config.request_bytes_max = 1000;
    Cluster cluster(5, config);
    cluster.run(ask_too_much);
    const std::string metrics = cluster.metrics();
    CHECK(metrics.find("\ndlog_oversized_requests_total 1\n") != std::string::npos);
    CHECK(metrics.find("\ndlog_broken_requests_total 2\n") != std::string::npos);
    cluster.stop();
}

Task<void> connect_often(Wire& wire) {
    protocol::AlterClientQuotasRequest request;
    auto& entry = request.entries.emplace_back();
    entry.entity.push_back({"ip", std::nullopt});
    entry.ops.push_back({.key = "connection_creation_rate", .value = 5});
    const auto reply = co_await call(wire, 1, std::move(request));
    CHECK(reply.message.entries.at(0).error_code == ErrorCode::kNone);
    port::Clock& clock = wire.ports.clock;
    for (int i = 0; i < 5; ++i) {
        Wire other{.ports = wire.ports};
        CHECK(co_await is_served(other));
    }
    const Instant begin = clock.now();
    Wire other{.ports = wire.ports};
    CHECK(!co_await is_served(other));
    CHECK(clock.now() >= begin + milliseconds(50));  // It is kept waiting before it is closed.
    CHECK(clock.now() <= begin + seconds(2));
    co_await port::sleep_for(clock, seconds(1));
    CHECK(co_await is_served(other));
}

TEST_CASE("an address that connects faster than its quota is kept waiting, then closed") {
    Cluster cluster(2);
    cluster.run(connect_often);
    CHECK(cluster.metrics().find(
              "dlog_connections_refused_total{limit=\"connection_creation_rate\"} 1\n") !=
          std::string::npos);
}

Task<void> connect_in_a_row(Wire& wire) {
    port::Clock& clock = wire.ports.clock;
    const Instant begin = clock.now();
    for (int i = 0; i < 50; ++i) {
        Wire other{.ports = wire.ports};
        CHECK(co_await is_served(other));
    }
    // The first second's are free: 10. The other 40 come at 10 a second.
    CHECK(clock.now() >= begin + milliseconds(3'900));
    CHECK(clock.now() <= begin + seconds(6));
}

TEST_CASE("a node takes connections as fast as max.connection.creation.rate allows") {
    NodeConfig config;
    config.connection_creation_rate_max = 10;
    Cluster cluster(3, config);
    cluster.run(connect_in_a_row);
    CHECK(cluster.metrics().find("\ndlog_connections_delayed_total 0\n") == std::string::npos);
    cluster.stop();
}

TEST_CASE("an address is counted as long as it is limited and has connections") {
    NodeConfig config;
    ConnectionCounts counts;
    config.connections_max = 3;
    std::optional<Admission> unlimited = counts.enter(config);
    CHECK(counts.count_address(*unlimited, "192.0.2.1", config));
    CHECK(counts.addresses() == 0);
    config.connections_per_ip_max = 1;
    std::optional<Admission> first = counts.enter(config);
    CHECK(counts.count_address(*first, "192.0.2.1", config));
    std::optional<Admission> second = counts.enter(config);
    CHECK(!counts.count_address(*second, "192.0.2.1", config));
    CHECK(!counts.enter(config).has_value());
    CHECK(counts.addresses() == 1);
    Admission moved = *std::move(first);
    CHECK(counts.addresses() == 1);
    moved = Admission();
    CHECK(counts.addresses() == 0);
    CHECK(counts.enter(config).has_value());
}

std::string refusal_of(const std::string& name, const std::string& value) {
    NodeConfig config;
    config.settings[name] = value;
    const auto applied = apply_settings(config);
    return applied ? std::string() : applied.error();
}

TEST_CASE("overrides are addresses with a number behind the last colon") {
    NodeConfig config;
    config.settings["max.connections.per.ip"] = "0";
    config.settings["max.connections.per.ip.overrides"] = "192.0.2.1:100,2001:DB8::1:50";
    REQUIRE(apply_settings(config).has_value());
    CHECK(config.connections_per_ip_max == 0);
    CHECK(config.connections_per_ip_overrides.at("192.0.2.1") == 100);
    CHECK(config.connections_per_ip_overrides.at("2001:db8::1") == 50);
    CHECK(config.connections_per_ip_overrides.size() == 2);
    for (const char* text : {"192.0.2.1", "192.0.2.1:", "192.0.2.1:-1", "host:5", ":5", ","}) {
        CAPTURE(text);
        CHECK(!refusal_of("max.connections.per.ip.overrides", text).empty());
    }
    CHECK(!refusal_of("max.connections.per.ip", "0").empty());
    CHECK(refusal_of("max.connections.per.ip", "1").empty());
}

}  // namespace
}  // namespace dlog::broker
