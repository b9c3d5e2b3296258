// The client's members of consumer groups against a whole node, which this room alone may join.
#include "client/group_member.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/testing_node.h"
#include "client/cluster.h"
#include "port/clock.h"

namespace dlog::client {
namespace {

using broker::testing::create_topic;
using broker::testing::Wire;
using port::Task;

/// A member with a client of its own that polls all the time and notes what it is told.
struct Reader final : GroupListener {
    Reader(port::Ports& ports, GroupMemberConfig config)
        : ports_(ports),
          cluster(ports, {.bootstrap = {{"node", 9092}}, .metadata_age_max = seconds(10)}),
          member(cluster, std::move(config), *this) {}

    Task<void> revoked(TopicPartitions partitions) override {
        ++revocations;
        co_await port::sleep_for(ports_.clock, milliseconds(50));
        held = without(held, partitions);
        last_revoked = partitions;
    }
    Task<void> lost(TopicPartitions partitions) override {
        ++losses;
        held = without(held, partitions);
        co_return;
    }
    Task<void> assigned(TopicPartitions added) override {
        for (auto& [topic, numbers] : added) {
            held[topic].insert(held[topic].end(), numbers.begin(), numbers.end());
        }
        ++assignments;
        co_return;
    }
    void failed(Error error) override { failures.push_back(std::move(error)); }
    [[nodiscard]] Instant last_poll() const override {
        return is_polled ? ports_.clock.now() : polled_last;
    }
    void stop_polling() {
        is_polled = false;
        polled_last = ports_.clock.now();
    }

    port::Ports& ports_;
    Cluster cluster;
    GroupMember member;
    TopicPartitions held;
    TopicPartitions last_revoked;
    std::vector<Error> failures;
    int revocations = 0;
    int losses = 0;
    int assignments = 0;
    bool is_polled = true;
    Instant polled_last;
};

/// A node, a topic "orders" of six partitions, and members that come and go.
struct Setup {
    explicit Setup(GroupProtocol with, std::int32_t partitions = 6)
        : protocol(with), node(1, quick_groups()) {
        node.run([partitions](Wire& wire) { return create_topic(wire, "orders", partitions); });
    }
    ~Setup() {
        for (auto& reader : readers) {
            if (!reader->cluster.is_closed()) close(*reader);
        }
    }

    static broker::NodeConfig quick_groups() {
        broker::NodeConfig config;
        config.groups.initial_rebalance_delay = Duration{};
        config.offsets_topic_partitions = 4;
        return config;
    }

    Reader& join(GroupMemberConfig config = {}) {
        config.group = "g";
        config.protocol = protocol;
        readers.push_back(std::make_unique<Reader>(node.client.ports(), std::move(config)));
        readers.back()->member.subscribe({"orders"});
        readers.back()->member.start();
        return *readers.back();
    }

    template <class T>
    static Task<void> keep(Task<T> task, std::optional<T>& result) {
        result.emplace(co_await std::move(task));
    }
    template <class T>
    T wait(Task<T> task) {
        std::optional<T> result;
        node.client.ports().spawn.spawn(keep(std::move(task), result));
        REQUIRE(node.world.run_until([&] { return result.has_value(); }, seconds(120)));
        return *std::move(result);
    }

    static Task<bool> end(Reader& reader) {
        co_await reader.member.close();
        reader.cluster.close();
        co_return true;
    }
    void close(Reader& reader) { CHECK(wait(end(reader))); }
    static Task<Result<void>> go(Reader& reader) {
        auto left = co_await reader.member.leave(reader.cluster.default_deadline());
        reader.cluster.close();
        co_return left;
    }
    Result<void> leave(Reader& reader) { return wait(go(reader)); }

    /// The readers share all partitions, each with as many as the sizes say, in any order.
    bool share(const std::vector<Reader*>& among, std::multiset<std::size_t> sizes,
               Duration limit = seconds(100)) {
        return node.world.run_until(
            [&] {
                std::set<std::int32_t> seen;
                std::multiset<std::size_t> found;
                for (const Reader* reader : among) {
                    const auto topic = reader->held.find("orders");
                    found.insert(topic == reader->held.end() ? 0 : topic->second.size());
                    if (topic != reader->held.end()) {
                        seen.insert(topic->second.begin(), topic->second.end());
                    }
                }
                std::size_t total = 0;
                for (const std::size_t size : sizes) total += size;
                return found == sizes && seen.size() == total;
            },
            limit);
    }
    bool holds(const Reader& reader, const std::string& topic, std::size_t count) {
        const auto is_so = [&] {
            const auto found = reader.held.find(topic);
            return (found == reader.held.end() ? 0 : found->second.size()) == count;
        };
        return node.world.run_until(is_so, seconds(100));
    }
    void pass(Duration span) {
        static_cast<void>(node.world.run_until([] { return false; }, span));
    }

