// Each API as a client meets it.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/api_table.h"
#include "broker/testing_node.h"
#include "protocol/messages/alter_configs.h"
#include "protocol/messages/api_versions.h"
#include "protocol/messages/create_partitions.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/delete_records.h"
#include "protocol/messages/delete_topics.h"
#include "protocol/messages/describe_cluster.h"
#include "protocol/messages/describe_configs.h"
#include "protocol/messages/describe_log_dirs.h"
#include "protocol/messages/describe_producers.h"
#include "protocol/messages/describe_topic_partitions.h"
#include "protocol/messages/incremental_alter_configs.h"
#include "protocol/messages/init_producer_id.h"
#include "protocol/messages/list_offsets.h"
#include "protocol/messages/metadata.h"
#include "protocol/messages/offset_for_leader_epoch.h"
#include "record/builder.h"

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
using testing::send_bytes;
using testing::values_in;
using testing::Wire;

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
    co_await call_every_version<protocol::AlterConfigsRequest>(wire, [](std::int16_t) {
        protocol::AlterConfigsRequest request;
        request.resources.push_back({.resource_type = 2, .resource_name = "t"});
        return request;
    });
    co_await call_every_version<protocol::IncrementalAlterConfigsRequest>(wire, [](std::int16_t) {
        protocol::IncrementalAlterConfigsRequest request;
        request.resources.push_back({.resource_type = 4, .resource_name = ""});
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

Task<void> look_into_partitions_in_every_version(Wire& wire) {
    co_await call_every_version<protocol::DeleteRecordsRequest>(wire, [](std::int16_t) {
        protocol::DeleteRecordsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = "t";
        topic.partitions.push_back({.partition_index = 1, .offset = -1});
        return request;
    });
    co_await call_every_version<protocol::DescribeLogDirsRequest>(wire, [](std::int16_t) {
        protocol::DescribeLogDirsRequest request;
        request.topics = std::nullopt;
        return request;
    });
    co_await call_every_version<protocol::DescribeProducersRequest>(wire, [](std::int16_t) {
        protocol::DescribeProducersRequest request;
        request.topics.push_back({.name = "t", .partition_indexes = {0, 1}});
        return request;
    });
}

Task<void> speak_every_other_version(Wire& wire) {
    co_await create_topic(wire, "t", 2);
    co_await look_into_partitions_in_every_version(wire);
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

}  // namespace
}  // namespace dlog::broker
