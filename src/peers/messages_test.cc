#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "peers/testing_nodes.h"

namespace dlog::peers {
namespace {

using testing::Heard;
using testing::Nodes;

Buffer filled(std::size_t size, std::uint8_t with) {
    Buffer bytes = Buffer::allocate(size);
    std::fill_n(bytes.mutable_data(), size, with);
    return bytes;
}

std::vector<std::int64_t> up_to(std::int64_t count) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t number = 0; number < count; ++number) numbers.push_back(number);
    return numbers;
}

TEST_CASE("messages reach the core that owns their group, in the order in which they were sent") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Nodes nodes(seed, 2, 3);
        REQUIRE(nodes.meet());
        for (std::int64_t number = 0; number < 200; ++number) {
            for (std::int32_t partition = 0; partition < 4; ++partition) {
                nodes.send(1, 2, number, partition);
            }
            if (number % 7 == 0) nodes.world.run_for(microseconds(50));
        }
        nodes.world.run_for(seconds(1));
        for (std::int32_t partition = 0; partition < 4; ++partition) {
            const auto core = static_cast<std::uint32_t>(partition) % 3;
            CHECK(nodes.on(2, core).numbers(partition) == up_to(200));
        }
        CHECK(nodes.on(1).resets.empty());
    }
}

TEST_CASE(
    "what is sent in one turn travels in one frame, records beside it, uncopied at their end") {
    Nodes nodes(1, 2);
    REQUIRE(nodes.meet());
    nodes.send(1, 2, 0);
    nodes.world.run_for(milliseconds(100));
    const std::uint64_t before = nodes.metrics(2).nodes[NodeId(1)].frames_received;
    const std::uint64_t pulses = nodes.metrics(2).nodes[NodeId(1)].pulses_received;
    nodes.run_on(1, 0, [&] {
        for (std::int64_t number = 1; number < 50; ++number) {
            nodes.on(1).links->send(NodeId(2), testing::group_of(0), testing::numbered(number),
                                    {filled(100, static_cast<std::uint8_t>(number)),
                                     filled(17, static_cast<std::uint8_t>(number))});
        }
    });
    nodes.world.run_for(milliseconds(10));
    const NodeMetrics metrics = nodes.metrics(2).nodes[NodeId(1)];
    CHECK(metrics.messages_received == 50);
    CHECK(metrics.frames_received - before == 1 + metrics.pulses_received - pulses);
    const std::vector<Heard>& heard = nodes.on(2).heard;
    REQUIRE(heard.size() == 50);
    for (std::size_t at = 1; at < 50; ++at) {
        CHECK(heard[at].records.shares_block_with(heard[1].records));
        const Buffer expected = filled(117, static_cast<std::uint8_t>(at));
        CHECK(std::ranges::equal(heard[at].records.view(), expected.view()));
    }
}

TEST_CASE("after a partition the nodes find each other, and who sent has heard that much is lost") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        Nodes nodes(seed, 2, 2);
        REQUIRE(nodes.meet());
        nodes.send(1, 2, 1);
        nodes.world.run_for(milliseconds(100));
        nodes.cut(1, 2, true);
        nodes.send(1, 2, 2);
        nodes.world.run_for(seconds(3));
        CHECK(!nodes.hears(1, 2));
        CHECK(!nodes.hears(2, 1));
        CHECK(nodes.on(1).resets[NodeId(2)] >= 1);
        nodes.send(1, 2, 3);
        nodes.world.run_for(seconds(3));
        nodes.cut(1, 2, false);
        CHECK(nodes.world.run_until([&] { return nodes.all_hear(); }, seconds(3)));
        nodes.send(1, 2, 4);
        CHECK(
            nodes.world.run_until([&] { return nodes.on(2).numbers(0).back() == 4; }, seconds(3)));
        const std::vector<std::int64_t> numbers = nodes.on(2).numbers(0);
        CHECK(std::ranges::is_sorted(numbers));
        CHECK(std::set(numbers.begin(), numbers.end()).size() == numbers.size());
    }
}

TEST_CASE("every core knows a new process before it handles what that process sends") {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        Nodes nodes(seed, 3, 3);
        REQUIRE(nodes.meet());
        for (int life = 2; life < 5; ++life) {
            nodes.send(1, 2, life - 1, 2);
            nodes.world.run_for(milliseconds(50));
            const bool loses_power = seed % 2 == 0;
            if (loses_power) {
                nodes.world.crash(nodes.host(1));
            } else {
                nodes.world.kill(nodes.host(1));
            }
            nodes.world.run_for(milliseconds(seed % 3 == 0 ? 1 : 500));
            nodes.world.restart(nodes.host(1));
            nodes.world.run_for(milliseconds(2));
            for (std::int32_t partition = 0; partition < 3; ++partition) {
                nodes.send(1, 2, life, partition);
                nodes.send(1, 3, life, partition, {}, 1);
            }
            REQUIRE(nodes.meet());
            nodes.send(1, 2, life, 2);
            nodes.world.run_for(seconds(2));
        }
        int count = 0;
        for (std::int32_t node = 2; node <= 3; ++node) {
            for (std::uint32_t core = 0; core < 3; ++core) {
                for (const Heard& one : nodes.on(node, core).heard) {
                    INFO("seed ", seed, " node ", node, " core ", core, " partition ",
                         one.partition);
                    CHECK(one.incarnation >= static_cast<std::uint64_t>(one.number));
                    ++count;
                }
            }
        }
        CHECK(count >= 6);
    }
}