    GroupProtocol protocol;
    broker::testing::Cluster node;
    std::vector<std::unique_ptr<Reader>> readers;
};

TEST_CASE("members share the partitions, and inherit those of one that leaves") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        CAPTURE(static_cast<int>(protocol));
        Setup setup(protocol);
        Reader& one = setup.join();
        CHECK(setup.share({&one}, {6}));
        Reader& two = setup.join();
        Reader& three = setup.join();
        CHECK(setup.share({&one, &two, &three}, {2, 2, 2}));
        CHECK(setup.leave(one).has_value());
        CHECK(setup.share({&two, &three}, {3, 3}));
        CHECK(setup.leave(three).has_value());
        CHECK(setup.share({&two}, {6}));
        CHECK(two.losses == 0);
        CHECK(two.failures.empty());
    }
}

TEST_CASE("a cooperative member gives up what moves and keeps the rest through a rebalance") {
    Setup setup(GroupProtocol::kClassic);
    const GroupMemberConfig cooperative{.assignors = OfferedAssignors::kCooperativeSticky};
    Reader& one = setup.join(cooperative);
    CHECK(setup.share({&one}, {6}));
    Reader& two = setup.join(cooperative);
    CHECK(setup.share({&one, &two}, {3, 3}));
    CHECK(one.revocations == 1);
    CHECK(one.last_revoked.at("orders").size() == 3);
    CHECK(two.revocations == 0);
}

TEST_CASE("an eager member gives everything up before it joins again") {
    Setup setup(GroupProtocol::kClassic);
    Reader& one = setup.join({.assignors = OfferedAssignors::kRange});
    CHECK(setup.share({&one}, {6}));
    Reader& two = setup.join({.assignors = OfferedAssignors::kRange});
    CHECK(setup.share({&one, &two}, {3, 3}));
    CHECK(one.last_revoked.at("orders").size() == 6);
}

TEST_CASE("a group moves from range to cooperative-sticky through members that offer both") {
    Setup setup(GroupProtocol::kClassic);
    Reader& one = setup.join({.assignors = OfferedAssignors::kRange});
    Reader& two = setup.join({.assignors = OfferedAssignors::kRangeOrCooperativeSticky});
    CHECK(setup.share({&one, &two}, {3, 3}));
    CHECK(setup.leave(one).has_value());
    Reader& three = setup.join({.assignors = OfferedAssignors::kCooperativeSticky});
    CHECK(setup.share({&two, &three}, {3, 3}));
}

TEST_CASE("a member that vanishes is missed after its session, and its partitions go on") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        Setup setup(protocol);
        const GroupMemberConfig quick{.session_timeout = seconds(10)};
        Reader& one = setup.join(quick);
        Reader& two = setup.join(quick);
        CHECK(setup.share({&one, &two}, {3, 3}));
        setup.close(two);
        CHECK(setup.share({&one}, {6}));
    }
}

TEST_CASE("a static member comes back to its partitions without a rebalance") {
    Setup setup(GroupProtocol::kClassic);
    Reader& one = setup.join({.instance_id = "a"});
    Reader& two = setup.join({.instance_id = "b"});
    CHECK(setup.share({&one, &two}, {3, 3}));
    const TopicPartitions before = two.held;
    const int told = one.assignments;
    CHECK(setup.leave(two).has_value());
    Reader& again = setup.join({.instance_id = "b"});
    CHECK(setup.share({&one, &again}, {3, 3}));
    CHECK(again.held == before);
    setup.pass(seconds(20));
    CHECK(one.assignments == told);
}

TEST_CASE("of two static members with one instance id the older is told and stays out") {
    Setup setup(GroupProtocol::kClassic);
    Reader& one = setup.join({.instance_id = "a"});
    CHECK(setup.share({&one}, {6}));
    Reader& two = setup.join({.instance_id = "a"});
    CHECK(setup.share({&two}, {6}));
    setup.pass(seconds(30));
    CHECK(one.held.empty() != one.held.contains("orders"));
    CHECK(one.losses == 1);
    REQUIRE(one.failures.size() == 1);
    CHECK(one.failures[0].code == protocol::ErrorCode::kFencedInstanceId);
    CHECK(two.losses == 0);
}

TEST_CASE("a member that is not polled gives its partitions up, and joins again when it is") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        Setup setup(protocol);
        const GroupMemberConfig strict{.poll_interval_max = seconds(20)};
        Reader& one = setup.join(strict);
        Reader& two = setup.join(strict);
        CHECK(setup.share({&one, &two}, {3, 3}));
        one.stop_polling();
        CHECK(setup.share({&two}, {6}));
        CHECK(one.losses == 1);
        one.is_polled = true;
        one.member.wake_up();
        CHECK(setup.share({&one, &two}, {3, 3}));
    }
}

