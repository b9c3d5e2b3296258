/// The bytes of records, as Kafka 4.3's own classes write them.
#include "coordination/group/records.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "coordination/group/harness.h"

namespace dlog::coordination::test {
namespace {

std::string hex(ByteView bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string result;
    for (const std::uint8_t byte : bytes) {
        result += kDigits[byte >> 4];
        result += kDigits[byte & 0xf];
    }
    return result;
}

template <class Key, class Value>
void check_value(const Key& key, const Value& value, std::int16_t version, const char* expected) {
    const GroupRecord record = make_record(key, value, version);
    CHECK(hex(record.value.view()) == expected);
    const auto decoded = decode_value<Value>(record.value.view());
    REQUIRE(decoded.has_value());
    CHECK(*decoded == value);
}

TEST_CASE("a key is its record type and its fields") {
    const Buffer key = encode_key(OffsetCommitKey{.group = "g", .topic = "t", .partition = 3});
    CHECK(hex(key.view()) == "000100016700017400000003");
    CHECK(hex(encode_key(GroupMetadataKey{.group = "g"}).view()) == "0002000167");
    CHECK(tombstone(GroupMetadataKey{.group = "g"}).is_tombstone);
}

TEST_CASE("a committed offset has Kafka's bytes") {
    OffsetCommitValue value{.offset = 42,
                            .leader_epoch = 7,
                            .metadata = "note",
                            .commit_timestamp = 1'700'000'000'000,
                            .topic_id = {1, 2}};
    check_value(OffsetCommitKey{}, value, kOffsetCommitVersion,
                "0004000000000000002a00000007056e6f74650000018bcfe568000100100000000000000001"
                "0000000000000002");
    value.leader_epoch = -1;
    value.topic_id = {};
    value.expire_timestamp = 1'700'000'001'000;
    check_value(OffsetCommitKey{}, value, kExpiringOffsetCommitVersion,
                "0001000000000000002a00046e6f74650000018bcfe568000000018bcfe56be8");
}

TEST_CASE("a generation of a classic group has Kafka's bytes") {
    const std::vector<std::uint8_t> subscribed = {1, 2};
    const std::vector<std::uint8_t> assigned = {3};
    GroupMetadataValue value{.protocol_type = "consumer",
                             .generation = 1,
                             .protocol = "range",
                             .leader = "m",
                             .current_state_timestamp = 1'700'000'000'000};
    value.members.push_back({.member_id = "m",
                             .group_instance_id = "i",
                             .client_id = "c",
                             .client_host = "/h",
                             .rebalance_timeout = 60'000,
                             .session_timeout = 10'000,
                             .subscription = ByteView(subscribed),
                             .assignment = ByteView(assigned)});
    check_value(GroupMetadataKey{}, value, kGroupMetadataVersion,
                "00030008636f6e73756d657200000001000572616e676500016d0000018bcfe5680000000001"
                "00016d00016900016300022f680000ea60000027100000000201020000000103");
}

TEST_CASE("members of consumer groups have Kafka's bytes") {
    const std::vector<std::uint8_t> metadata = {9};
    ConsumerGroupMemberMetadataValue member{.rack_id = "r",
                                            .client_id = "c",
                                            .client_host = "/h",
                                            .subscribed_topic_names = {"t"},
                                            .rebalance_timeout_ms = 5,
                                            .server_assignor = "uniform"};
    auto& classic = member.classic_member_metadata.emplace();
    classic.session_timeout_ms = 6;
    classic.supported_protocols.push_back({.name = "range", .metadata = ByteView(metadata)});
    check_value(ConsumerGroupMemberMetadataKey{}, member, 0,
                "00000002720263032f68020274000000000508756e69666f726d010010010000000602067261"
                "6e676502090000");

    ConsumerGroupCurrentMemberAssignmentValue assignment{
        .member_epoch = 3, .previous_member_epoch = 2, .state = 1};
    auto& partitions = assignment.assigned_partitions.emplace_back();
    partitions.topic_id = {1, 2};
    partitions.partitions = {0, 1};
    partitions.assignment_epochs = {3, 3};
    check_value(ConsumerGroupCurrentMemberAssignmentKey{}, assignment, 0,
                "0000000000030000000201020000000000000001000000000000000203000000000000000101"
                "00090300000003000000030100");
}

TEST_CASE("damaged records are refused in words, and foreign ones passed over") {
    Coordinator coordinator({}, 1);
    const std::string value = std::string("\0\x04", 2) + std::string(8, 'x');
    const auto refused = [&](const std::string& key, bool is_tombstone = false) {
        const auto folded = coordinator.replay(as_bytes(key), is_tombstone, as_bytes(value));
        if (!folded) CHECK(!folded.error().empty());
        return !folded.has_value();
    };
    const std::string group_key("\0\2\0\1g", 5);
    const std::string offset_key("\0\1\0\1g\0\1t\0\0\0\0", 12);
    CHECK(refused(""));
    CHECK(refused(std::string("\xff\xff", 2)));
    CHECK(refused(std::string("\0\2\0\x09g", 5)));
    CHECK(refused(group_key + "more"));
    CHECK(refused(group_key));
    CHECK(refused(offset_key));
    CHECK(!refused(group_key, true));
    CHECK(!refused(offset_key, true));
    CHECK(!refused(std::string("\0\x11\0\1g", 5)));
    CHECK(coordinator.counts().groups == 0);
}

TEST_CASE("a record with members that contradict each other makes a group that works") {
    World world;
    GroupMetadataValue value{.protocol_type = "consumer",
                             .generation = INT32_MAX,
                             .protocol = std::nullopt,
                             .leader = "nobody"};
    for (int i = 0; i < 2; ++i) {
        value.members.push_back({.member_id = "twin", .session_timeout = -5});
        value.members.push_back({.member_id = "m" + std::to_string(i), .group_instance_id = "i"});
    }
    world.log.push_back(make_record(GroupMetadataKey{.group = "g"}, value, kGroupMetadataVersion));
    world.restart();
    CHECK(world.describe().members.size() == 2);
    world.advance(seconds(100));
    CHECK(world.state() == "Empty");
    const Ticket join = world.join({});
    world.advance(seconds(7));
    CHECK(world.joined(join).generation_id == 1);
}

}  // namespace
}  // namespace dlog::coordination::test
