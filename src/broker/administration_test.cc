// Changing a node's topics and settings while it works, as a client meets it.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "broker/core.h"
#include "broker/testing_node.h"
#include "protocol/messages/delete_records.h"
#include "protocol/messages/describe_configs.h"
#include "protocol/messages/describe_log_dirs.h"
#include "protocol/messages/describe_producers.h"
#include "protocol/messages/incremental_alter_configs.h"
#include "protocol/messages/list_offsets.h"

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
using testing::Wire;

// ---- settings ----

constexpr std::int8_t kTopic = 2;
constexpr std::int8_t kBroker = 4;
constexpr std::int8_t kGroup = 32;

Task<ErrorCode> set(Wire& wire, std::int8_t type, std::string name, std::string config,
                    std::string value) {
    protocol::IncrementalAlterConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = std::move(name);
    resource.configs.push_back({.name = std::move(config), .value = std::move(value)});
    const auto reply = co_await call(wire, 1, std::move(request));
    const auto& answer = reply.message.responses.at(0);
    CHECK(answer.error_message.has_value() == (answer.error_code != ErrorCode::kNone));
    co_return answer.error_code;
}

struct Described {
    std::string value;
    int source = 0;
    bool is_read_only = false;
    std::vector<std::pair<std::string, int>> synonyms;  ///< value, source

    bool operator==(const Described&) const = default;
};

Task<Described> describe(Wire& wire, std::int8_t type, std::string name, std::string config) {
    protocol::DescribeConfigsRequest request;
    request.include_synonyms = true;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = std::move(name);
    resource.configuration_keys.emplace().push_back(std::move(config));
    const auto reply = co_await call(wire, 4, std::move(request));
    const auto& lines = reply.message.results.at(0).configs;
    if (lines.empty()) co_return Described{};
    Described described{.value = lines.at(0).value.value_or("(none)"),
                        .source = lines.at(0).config_source,
                        .is_read_only = lines.at(0).read_only};
    for (const auto& synonym : lines.at(0).synonyms) {
        described.synonyms.emplace_back(synonym.value.value_or("(none)"), synonym.source);
    }
    co_return described;
}

Task<void> alter_settings(Wire& wire) {
    co_await create_topic(wire, "t", 3);
    CHECK(co_await set(wire, kBroker, "", "message.max.bytes", "3000") == ErrorCode::kNone);
    CHECK(co_await set(wire, kBroker, "1", "message.max.bytes", "2000") == ErrorCode::kNone);
    CHECK(co_await set(wire, kTopic, "t", "max.message.bytes", "1000") == ErrorCode::kNone);
    CHECK(co_await set(wire, kTopic, "gone", "max.message.bytes", "1000") ==
          ErrorCode::kUnknownTopicOrPartition);
    CHECK(co_await set(wire, kBroker, "1", "num.partitions", "4") == ErrorCode::kInvalidRequest);
    constexpr const char* kSession = "consumer.session.timeout.ms";
    CHECK(co_await set(wire, kGroup, "g", kSession, "50000") == ErrorCode::kNone);
    CHECK(co_await set(wire, kGroup, "g", kSession, "44999") == ErrorCode::kInvalidConfig);
    CHECK(co_await set(wire, kGroup, "", kSession, "50000") == ErrorCode::kInvalidRequest);
}

Task<void> see_settings(Wire& wire) {
    const Described own = co_await describe(wire, kTopic, "t", "max.message.bytes");
    CHECK(own == Described{.value = "1000",
                           .source = 1,
                           .synonyms = {{"1000", 1}, {"2000", 2}, {"3000", 3}, {"1048588", 5}}});
    const Described node = co_await describe(wire, kBroker, "1", "message.max.bytes");
    CHECK(node == Described{.value = "2000",
                            .source = 2,
                            .synonyms = {{"2000", 2}, {"3000", 3}, {"1048588", 5}}});
    const Described all = co_await describe(wire, kBroker, "", "message.max.bytes");
    CHECK(all.value == "3000");
    CHECK(all.source == 3);
    CHECK((co_await describe(wire, kBroker, "", "num.partitions")) == Described{});
    const Described fixed = co_await describe(wire, kBroker, "1", "num.partitions");
    CHECK(fixed ==
          Described{.value = "1", .source = 5, .is_read_only = true, .synonyms = {{"1", 5}}});
    const Described group = co_await describe(wire, kGroup, "g", "consumer.session.timeout.ms");
    CHECK(group ==
          Described{.value = "50000", .source = 8, .synonyms = {{"50000", 8}, {"45000", 5}}});
    const Described other = co_await describe(wire, kGroup, "h", "consumer.session.timeout.ms");
    CHECK(other == Described{.value = "45000", .source = 5, .synonyms = {{"45000", 5}}});
}

