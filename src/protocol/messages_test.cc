/// Single messages and frames, field by field. The bytes were written by the classes of
/// kafka-clients 4.4.0.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "protocol/api.h"
#include "protocol/error_code.h"
#include "protocol/frame.h"
#include "protocol/messages/api_versions.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/list_offsets.h"
#include "protocol/messages/metadata.h"
#include "protocol/messages/produce.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace dlog::protocol {

namespace {

constexpr TopicId kTopicId{0x0102030405060708, 0x090a0b0c0d0e0f10};
const std::vector<std::uint8_t> kRecordBytes{1, 2, 3, 4, 5};

std::string hex(ByteView bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

std::vector<std::uint8_t> bytes_of_hex(std::string_view text) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes.push_back(
            static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
}

/// Encodes the message to exactly these bytes, and decodes them to the same message again.
template <class Message>
void check_bytes(const Message& message, std::int16_t version, std::string_view expected) {
    CAPTURE(Message::kName);
    CAPTURE(version);
    Writer writer;
    const Result<void> result = message.encode(writer, version);
    REQUIRE(result.has_value());
    CHECK(hex(writer.view()) == expected);
    const std::vector<std::uint8_t> bytes = bytes_of_hex(expected);
    Reader reader(bytes);
    const Result<Message> decoded = Message::decode(reader, version);
    REQUIRE(decoded.has_value());
    REQUIRE(reader.finish().has_value());
    CHECK(*decoded == message);
}

template <class Message>
Fault encode_fault(const Message& message, std::int16_t version) {
    Writer writer;
    const Result<void> result = message.encode(writer, version);
    return result ? Fault::kNone : result.error().fault;
}

MetadataResponse metadata_response() {
    MetadataResponse response;
    response.cluster_id = "c";
    response.controller_id = 1;
    response.brokers.push_back({.node_id = 1, .host = "h", .port = 9092});
    auto& topic = response.topics.emplace_back();
    topic.name = "t";
    topic.topic_id = kTopicId;
    topic.partitions.push_back({.partition_index = 3,
                                .leader_id = 1,
                                .leader_epoch = 4,
                                .replica_nodes = {1, 2},
                                .isr_nodes = {1}});
    return response;
}

ProduceRequest produce_request() {
    ProduceRequest request{.acks = -1, .timeout_ms = 1500};
    auto& topic = request.topic_data.emplace_back();
    topic.name = "t";
    topic.partition_data.push_back({.index = 2, .records = ByteView(kRecordBytes)});
    return request;
}

}  // namespace

TEST_CASE("the request header's client id stays in the old form in the flexible version") {
    RequestHeader header{
        .request_api_key = 18, .request_api_version = 3, .correlation_id = 7, .client_id = "me"};
    check_bytes(header, 1, "001200030000000700026d65");
    check_bytes(header, 2, "001200030000000700026d6500");
    header.client_id.reset();
    check_bytes(header, 2, "0012000300000007ffff00");
}

TEST_CASE("ApiVersions has the bytes that Kafka writes") {
    check_bytes(ApiVersionsRequest{}, 0, "");
    check_bytes(
        ApiVersionsRequest{.client_software_name = "dlog", .client_software_version = "0.1.0"}, 3,
        "05646c6f6706302e312e3000");
    ApiVersionsResponse response;
    response.error_code = ErrorCode::kUnsupportedVersion;
    response.api_keys.push_back({.api_key = 1, .min_version = 4, .max_version = 18});
    check_bytes(response, 0, "002300000001000100040012");
    response.throttle_time_ms = 5;
    response.finalized_features_epoch = 9;
    response.supported_features.push_back(
        {.name = "metadata.version", .min_version = 1, .max_version = 25});
    check_bytes(response, 3,
                "002302000100040012000000000502001702116d657461646174612e76657273696f6e000100190001"
                "080000000000000009");
}

TEST_CASE("Metadata has the bytes that Kafka writes") {
    MetadataRequest request{.topics = std::nullopt, .allow_auto_topic_creation = false};
    check_bytes(request, 12, "00000000");
    check_bytes(request, 4, "ffffffff00");
    check_bytes(
        metadata_response(), 12,
        "000000000200000001026800002384000002630000000102000002740102030405060708090a0b0c0d0e"
        "0f100002000000000003000000010000000403000000010000000202000000010100800000000000");
}

TEST_CASE("Produce has the bytes that Kafka writes") {
    check_bytes(produce_request(), 3,
                "ffffffff000005dc000000010001740000000100000002000000050102030405");
    check_bytes(produce_request(), 9, "00ffff000005dc0202740200000002060102030405000000");
    ProduceRequest request = produce_request();
    request.transactional_id = "x";
    request.acks = 1;
    request.topic_data[0].name.clear();
    request.topic_data[0].topic_id = kTopicId;
    check_bytes(request, 13,
                "02780001000005dc020102030405060708090a0b0c0d0e0f100200000002060102030405000000");

    ProduceResponse response;
    auto& topic = response.responses.emplace_back();
    topic.name = "t";
    topic.partition_responses.push_back({.index = 2,
                                         .error_code = ErrorCode::kNotLeaderOrFollower,
                                         .base_offset = 77,
                                         .current_leader = {.leader_id = 5, .leader_epoch = 8}});
    response.node_endpoints.push_back({.node_id = 5, .host = "n5", .port = 9092, .rack = "r"});
    check_bytes(
        response, 10,
        "02027402000000020006000000000000004dffffffffffffffffffffffffffffffff0100010009000000"
        "050000000800000000000001000f0200000005036e3500002384027200");
}

TEST_CASE("Fetch has the bytes that Kafka writes") {
    FetchRequest request{.replica_state = {.replica_id = 2, .replica_epoch = 6},
                         .max_wait_ms = 500,
                         .min_bytes = 1,
                         .max_bytes = 1000,
                         .isolation_level = 1,
                         .session_id = 3,
                         .session_epoch = 4,
                         .rack_id = "r"};
    auto& wanted = request.topics.emplace_back();
    wanted.topic_id = kTopicId;
    wanted.partitions.push_back(
        {.partition = 1, .fetch_offset = 99, .partition_max_bytes = 1048576});
    check_bytes(
        request, 15,
        "000001f400000001000003e8010000000300000004020102030405060708090a0b0c0d0e0f1002000000"
        "01ffffffff0000000000000063ffffffffffffffffffffffff00100000000001027201010d0000000200"
        "0000000000000600");

    FetchResponse response{.session_id = 3};
    auto& topic = response.responses.emplace_back();
    topic.topic_id = kTopicId;
    topic.partitions.push_back({.partition_index = 1,
                                .high_watermark = 100,
                                .last_stable_offset = 100,
                                .log_start_offset = 0,
                                .diverging_epoch = {.epoch = 2, .end_offset = 50},
                                .aborted_transactions = std::nullopt,
                                .records = ByteView(kRecordBytes)});
    check_bytes(
        response, 16,
        "00000000000000000003020102030405060708090a0b0c0d0e0f10020000000100000000000000000064"
        "0000000000000064000000000000000000ffffffff06010203040501000d000000020000000000000032"
        "000000");
}

TEST_CASE("ListOffsets and CreateTopics have the bytes that Kafka writes") {
    ListOffsetsRequest offsets{.replica_id = -1, .timeout_ms = 10};
    auto& topic = offsets.topics.emplace_back();
    topic.name = "t";
    topic.partitions.push_back({.partition_index = 0, .timestamp = -2});
    check_bytes(offsets, 10, "ffffffff000202740200000000fffffffffffffffffffffffe00000000000a00");

    CreateTopicsRequest create{.timeout_ms = 30000, .validate_only = true};
    create.topics.push_back({.name = "t",
                             .num_partitions = 2,
                             .replication_factor = -1,
                             .configs = {{.name = "retention.ms", .value = "1"},
                                         {.name = "n", .value = std::nullopt}}});
    check_bytes(
        create, 2,
        "0000000100017400000002ffff0000000000000002000c726574656e74696f6e2e6d7300013100016eff"
        "ff0000753001");
    check_bytes(create, 7,
                "02027400000002ffff01030d726574656e74696f6e2e6d73023100026e000000000075300100");
}

TEST_CASE("a set field that the version lacks is refused unless it is ignorable") {
    FetchResponse response;
    response.session_id = 3;
    CHECK(encode_fault(response, 7) == Fault::kNone);
    CHECK(encode_fault(response, 6) == Fault::kFieldNotInVersion);
    Writer writer;
    const Result<void> result = response.encode(writer, 6);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().text() ==
          "a field is set that this version of the message cannot carry at byte 4 "
          "(FetchResponse.session_id)");