TEST_CASE("a receiver that stalls holds up its sender: bounded here, bounded there, then told") {
    Nodes nodes(3, 2, 2, [](Config& config) {
        config.queue_bytes_max = 4 << 20;
        config.ahead_bytes_max = 1 << 20;
    });
    REQUIRE(nodes.meet());
    nodes.send(1, 2, 0, 1);
    nodes.world.run_for(milliseconds(50));
    Links& links = *nodes.on(1).links;
    const auto queued = [&] { return links.metrics().nodes[NodeId(2)].queued_bytes; };
    std::uint64_t most_queued = 0;
    std::uint64_t most_ahead = 0;
    nodes.world.on_event([&] {
        most_queued = std::max(most_queued, queued());
        std::uint64_t ahead = 0;
        for (std::uint32_t core = 0; core < 2; ++core) {
            ahead += nodes.on(2, core).links->metrics().nodes[NodeId(1)].ahead_bytes;
        }
        most_ahead = std::max(most_ahead, ahead);
    });
    const auto send_many = [&](std::int64_t first, std::int64_t count) {
        nodes.run_on(1, 0, [&links, first, count] {
            for (std::int64_t number = first; number < first + count; ++number) {
                links.send(NodeId(2), testing::group_of(1), testing::numbered(number),
                           {filled(256 << 10, 1)});
            }
        });
    };
    send_many(1, 15);
    REQUIRE(nodes.world.run_until([&] { return queued() < 15 * (256 << 10); }, seconds(1)));
    // From here on the way between two cores takes long: nothing is taken.
    nodes.world.options().core.hop = {.least = milliseconds(200), .most = milliseconds(200)};
    nodes.world.run_for(milliseconds(150));
    CHECK(nodes.on(2, 1).heard.size() == 1);
    CHECK(queued() > 0);
    send_many(16, 16);
    CHECK(queued() == 0);
    nodes.world.run_for(seconds(1));
    nodes.world.on_event({});
    nodes.world.options().core.hop = {.least = microseconds(1), .most = microseconds(20)};
    CHECK(most_queued > 2 << 20);
    CHECK(most_queued <= 4 << 20);
    CHECK(most_ahead > 1 << 20);
    CHECK(most_ahead <= 3 << 20);
    CHECK(nodes.on(1).resets[NodeId(2)] >= 1);
    CHECK(links.metrics().nodes[NodeId(2)].messages_dropped > 0);
    nodes.world.run_for(seconds(3));
    nodes.send(1, 2, 100, 1);
    CHECK(
        nodes.world.run_until([&] { return nodes.on(2, 1).numbers(1).back() == 100; }, seconds(5)));
}

TEST_CASE("pulses come in time while many megabytes of records are on their way") {
    Nodes nodes(5, 2, 1, [](Config& config) { config.queue_bytes_max = 256 << 20; });
    nodes.world.options().net.bytes_per_second = 10 << 20;
    REQUIRE(nodes.meet());
    nodes.run_on(1, 0, [&] {
        for (std::int64_t number = 0; number < 16; ++number) {
            nodes.on(1).links->send(NodeId(2), testing::group_of(0), testing::numbered(number),
                                    {filled(4 << 20, 1)});
        }
    });
    // The first pulses bring changes; after those nothing may.
    nodes.world.run_for(milliseconds(300));
    REQUIRE(nodes.on(2).heard.size() < 8);
    nodes.on(1).changes.clear();
    nodes.on(2).changes.clear();
    CHECK(nodes.world.run_until([&] { return nodes.on(2).heard.size() == 16; }, seconds(60)));
    CHECK(nodes.on(1).changes.empty());
    CHECK(nodes.on(2).changes.empty());
    CHECK(nodes.on(1).resets.empty());
}

TEST_CASE("over links that break at random nothing comes twice or out of order, and loss is told") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Nodes nodes(seed, 2, 2);
        REQUIRE(nodes.meet());
        nodes.world.options().net.reset = {.one_in = 100};
        for (std::int64_t number = 0; number < 300; ++number) {
            nodes.send(1, 2, number, 1, {filled(3'000, 1)});
            nodes.world.run_for(milliseconds(2));
        }
        nodes.world.heal();
        nodes.world.run_for(seconds(3));
        nodes.send(1, 2, 300, 1);
        nodes.world.run_for(seconds(3));
        const std::vector<std::int64_t> numbers = nodes.on(2, 1).numbers(1);
        REQUIRE(!numbers.empty());
        CHECK(numbers.back() == 300);
        CHECK(std::ranges::adjacent_find(numbers, std::greater_equal()) == numbers.end());
        CHECK((numbers.size() == 301 || nodes.on(1).resets[NodeId(2)] > 0));
    }
}

TEST_CASE(
    "what is sent to nobody is counted, and nothing goes out before the start or after a stop") {
    Nodes nodes(1, 2);
    nodes.on(1).links->send(NodeId(2), testing::group_of(0), testing::numbered(1), {});
    REQUIRE(nodes.meet());
    nodes.send(1, 9, 2);
    CHECK(nodes.metrics(1).messages_to_nobody == 1);
    nodes.send(1, 2, 3);
    nodes.world.run_for(seconds(1));
    CHECK(nodes.on(2).numbers(0) == std::vector<std::int64_t>{3});
    CHECK(nodes.stop(1));
    nodes.on(1).resets.clear();
    nodes.send(1, 2, 4);
    nodes.world.run_for(seconds(5));
    CHECK(nodes.on(2).numbers(0) == std::vector<std::int64_t>{3});
    CHECK(nodes.on(1).resets.empty());
    CHECK(nodes.host(1).running_coroutines() == 0);
    CHECK(!nodes.hears(2, 1));
}

}  // namespace
}  // namespace dlog::peers
