// Quotas as a node's clients meet them, in virtual time.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "broker/testing_node.h"
#include "protocol/messages/alter_client_quotas.h"
#include "protocol/messages/api_versions.h"
#include "protocol/messages/create_partitions.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/delete_topics.h"
#include "protocol/messages/describe_client_quotas.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/produce.h"

namespace dlog::broker {
namespace {

using port::Task;
using protocol::ErrorCode;
using testing::batch_of;
using testing::call;
using testing::Cluster;
using testing::create_topic;
using testing::fetch_request;
using testing::produce_request;
using testing::receive;
using testing::send;
using testing::Wire;

using Entity = std::vector<std::pair<std::string, std::optional<std::string>>>;

Task<ErrorCode> set_quota(Wire& wire, Entity entity, std::string key, double value,
                          bool is_removal = false) {
    protocol::AlterClientQuotasRequest request;
    auto& entry = request.entries.emplace_back();
    for (auto& [type, name] : entity) entry.entity.push_back({type, name});
    entry.ops.push_back({.key = key, .value = value, .remove = is_removal});
    const auto reply = co_await call(wire, 1, std::move(request));
    co_return reply.message.entries.at(0).error_code;
}

Buffer batch_of_size(std::size_t bytes) {
    return batch_of({std::string(bytes, 'x')});
}

struct Measured {
    std::int64_t bytes = 0;
    Duration longest_throttle;
    Duration longest_wait;  // from a request to its answer
    int answers = 0;
};

/// Produces as fast as it is answered for `span` of virtual time.
Task<Measured> produce_for(Wire& wire, Duration span, std::size_t bytes) {
    Measured measured;
    port::Clock& clock = wire.ports.clock;
    const Instant end = clock.now() + span;
    const Buffer batch = batch_of_size(bytes);
    while (clock.now() < end) {
        const auto reply = co_await call(wire, 9, produce_request("t", 0, batch, 1));
        CHECK(reply.message.responses.at(0).partition_responses.at(0).error_code ==
              ErrorCode::kNone);
        measured.bytes += static_cast<std::int64_t>(batch.size());
        ++measured.answers;
        measured.longest_throttle =
            std::max(measured.longest_throttle, milliseconds(reply.message.throttle_time_ms));
        if (clock.now() < end && reply.message.throttle_time_ms == 0) {
            co_await port::sleep_for(clock, milliseconds(5));  // bounds those without a quota
        }
    }
    co_return measured;
}

Task<Measured> fetch_for(Wire& wire, Duration span) {
    Measured measured;
    port::Clock& clock = wire.ports.clock;
    const Instant end = clock.now() + span;
    while (clock.now() < end) {
        const auto reply = co_await call(wire, 12, fetch_request("t", 0, 0));
        const auto& data = reply.message.responses.at(0).partitions.at(0);
        CHECK(data.error_code == ErrorCode::kNone);
        measured.bytes += static_cast<std::int64_t>(data.records.view().size());
        ++measured.answers;
        measured.longest_throttle =
            std::max(measured.longest_throttle, milliseconds(reply.message.throttle_time_ms));
        co_await port::sleep_for(clock, milliseconds(5));
    }
    co_return measured;
}

void check_rate(const Measured& measured, std::int64_t rate, Duration span) {
    const double wanted = static_cast<double>(rate) * span.seconds();
    CHECK(static_cast<double>(measured.bytes) > 0.9 * wanted);
    CHECK(static_cast<double>(measured.bytes) < 1.1 * wanted);
    CHECK(measured.longest_throttle.ns > 0);
}

Task<Measured> produce_beside(Wire& wire, std::string client_id, Duration span, std::size_t bytes) {
    Wire other{.ports = wire.ports, .client_id = std::move(client_id)};
    CHECK(co_await testing::connect(other));
    co_return co_await produce_for(other, span, bytes);
}

Task<void> quota_of_a_producer(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    CHECK(co_await set_quota(wire, {{"client-id", "slow"}}, "producer_byte_rate", 20'000) ==
          ErrorCode::kNone);
    check_rate(co_await produce_beside(wire, "slow", seconds(20), 3'000), 20'000, seconds(20));
    const Measured other = co_await produce_beside(wire, "other", seconds(2), 3'000);
    CHECK(other.bytes > 2 * 20'000 * 5);
    CHECK(other.longest_throttle == Duration{});
    CHECK(co_await set_quota(wire, {{"client-id", "slow"}}, "producer_byte_rate", 0, true) ==
          ErrorCode::kNone);
    const Measured freed = co_await produce_beside(wire, "slow", seconds(2), 3'000);
    CHECK(freed.longest_throttle == Duration{});
}

TEST_CASE("a producer over its quota is told so and comes down to it; others are not touched") {
    Cluster cluster(1, {}, 3);
    cluster.run(quota_of_a_producer);
    const std::string metrics = cluster.metrics();
    const std::string key = "dlog_throttled_requests_total{quota=";
    CHECK(metrics.find("\n" + key + "\"producer_byte_rate\"} 0\n") == std::string::npos);
    CHECK(metrics.find("\n" + key + "\"producer_byte_rate\"} ") != std::string::npos);
    CHECK(metrics.find("\n" + key + "\"consumer_byte_rate\"} 0\n") != std::string::npos);
    CHECK(metrics.find("{quota=\"producer_byte_rate\"} 0\n") == std::string::npos);
}

Task<void> produce_into(Wire& wire, std::string client_id, Measured& measured, bool& is_done) {
    measured = co_await produce_beside(wire, std::move(client_id), seconds(20), 1'000);
    is_done = true;
}

Task<void> quota_of_a_user(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    CHECK(co_await set_quota(wire, {{"user", "ANONYMOUS"}}, "producer_byte_rate", 30'000) ==
          ErrorCode::kNone);
    Measured measured[3];
    bool is_done[3] = {};
    for (int i = 0; i < 3; ++i) {
        wire.ports.spawn.spawn(produce_into(wire, std::to_string(i), measured[i], is_done[i]));
    }
    while (!is_done[0] || !is_done[1] || !is_done[2]) {
        co_await port::sleep_for(wire.ports.clock, milliseconds(100));
    }
    Measured sum;
    for (const Measured& one : measured) {
        sum.bytes += one.bytes;
        sum.longest_throttle = std::max(sum.longest_throttle, one.longest_throttle);
    }
    check_rate(sum, 30'000, seconds(20));
}

TEST_CASE("the clients of a user share its quota over all connections and cores") {
    Cluster cluster(2, {}, 3);
    cluster.run(quota_of_a_user);
}

Task<void> default_of_clients(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    CHECK(co_await set_quota(wire, {{"client-id", std::nullopt}}, "producer_byte_rate", 10'000) ==
          ErrorCode::kNone);
    Measured measured[2];
    bool is_done[2] = {};
    for (int i = 0; i < 2; ++i) {
        wire.ports.spawn.spawn(produce_into(wire, std::to_string(i), measured[i], is_done[i]));
    }
    while (!is_done[0] || !is_done[1]) {
        co_await port::sleep_for(wire.ports.clock, milliseconds(100));
    }
    for (const Measured& one : measured) check_rate(one, 10'000, seconds(20));
}

TEST_CASE("the default of client ids is for each client id by itself") {
    Cluster cluster(3);
    cluster.run(default_of_clients);
}

Task<void> quota_of_a_consumer(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    for (int i = 0; i < 200; ++i) {
        (void)co_await call(wire, 9, produce_request("t", 0, batch_of_size(1'000), 1));
    }
    CHECK(co_await set_quota(wire, {{"client-id", "slow"}}, "consumer_byte_rate", 20'000) ==
          ErrorCode::kNone);
    Wire slow{.ports = wire.ports, .client_id = "slow"};
    CHECK(co_await testing::connect(slow));
    check_rate(co_await fetch_for(slow, seconds(20)), 20'000, seconds(20));
    const Measured other = co_await fetch_for(wire, seconds(2));
    CHECK(other.bytes > 2 * 20'000 * 5);
    CHECK(other.longest_throttle == Duration{});
}

TEST_CASE("a consumer over its quota is told so and comes down to it; others are not touched") {
    Cluster cluster(4);
    cluster.run(quota_of_a_consumer);
}

Task<void> muted(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    CHECK(co_await set_quota(wire, {{"client-id", "slow"}}, "producer_byte_rate", 1'000) ==
          ErrorCode::kNone);
    Wire slow{.ports = wire.ports, .client_id = "slow"};
    CHECK(co_await testing::connect(slow));
    port::Clock& clock = wire.ports.clock;
    const Instant begin = clock.now();
    co_await send(slow, 9, produce_request("t", 0, batch_of_size(5'000), 1));
    const std::int32_t first = slow.correlation_id;
    co_await send(slow, 3, protocol::ApiVersionsRequest{});
    const auto told = co_await receive<protocol::ProduceResponse>(slow, 9, first);
    REQUIRE(told.has_value());
    CHECK(clock.now() < begin + seconds(1));  // The answer leaves at once.
    CHECK(told->message.throttle_time_ms > 3'900);
    const auto later =
        co_await receive<protocol::ApiVersionsResponse>(slow, 3, slow.correlation_id);
    REQUIRE(later.has_value());
    CHECK(clock.now() >= begin + seconds(4));  // What was sent behind it is read afterwards.
    CHECK(clock.now() < begin + seconds(6));
    // Without answers a client is muted all the same.
    co_await send(slow, 9, produce_request("t", 0, batch_of_size(5'000), 0));
    (void)co_await call(slow, 3, protocol::ApiVersionsRequest{});
    CHECK(clock.now() >= begin + seconds(8));
}

TEST_CASE("a throttled connection is answered at once and read again when its time is over") {
    NodeConfig config;
    config.connection_idle_max = seconds(2);  // A muted connection is not an idle one.
    Cluster cluster(5, config);
    cluster.run(muted);
}

Task<void> mute_for_long(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    CHECK(co_await set_quota(wire, {{"client-id", "test"}}, "producer_byte_rate", 1) ==
          ErrorCode::kNone);
    const auto told = co_await call(wire, 9, produce_request("t", 0, batch_of_size(1'000'000), 1));
    CHECK(told.message.throttle_time_ms > 500'000);
}

TEST_CASE("a node stops at once though clients are muted for long") {
    Cluster cluster(6);
    cluster.run(mute_for_long);
    cluster.stop();
}

Task<void> freed_early(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    const Entity slow_one = {{"client-id", "slow"}};
    (void)co_await set_quota(wire, slow_one, "producer_byte_rate", 1);
    (void)co_await set_quota(wire, {{"client-id", "other"}}, "producer_byte_rate", 1);
    Wire slow{.ports = wire.ports, .client_id = "slow"};
    CHECK(co_await testing::connect(slow));
    const auto told = co_await call(slow, 9, produce_request("t", 0, batch_of_size(5'000), 1));
    CHECK(told.message.throttle_time_ms > 1'000'000);
    co_await send(slow, 3, protocol::ApiVersionsRequest{});
    // What becomes of another client's quota does not free it.
    port::Clock& clock = wire.ports.clock;
    (void)co_await set_quota(wire, {{"client-id", "other"}}, "producer_byte_rate", 2);
    co_await port::sleep_for(clock, seconds(20));
    const Instant raised = clock.now();
    (void)co_await set_quota(wire, slow_one, "producer_byte_rate", 1'000'000);
    const auto answer =
        co_await receive<protocol::ApiVersionsResponse>(slow, 3, slow.correlation_id);
    CHECK(answer.has_value());
    CHECK(clock.now() >= raised);
    CHECK(clock.now() < raised + seconds(2));

    // Without any quota nobody is muted.
    (void)co_await set_quota(wire, slow_one, "producer_byte_rate", 1);
    (void)co_await call(slow, 9, produce_request("t", 0, batch_of_size(5'000), 1));
    (void)co_await set_quota(wire, slow_one, "producer_byte_rate", 0, true);
    (void)co_await set_quota(wire, {{"client-id", "other"}}, "producer_byte_rate", 0, true);
    (void)co_await call(slow, 3, protocol::ApiVersionsRequest{});
    CHECK(clock.now() < raised + seconds(5));
}

TEST_CASE("a muted client is listened to again soon after its quota is raised or removed") {
    Cluster cluster(11);
    cluster.run(freed_early);
}

Task<ErrorCode> make(Wire& wire, std::string topic, std::int32_t partitions,
                     std::int32_t* throttle_ms, std::int16_t version = 7) {
    protocol::CreateTopicsRequest request;
    auto& asked = request.topics.emplace_back();
    asked.name = std::move(topic);
    asked.num_partitions = partitions;
    asked.replication_factor = 1;
    const auto reply = co_await call(wire, version, std::move(request));
    *throttle_ms = reply.message.throttle_time_ms;
    co_return reply.message.topics.at(0).error_code;
}

Task<void> mutate(Wire& wire) {
    Wire admin{.ports = wire.ports, .client_id = "admin"};
    CHECK(co_await testing::connect(admin));
    CHECK(co_await set_quota(wire, {{"client-id", "admin"}}, "controller_mutation_rate", 1) ==
          ErrorCode::kNone);
    std::int32_t throttle_ms = 0;
    // Eleven partitions at once are free, and one that begins within them is made whole.
    CHECK(co_await make(admin, "a", 11, &throttle_ms) == ErrorCode::kNone);
    CHECK(co_await make(admin, "b", 5, &throttle_ms) == ErrorCode::kNone);
    CHECK(throttle_ms == 0);
    CHECK(co_await make(admin, "c", 1, &throttle_ms) == ErrorCode::kThrottlingQuotaExceeded);
    CHECK(throttle_ms > 4'000);
    CHECK(throttle_ms <= 5'000);
    // It was muted for that time.
    const Instant before = wire.ports.clock.now();
    protocol::CreatePartitionsRequest more;
    more.topics.push_back({.name = "b", .count = 9, .assignments = std::nullopt});
    const auto grown = co_await call(admin, 3, std::move(more));
    CHECK(wire.ports.clock.now() > before + seconds(4));
    CHECK(grown.message.results.at(0).error_code == ErrorCode::kNone);
    protocol::DeleteTopicsRequest deletion;
    deletion.topics.push_back({.name = "a"});
    const auto deleted = co_await call(admin, 6, deletion);
    CHECK(deleted.message.responses.at(0).error_code == ErrorCode::kThrottlingQuotaExceeded);
    CHECK(deleted.message.responses.at(0).name == "a");
    // What makes nothing costs nothing, and others have quotas of their own.
    CHECK(co_await make(admin, "b", 1, &throttle_ms) == ErrorCode::kTopicAlreadyExists);
    CHECK(co_await make(wire, "c", 100, &throttle_ms) == ErrorCode::kNone);
    // Versions that do not know the refusal are served, and wait afterwards.
    (void)co_await call(admin, 6, deletion);
    CHECK(co_await make(admin, "d", 20, &throttle_ms, 5) == ErrorCode::kNone);
    CHECK(throttle_ms > 10'000);
}

TEST_CASE("who makes and deletes partitions faster than its quota is refused, or waits (KIP-599)") {
    Cluster cluster(12);
    cluster.run(mutate);
}

Task<void> many_names(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    CHECK(co_await set_quota(wire, {{"client-id", std::nullopt}}, "producer_byte_rate", 100) ==
          ErrorCode::kNone);
    const Buffer batch = batch_of_size(10);
    // One connection that calls itself otherwise each time is throttled each time.
    for (int i = 0; i < 20; ++i) {
        wire.client_id = "hostile-" + std::to_string(i);
        if (i % 2 == 1) wire.client_id.append(30'000, 'x');
        const auto reply = co_await call(wire, 9, produce_request("t", 0, batch, 1));
        CHECK(reply.message.throttle_time_ms > 0);
        CHECK(reply.message.throttle_time_ms < 600'000);
        CHECK(co_await testing::connect(wire));
    }
}

TEST_CASE("a client that changes its name has the quota of its present name") {
    Cluster cluster(7);
    cluster.run(many_names);
}

Task<void> waiting_is_free(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    CHECK(co_await set_quota(wire, {{"user", std::nullopt}}, "request_percentage", 0.001) ==
          ErrorCode::kNone);
    for (std::int32_t i = 0; i < 10; ++i) {
        const auto made =
            co_await call(wire, 9, produce_request("t", i % 2, batch_of_size(10), -1));
        CHECK(made.message.responses.at(0).partition_responses.at(0).base_offset == i / 2);
        CHECK(made.message.throttle_time_ms == 0);
        const auto read = co_await call(wire, 12, fetch_request("t", i % 2, i / 2));
        CHECK(read.message.responses.at(0).partitions.at(0).records.view().size() > 0);
        CHECK(read.message.throttle_time_ms == 0);
        const auto waited = co_await call(wire, 12, fetch_request("t", i % 2, i / 2 + 1));
        CHECK(waited.message.throttle_time_ms == 0);
    }
}

TEST_CASE("a request that waits for records, disks or other cores does not use its time") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        Cluster cluster(seed, {}, 3);
        cluster.run(waiting_is_free);
    }
}

Task<void> described_after_restart(Wire& wire) {
    protocol::DescribeClientQuotasRequest all;
    const auto found = co_await call(wire, 1, all);
    REQUIRE(found.message.entries.has_value());
    REQUIRE(found.message.entries->size() == 1);
    const auto& entry = found.message.entries->at(0);
    CHECK(entry.entity.at(0).entity_type == "user");
    CHECK(entry.entity.at(0).entity_name == std::nullopt);
    CHECK(entry.values.at(0).key == "request_percentage");
    CHECK(entry.values.at(0).value == doctest::Approx(12.5));
    protocol::DescribeClientQuotasRequest unknown;
    unknown.components.push_back({.entity_type = "group", .match_type = 0, .match = "g"});
    const auto refused = co_await call(wire, 1, unknown);
    CHECK(refused.message.error_code == ErrorCode::kUnsupportedVersion);
    CHECK(refused.message.error_message.has_value());
    CHECK(!refused.message.entries.has_value());
}

Task<void> set_and_validate(Wire& wire) {
    CHECK(co_await set_quota(wire, {{"user", std::nullopt}}, "request_percentage", 12.5) ==
          ErrorCode::kNone);
    CHECK(co_await set_quota(wire, {{"ip", "localhost"}}, "connection_creation_rate", 5) ==
          ErrorCode::kInvalidRequest);
    const std::optional<std::string> address = "2001:DB8::0:1";
    CHECK(co_await set_quota(wire, {{"ip", address}}, "connection_creation_rate", 5) ==
          ErrorCode::kNone);
    protocol::DescribeClientQuotasRequest by_address;
    by_address.components.push_back(
        {.entity_type = "ip", .match_type = 0, .match = "2001:db8:0:0::1"});
    const auto found = co_await call(wire, 1, by_address);
    REQUIRE(found.message.entries.value().size() == 1);
    CHECK(found.message.entries->at(0).entity.at(0).entity_name == "2001:db8::1");
    CHECK(co_await set_quota(wire, {{"ip", address}}, "connection_creation_rate", 0, true) ==
          ErrorCode::kNone);
    protocol::AlterClientQuotasRequest request;
    request.validate_only = true;
    auto& entry = request.entries.emplace_back();
    entry.entity.push_back({"user", "u"});
    entry.ops.push_back({.key = "producer_byte_rate", .value = 1});
    const auto reply = co_await call(wire, 0, std::move(request));
    CHECK(reply.message.entries.at(0).error_code == ErrorCode::kNone);
}

TEST_CASE("quotas outlive a restart, and validating one does not set it") {
    Cluster cluster(8);
    cluster.run(set_and_validate);
    cluster.run(described_after_restart);
    cluster.restart(testing::Ending::kPowerLoss);
    cluster.run(described_after_restart);
}

}  // namespace
}  // namespace dlog::broker