    FetchRequest request{.rack_id = "ignorable"};
    CHECK(encode_fault(request, 10) == Fault::kNone);
}

TEST_CASE("null where the version allows none is refused both ways") {
    MetadataRequest request{.topics = std::nullopt};
    CHECK(encode_fault(request, 1) == Fault::kNone);
    CHECK(encode_fault(request, 0) == Fault::kUnexpectedNull);
    const std::vector<std::uint8_t> null_array{0xff, 0xff, 0xff, 0xff};
    Reader allowed(null_array);
    CHECK(MetadataRequest::decode(allowed, 1).has_value());
    Reader forbidden(null_array);
    CHECK(MetadataRequest::decode(forbidden, 0).error().fault == Fault::kUnexpectedNull);
}

TEST_CASE("decoded records and bytes are views of the frame") {
    Writer writer;
    REQUIRE(produce_request().encode(writer, 9).has_value());
    const Buffer frame = writer.take();
    Reader reader(frame.view());
    const Result<ProduceRequest> request = ProduceRequest::decode(reader, 9);
    REQUIRE(request.has_value());
    const ByteView records = request->topic_data[0].partition_data[0].records.view();
    CHECK(records.size() == 5);
    CHECK(frame.slice_of(records).shares_block_with(frame));
}

TEST_CASE("external records are left out and noted, and the lengths count them") {
    FetchResponse with_bytes;
    FetchResponse with_splices;
    for (FetchResponse* const response : {&with_bytes, &with_splices}) {
        auto& topic = response->responses.emplace_back();
        topic.topic_id = kTopicId;
        topic.partitions.resize(3);
        topic.partitions[1].current_leader = {.leader_id = 1, .leader_epoch = 2};
    }
    const std::vector<std::uint8_t> first(300, 'a');
    const std::vector<std::uint8_t> second(7, 'b');
    with_bytes.responses[0].partitions[0].records = ByteView(first);
    with_bytes.responses[0].partitions[2].records = ByteView(second);
    with_splices.responses[0].partitions[0].records = Records::external(first.size(), 10);
    with_splices.responses[0].partitions[2].records = Records::external(second.size(), 11);

    Writer whole;
    Writer spliced;
    REQUIRE(encode_response_frame(whole, 16, 42, with_bytes).has_value());
    REQUIRE(encode_response_frame(spliced, 16, 42, with_splices).has_value());
    REQUIRE(spliced.splices().size() == 2);
    CHECK(spliced.splices()[0].token == 10);
    CHECK(spliced.splices()[1].token == 11);
    CHECK(spliced.total_size() == whole.size());
    CHECK(spliced.size() == whole.size() - 307);

    std::string joined;
    std::size_t at = 0;
    for (const Splice& splice : spliced.splices()) {
        joined += as_text(spliced.view().subspan(at, splice.position - at));
        joined += as_text(splice.token == 10 ? ByteView(first) : ByteView(second));
        at = splice.position;
    }
    joined += as_text(spliced.view().subspan(at));
    CHECK(joined == as_text(whole.view()));
    CHECK(load_big_endian<std::int32_t>(whole.view().data()) ==
          static_cast<std::int32_t>(whole.size() - 4));
}