TEST_CASE("settings hold, and say where they come from, after a stop, a kill and a loss of power") {
    for (const testing::Ending ending : testing::kEndings) {
        const auto way = static_cast<std::uint64_t>(ending);
        CAPTURE(way);
        Cluster cluster(20 + way);
        cluster.run(alter_settings);
        cluster.run(see_settings);
        cluster.restart(ending);
        cluster.run(see_settings);
    }
}

Task<ErrorCode> produce_bytes(Wire& wire, std::int32_t partition, std::size_t size) {
    const auto answer = co_await produce(wire, "t", partition, batch_of({std::string(size, 'x')}));
    co_return answer.error_code;
}

Task<void> produce_everywhere(Wire& wire, ErrorCode expected) {
    for (std::int32_t partition = 0; partition < 4; ++partition) {
        const ErrorCode code = co_await produce_bytes(wire, partition, 1000);
        CHECK(code == expected);
    }
}

Task<void> limit_all_cores(Wire& wire) {
    co_await create_topic(wire, "t", 4);
    (void)co_await set(wire, kBroker, "", "message.max.bytes", "100");
    co_await produce_everywhere(wire, ErrorCode::kMessageTooLarge);
    (void)co_await set(wire, kBroker, "", "message.max.bytes", "10000");
    co_await produce_everywhere(wire, ErrorCode::kNone);
    (void)co_await set(wire, kBroker, "1", "message.max.bytes", "200");
    co_await produce_everywhere(wire, ErrorCode::kMessageTooLarge);
}

TEST_CASE("an altered broker setting holds for topics without one of their own, on every core") {
    Cluster cluster;
    cluster.run(limit_all_cores);
}

// ---- records ----

struct Deleted {
    ErrorCode code = ErrorCode::kNone;
    std::int64_t low_watermark = 0;

    bool operator==(const Deleted&) const = default;
};

Task<Deleted> delete_before(Wire& wire, std::string topic, std::int32_t partition,
                            std::int64_t offset) {
    protocol::DeleteRecordsRequest request;
    auto& asked = request.topics.emplace_back();
    asked.name = std::move(topic);
    asked.partitions.push_back({.partition_index = partition, .offset = offset});
    const auto reply = co_await call(wire, 2, std::move(request));
    const auto& answer = reply.message.topics.at(0).partitions.at(0);
    co_return Deleted{answer.error_code, answer.low_watermark};
}

Task<std::int64_t> earliest(Wire& wire, std::int32_t partition) {
    protocol::ListOffsetsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = "t";
    topic.partitions.push_back({.partition_index = partition, .timestamp = -2});
    const auto reply = co_await call(wire, 7, std::move(request));
    co_return reply.message.topics.at(0).partitions.at(0).offset;
}

Task<ErrorCode> fetch_at(Wire& wire, std::int32_t partition, std::int64_t offset) {
    const auto reply = co_await call(wire, 12, fetch_request("t", partition, offset));
    co_return reply.message.responses.at(0).partitions.at(0).error_code;
}

Task<void> delete_some(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    for (std::int32_t partition = 0; partition < 2; ++partition) {
        (void)co_await produce(wire, "t", partition, batch_of({"a", "b", "c", "d"}));
    }
    CHECK(co_await delete_before(wire, "t", 0, 3) == Deleted{ErrorCode::kNone, 3});
    CHECK(co_await delete_before(wire, "t", 0, 1) == Deleted{ErrorCode::kNone, 3});
    CHECK(co_await delete_before(wire, "t", 1, -1) == Deleted{ErrorCode::kNone, 4});
}