TEST_CASE("what a member commits is the group's, and a stranger's commit is refused") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        Setup setup(protocol);
        Reader& one = setup.join();
        CHECK(setup.share({&one}, {6}));
        const Instant deadline = one.cluster.default_deadline();
        CHECK(setup
                  .wait(one.member.commit(
                      {{"orders", 1, Offset(7), ""}, {"orders", 4, Offset(9), ""}}, deadline))
                  .has_value());
        const auto found = setup.wait(committed_offsets(one.cluster, "g", deadline));
        REQUIRE(found.has_value());
        REQUIRE(found->size() == 2);
        CHECK(found->at(0).offset == Offset(7));
        CHECK(found->at(1).partition == 4);
        const auto refused = setup.wait(commit_offsets(
            one.cluster, "g", {.member_id = "stranger", .generation = one.member.generation()},
            {{"orders", 1, Offset(1), ""}}, deadline));
        REQUIRE(!refused.has_value());
        CHECK(refused.error().code == protocol::ErrorCode::kUnknownMemberId);
    }
}

TEST_CASE("a topic that appears after it was subscribed comes to the members") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        Setup setup(protocol, 2);
        Reader& one = setup.join();
        one.member.subscribe({"orders", "later"});
        CHECK(setup.share({&one}, {2}));
        setup.node.run([](Wire& wire) { return create_topic(wire, "later", 3); });
        CHECK(setup.holds(one, "later", 3));
    }
}

/// Names of the topics of which it holds something.
std::set<std::string> topics_of(const Reader& reader) {
    std::set<std::string> names;
    for (const auto& [topic, numbers] : reader.held) {
        if (!numbers.empty()) names.insert(topic);
    }
    return names;
}

TEST_CASE("a member with a pattern gets the topics that match it, and those that come later") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        CAPTURE(static_cast<int>(protocol));
        Setup setup(protocol, 2);
        setup.node.run([](Wire& wire) { return create_topic(wire, "old-orders", 1); });
        Reader& one = setup.join();
        one.member.subscribe_pattern("orders(-.*)?");
        CHECK(setup.holds(one, "orders", 2));
        setup.node.run([](Wire& wire) { return create_topic(wire, "orders-eu", 3); });
        CHECK(setup.holds(one, "orders-eu", 3));
        CHECK(topics_of(one) == std::set<std::string>{"orders", "orders-eu"});
        CHECK(one.failures.empty());
    }
}

TEST_CASE("members with different patterns and names share a group, each what it wants") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        CAPTURE(static_cast<int>(protocol));
        Setup setup(protocol, 2);
        setup.node.run([](Wire& wire) { return create_topic(wire, "payments", 3); });
        Reader& by_name = setup.join();
        Reader& by_pattern = setup.join();
        by_pattern.member.subscribe_pattern("pay.*");
        CHECK(setup.holds(by_pattern, "payments", 3));
        CHECK(setup.holds(by_name, "orders", 2));
        CHECK(topics_of(by_pattern) == std::set<std::string>{"payments"});
        // A name in the pattern's place, and back.
        by_pattern.member.subscribe({"orders"});
        CHECK(setup.share({&by_name, &by_pattern}, {1, 1}));
        CHECK(setup.holds(by_pattern, "payments", 0));
        by_pattern.member.subscribe_pattern(".*");
        CHECK(setup.holds(by_pattern, "payments", 3));
    }
}

TEST_CASE(
    "a member whose pattern matches nothing yet waits in the group; internal topics are none") {
    Setup setup(GroupProtocol::kClassic, 2);
    Reader& one = setup.join();
    CHECK(setup.share({&one}, {2}));  // The group's own topic exists by now.
    one.member.subscribe_pattern("later|__.*");
    CHECK(setup.holds(one, "orders", 0));
    setup.pass(seconds(20));
    CHECK(topics_of(one).empty());
    CHECK(one.member.generation() >= 0);
    setup.node.run([](Wire& wire) { return create_topic(wire, "later", 3); });
    CHECK(setup.holds(one, "later", 3));
    CHECK(one.losses == 0);
}

TEST_CASE("members outlive a restart of the broker") {
    for (const GroupProtocol protocol : {GroupProtocol::kClassic, GroupProtocol::kConsumer}) {
        Setup setup(protocol);
        Reader& one = setup.join();
        Reader& two = setup.join();
        CHECK(setup.share({&one, &two}, {3, 3}));
        setup.node.world.kill(setup.node.host);
        setup.node.world.restart(setup.node.host);
        setup.node.wait_for_start();
        Reader& three = setup.join();
        CHECK(setup.share({&one, &two, &three}, {2, 2, 2}));
    }
}

}  // namespace
}  // namespace dlog::client