TEST_CASE("a tagged field of more than 127 bytes has its longer size before it") {
    ApiVersionsResponse response;
    for (int i = 0; i < 30; ++i) {
        response.supported_features.push_back({.name = "feature-" + std::to_string(i)});
    }
    response.zk_migration_ready = true;
    Writer writer;
    REQUIRE(response.encode(writer, 3).has_value());
    Reader reader(writer.view());
    const Result<ApiVersionsResponse> decoded = ApiVersionsResponse::decode(reader, 3);
    REQUIRE(decoded.has_value());
    CHECK(*decoded == response);
}

TEST_CASE("a tagged field whose size is not what it takes is refused") {
    // finalized_features_epoch (tag 1, eight bytes) with a size of nine, then with one of seven.
    for (const std::string_view tail : {"0109000000000000000000", "010700000000000000"}) {
        const auto bytes = bytes_of_hex(
            "00000100000000"
            "01" +
            std::string(tail));
        Reader reader(bytes);
        const Result<ApiVersionsResponse> decoded = ApiVersionsResponse::decode(reader, 3);
        REQUIRE_FALSE(decoded.has_value());
        CHECK((decoded.error().fault == Fault::kBadTag ||
               decoded.error().fault == Fault::kTruncated));
    }
}

TEST_CASE("a lying count is refused before anything is reserved") {
    // Version 3, acks, timeout, then 2^31 - 1 topics in a frame of 20 bytes.
    const auto bytes = bytes_of_hex("ffffffff000005dc7fffffff0001740000000000");
    Reader reader(bytes);
    const Result<ProduceRequest> request = ProduceRequest::decode(reader, 3);
    REQUIRE_FALSE(request.has_value());
    CHECK(request.error() == Error{.fault = Fault::kBadLength, .position = 12});
}