Task<void> delete_wrongly(Wire& wire) {
    CHECK(co_await delete_before(wire, "t", 0, 5) == Deleted{ErrorCode::kOffsetOutOfRange, -1});
    CHECK(co_await delete_before(wire, "t", 0, -3) == Deleted{ErrorCode::kOffsetOutOfRange, -1});
    CHECK(co_await delete_before(wire, "t", 9, 1) ==
          Deleted{ErrorCode::kUnknownTopicOrPartition, -1});
    CHECK(co_await delete_before(wire, "none", 0, 1) ==
          Deleted{ErrorCode::kUnknownTopicOrPartition, -1});
    protocol::DeleteRecordsRequest twice;
    auto& asked = twice.topics.emplace_back();
    asked.name = "t";
    asked.partitions = {{.partition_index = 0, .offset = 1}, {.partition_index = 0, .offset = 4}};
    const auto reply = co_await call(wire, 2, std::move(twice));
    const auto& answers = reply.message.topics.at(0).partitions;
    CHECK(answers.at(0).low_watermark == 3);
    CHECK(answers.at(1).error_code == ErrorCode::kInvalidRequest);
}

Task<void> see_deleted(Wire& wire) {
    CHECK(co_await earliest(wire, 0) == 3);
    CHECK(co_await earliest(wire, 1) == 4);
    CHECK(co_await fetch_at(wire, 0, 2) == ErrorCode::kOffsetOutOfRange);
    CHECK(co_await fetch_at(wire, 0, 3) == ErrorCode::kNone);
    CHECK(co_await fetch_at(wire, 1, 4) == ErrorCode::kNone);
}

TEST_CASE("deleted records are gone for every reader, after a loss of power too") {
    Cluster cluster(30);
    cluster.run(delete_some);
    cluster.run(delete_wrongly);
    cluster.run(see_deleted);
    cluster.restart(testing::Ending::kPowerLoss);
    cluster.run(see_deleted);
}

// ---- what the folder holds, and who writes ----

Task<void> describe_folder(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    const Buffer batch = batch_of({"a", "b"});
    (void)co_await produce(wire, "t", 1, batch_of({"a", "b"}));
    protocol::DescribeLogDirsRequest request;
    request.topics = std::nullopt;
    const auto all = co_await call(wire, 4, request);
    const auto& folder = all.message.results.at(0);
    CHECK(folder.log_dir == "data");
    CHECK(folder.total_bytes >= folder.usable_bytes);
    CHECK(folder.usable_bytes > 0);
    REQUIRE(folder.topics.size() == 1);
    REQUIRE(folder.topics[0].partitions.size() == 2);
    CHECK(folder.topics[0].partitions[0].partition_size == 0);
    CHECK(folder.topics[0].partitions[1].partition_size == static_cast<std::int64_t>(batch.size()));
    request.topics.emplace().push_back({.topic = "t", .partitions = {1, 7}});
    const auto one = co_await call(wire, 4, request);
    CHECK(one.message.results.at(0).topics.at(0).partitions.size() == 1);
}

TEST_CASE("the size of each partition and of the disk is told") {
    Cluster cluster(31);
    cluster.run(describe_folder);
}

Task<void> describe_producers(Wire& wire) {
    co_await create_topic(wire, "t", 1);
    const record::BatchSpec spec{
        .producer_id = ProducerId(7), .producer_epoch = ProducerEpoch(2), .base_sequence = 0};
    (void)co_await produce(wire, "t", 0, batch_of({"a", "b"}, spec, 5'000));
    protocol::DescribeProducersRequest request;
    request.topics.push_back({.name = "t", .partition_indexes = {0, 3, 0}});
    const auto reply = co_await call(wire, 0, std::move(request));
    const auto& partitions = reply.message.topics.at(0).partitions;
    REQUIRE(partitions.at(0).active_producers.size() == 1);
    const auto& producer = partitions[0].active_producers[0];
    CHECK(producer.producer_id == 7);
    CHECK(producer.producer_epoch == 2);
    CHECK(producer.last_sequence == 1);
    CHECK(producer.last_timestamp == 5'001);
    CHECK(partitions.at(1).error_code == ErrorCode::kUnknownTopicOrPartition);
    CHECK(partitions.at(2).error_code == ErrorCode::kInvalidRequest);
    CHECK(partitions.at(2).active_producers.empty());
}

TEST_CASE("the producers that a partition remembers are told, once in an answer") {
    Cluster cluster(32);
    cluster.run(describe_producers);
}

}  // namespace
}  // namespace dlog::broker
