// Members of consumer groups that subscribe by pattern.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "coordination/group/consumer_harness.h"

namespace dlog::coordination::test {

namespace {

/// The topics of which it holds something.
std::vector<std::uint64_t> held(const Consumer& consumer) {
    std::vector<std::uint64_t> result;
    for (const auto& [topic, partition] : consumer.holding) {
        if (result.empty() || result.back() != topic.low) result.push_back(topic.low);
    }
    return result;
}

void add_topic(World& world, std::uint64_t number, std::string_view name) {
    world.topics.topics.push_back({.id = {number, number}, .name = name, .partition_count = 2});
    ++world.topics.changes;
}

std::size_t records_of(const World& world, std::int16_t type) {
    return static_cast<std::size_t>(
        std::ranges::count_if(world.log, [type](const GroupRecord& record) {
            protocol::Reader reader(record.key.view());
            std::int16_t read = 0;
            reader.read(read);
            return read == type;
        }));
}

}  // namespace

TEST_CASE("a pattern that meets something new at every letter is given up, and refused as such") {
    World world;
    Random random(1);
    std::vector<std::string> names;
    for (std::uint64_t number = 0; number < 2'000; ++number) {
        std::string& name = names.emplace_back(std::to_string(number) + "-");
        while (name.size() < 200) name += random.chance(1, 2) ? 'a' : 'b';
    }
    for (const std::string& name : names) add_topic(world, 100 + world.topics.changes, name);
    Consumer a{.id = "a", .topics = {"none"}, .pattern = "(.*a.{20}|.*b.{19})"};
    const auto refused = send(world, a.full());
    CHECK(refused.error_code == ErrorCode::kInvalidRegularExpression);
    CHECK(refused.error_message->contains("too long to match"));
    CHECK(describe_consumers(world).error_code == ErrorCode::kGroupIdNotFound);

    // With few topics it is one like any other, and with more it keeps what it had.
    const std::vector<Topics::Topic> many = std::exchange(world.topics.topics, {});
    add_topic(world, 50, "0123456789012345678901234a");
    a.pattern = ".*4a|" + *a.pattern;
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(a.holding.size() == 2);
    world.topics.topics.insert(world.topics.topics.end(), many.begin(), many.end());
    ++world.topics.changes;
    world.advance(seconds(10));
    CHECK_FALSE(send(world, a.brief()).assignment.has_value());
}

TEST_CASE("a member gets the topics that its pattern matches, besides those that it names") {
    World world;
    Consumer a{.id = "a", .topics = {"payments"}, .pattern = "ord.*"};
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(held(a) == std::vector<std::uint64_t>{1, 2});
    CHECK(a.holding.size() == 8);
    const auto described = describe_consumers(world).members.at(0);
    CHECK(described.subscribed_topic_names == std::vector<std::string>{"payments"});
    CHECK(described.subscribed_topic_regex == "ord.*");

    // Offsets of a topic that it reads by pattern are in use.
    protocol::OffsetDeleteRequest request;
    request.group_id = "g";
    auto& topic = request.topics.emplace_back();
    topic.name = "orders";
    topic.partitions.push_back({.partition_index = 0});
    const Ticket ticket = ++world.last_ticket;
    world.apply(DeleteOffsets{ticket, request}, ticket);
    const auto& deleted = world.get<protocol::OffsetDeleteResponse>(ticket);
    CHECK(deleted.topics.at(0).partitions.at(0).error_code == ErrorCode::kGroupSubscribedToTopic);
}

TEST_CASE("a member that joins with a pattern need not name topics") {
    World world;
    Consumer a{.id = "a", .pattern = "orders"};
    auto request = a.full();
    request.subscribed_topic_names.reset();
    const auto joined = send(world, request);
    CHECK(joined.error_code == ErrorCode::kNone);
    REQUIRE(joined.assignment.has_value());
    CHECK(joined.assignment->topic_partitions.size() == 1);

    request.subscribed_topic_regex.reset();
    CHECK(send(world, request).error_code == ErrorCode::kInvalidRequest);
    request.subscribed_topic_regex = "(";
    const auto refused = send(world, request);
    CHECK(refused.error_code == ErrorCode::kInvalidRegularExpression);
    CHECK(refused.error_message == "SubscribedTopicRegex cannot be used: missing ): (.");
}

TEST_CASE("topics that come and go are matched anew, but not at every change") {
    World world;
    Consumer a{.id = "a", .topics = {}, .pattern = "orders.*"};
    a.beat(world);
    CHECK(a.holding.size() == 4);
    add_topic(world, 3, "orders-eu");
    a.beat(world);
    CHECK(a.holding.size() == 4);  // It has been matched within the last ten seconds.
    world.advance(seconds(10));
    a.beat(world);
    CHECK(held(a) == std::vector<std::uint64_t>{1, 3});

    world.advance(seconds(10));
    world.topics.topics.erase(world.topics.topics.begin());
    ++world.topics.changes;
    a.beat(world);
    a.beat(world);
    CHECK(held(a) == std::vector<std::uint64_t>{3});
    // Nothing has changed for it.
    add_topic(world, 4, "returns");
    world.advance(seconds(10));
    const std::size_t records = world.log.size();
    a.beat(world);
    CHECK(world.log.size() == records);
}

TEST_CASE("a topic that one member names goes to a member whose pattern comes to match it, too") {
    World world;
    add_topic(world, 3, "returns");
    Consumer a{.id = "a", .topics = {"orders-eu"}};
    Consumer b{.id = "b", .topics = {}, .pattern = "orders-.*"};
    a.beat(world);
    b.beat(world);
    CHECK(b.holding.empty());
    add_topic(world, 4, "orders-eu");
    a.beat(world);
    CHECK(a.holding.size() == 2);
    world.advance(seconds(10));
    for (int round = 0; round < 4; ++round) {
        b.beat(world);
        a.beat(world);
    }
    CHECK(a.holding.size() == 1);
    CHECK(b.holding.size() == 1);
}

TEST_CASE("a pattern is forgotten when the last member that had it has another, or goes") {
    constexpr std::int16_t kType = ConsumerGroupRegularExpressionKey::kId;
    World world;
    Consumer a{.id = "a", .topics = {}, .pattern = "orders"};
    Consumer b{.id = "b", .topics = {}, .pattern = "orders"};
    a.beat(world);
    b.beat(world);
    CHECK(records_of(world, kType) == 1);
    a.pattern = "payments";
    a.beat(world);
    CHECK(records_of(world, kType) == 2);
    b.leave(world);
    CHECK(records_of(world, kType) == 3);
    CHECK(world.log.at(world.log.size() - 2).is_tombstone);
    a.beat(world);
    CHECK(held(a) == std::vector<std::uint64_t>{2});

    // It reads by name only from now on.
    a.pattern = "";
    a.topics = {"orders"};
    a.beat(world);
    a.beat(world);
    CHECK(held(a) == std::vector<std::uint64_t>{1});
    CHECK_FALSE(describe_consumers(world).members.at(0).subscribed_topic_regex.has_value());
    CHECK(records_of(world, kType) == 4);
}

TEST_CASE("a group of patterns goes on after a restart where it was") {
    World world;
    Consumer a{.id = "a", .topics = {}, .pattern = "orders.*"};
    Consumer b{.id = "b", .topics = {"payments"}};
    for (int round = 0; round < 4; ++round) {
        a.beat(world);
        b.beat(world);
    }
    const auto before = describe_consumers(world);
    world.restart();
    CHECK(describe_consumers(world) == before);
    const std::size_t records = world.log.size();
    CHECK(a.beat(world) == ErrorCode::kNone);
    CHECK(world.log.size() == records);

    // What came to be meanwhile is found at once.
    world.restart();
    add_topic(world, 3, "orders-eu");
    a.beat(world);
    CHECK(held(a) == std::vector<std::uint64_t>{1, 3});
}

TEST_CASE("a member with a pattern goes over to the classic protocol without it") {
    World world;
    Consumer a{.id = "a", .topics = {}, .instance = "i", .pattern = "orders"};
    a.beat(world);
    const Ticket joined = world.join({.instance = "i", .version = 9});
    CHECK(world.joined(joined).error_code == ErrorCode::kNone);
    CHECK(records_of(world, ConsumerGroupRegularExpressionKey::kId) == 2);
    CHECK(world.state() != "Dead");
}

}  // namespace dlog::coordination::test