TEST_CASE("decoding stops at the memory limit") {
    MetadataRequest request;
    request.topics.emplace().resize(1000);
    for (auto& topic : *request.topics) topic.name = "";
    Writer writer;
    REQUIRE(request.encode(writer, 12).has_value());
    Reader tight(writer.view(), 10'000);
    CHECK(MetadataRequest::decode(tight, 12).error().fault == Fault::kTooMuchMemory);
    Reader roomy(writer.view());
    CHECK(MetadataRequest::decode(roomy, 12).has_value());
}

TEST_CASE("a varint of six bytes, and one of more than 32 bits, is refused") {
    for (const std::string_view text : {"808080808001", "ffffffff7f"}) {
        const auto bytes = bytes_of_hex(text);
        Reader reader(bytes);
        std::uint32_t value = 0;
        reader.unsigned_varint(value);
        CHECK(reader.error().fault == Fault::kBadVarint);
    }
    for (const std::uint32_t expected : {0U, 127U, 128U, 16383U, 16384U, 0xffffffffU}) {
        Writer writer;
        writer.unsigned_varint(expected);
        Reader reader(writer.view());
        std::uint32_t value = 1;
        reader.unsigned_varint(value);
        CHECK(reader.finish().has_value());
        CHECK(value == expected);
    }
}

TEST_CASE("strings of more than 32767 bytes are refused both ways") {
    const ApiVersionsRequest request{.client_software_name = std::string(40000, 'x')};
    CHECK(encode_fault(request, 3) == Fault::kTooLong);
    std::vector<std::uint8_t> bytes = bytes_of_hex("c1b802");  // 40,001 as a varint
    bytes.resize(50000, 'x');
    Reader reader(bytes);
    CHECK(ApiVersionsRequest::decode(reader, 3).error().fault == Fault::kBadLength);
}

TEST_CASE("frames have the header that their API and version ask for") {
    CHECK(request_header_version(ApiKey::kProduce, 8) == 1);
    CHECK(request_header_version(ApiKey::kProduce, 9) == 2);
    CHECK(response_header_version(ApiKey::kProduce, 8) == 0);
    CHECK(response_header_version(ApiKey::kProduce, 9) == 1);
    CHECK(request_header_version(ApiKey::kApiVersions, 3) == 2);
    CHECK(response_header_version(ApiKey::kApiVersions, 3) == 0);
    CHECK(request_header_version(ApiKey::kSaslHandshake, 1) == 1);

    Writer writer;
    REQUIRE(encode_request_frame(writer, 12, 42, "me", MetadataRequest{}).has_value());
    Reader reader(writer.view().subspan(4));
    CHECK(read_request_start(reader.rest()) ==
          RequestStart{.api_key = 3, .api_version = 12, .correlation_id = 42});
    const Result<RequestHeader> header = decode_request_header(reader);
    REQUIRE(header.has_value());
    CHECK(header->client_id == "me");
    CHECK(decode_body<MetadataRequest>(reader, 12) == MetadataRequest{});
    CHECK(reader.finish().has_value());
}

TEST_CASE("a header can be read in a version that the schema lacks, but not for an unknown API") {
    const auto newer = bytes_of_hex("0012006300000007ffff00");  // ApiVersions 99
    Reader reader(newer);
    const Result<RequestHeader> header = decode_request_header(reader);
    REQUIRE(header.has_value());
    CHECK(header->request_api_version == 99);
    for (const std::string_view text : {"03e8000000000007ffff00", "0004000000000007ffff00"}) {
        const auto bytes = bytes_of_hex(text);
        Reader unknown(bytes);
        CHECK(decode_request_header(unknown).error().fault == Fault::kUnsupportedVersion);
    }
}

TEST_CASE("the table of APIs names each of Kafka's") {
    CHECK(all_apis().size() == 95);
    CHECK(api_name(ApiKey::kFetch) == "Fetch");
    CHECK(api_name(static_cast<ApiKey>(1000)) == "Unknown");
    CHECK(find_api(95) == nullptr);
    CHECK(find_api(-1) == nullptr);
    REQUIRE(find_api(4) != nullptr);
    CHECK(find_api(4)->is_removed());
    CHECK(api_info(ApiKey::kProduce).lowest_version == 3);
    CHECK(lowest_advertised_version(ApiKey::kProduce) == 0);
    CHECK(lowest_advertised_version(ApiKey::kFetch) == 4);
    CHECK(api_info(ApiKey::kInitProducerId).highest_stable_version() == 5);
    CHECK(api_info(ApiKey::kFetch).highest_stable_version() == 18);
}

TEST_CASE("error codes have Kafka's names, and a number without a name is no harm") {
    CHECK(error_code_name(ErrorCode::kUnknownServerError) == "UNKNOWN_SERVER_ERROR");
    CHECK(error_code_name(ErrorCode::kNotLeaderOrFollower) == "NOT_LEADER_OR_FOLLOWER");
    CHECK(static_cast<int>(ErrorCode::kControllerIdNotRegistered) == 136);
    CHECK(error_code_name(ErrorCode::kControllerIdNotRegistered) == "CONTROLLER_ID_NOT_REGISTERED");
    CHECK(error_code_name(ErrorCode::kUnknownTopicId) == "UNKNOWN_TOPIC_ID");
    CHECK(is_retriable(ErrorCode::kUnknownTopicId));
    CHECK_FALSE(is_retriable(ErrorCode::kInvalidRecord));
    CHECK(error_code_name(static_cast<ErrorCode>(999)) == "UNKNOWN");
    CHECK_FALSE(is_retriable(static_cast<ErrorCode>(-2)));
}

}  // namespace dlog::protocol
