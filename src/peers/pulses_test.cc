#include <doctest/doctest.h>

#include "peers/testing_nodes.h"

namespace dlog::peers {
namespace {

using testing::Nodes;

TEST_CASE("all cores know of a support before the node that is supported counts on it") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        Nodes nodes(seed, 2, 3);
        // Telling takes long.
        nodes.world.options().core.hop = {.least = microseconds(1), .most = milliseconds(30)};
        int checked = 0;
        nodes.world.on_event([&] {
            for (const std::int32_t node : {1, 2}) {
                const std::int32_t other = 3 - node;
                if (!nodes.host(node).is_up() || !nodes.host(other).is_up()) continue;
                const raft::PeerState& counted_on = nodes.on(node).links->peers().of(NodeId(other));
                if (counted_on.granted == 0) continue;
                if (counted_on.incarnation != nodes.host(other).life()) continue;
                for (std::uint32_t core = 0; core < 3; ++core) {
                    const raft::PeerState& given =
                        nodes.on(other, core).links->peers().of(NodeId(node));
                    REQUIRE(given.support >= counted_on.granted);
                    ++checked;
                }
            }
        });
        REQUIRE(nodes.meet());
        for (int round = 0; round < 4; ++round) {
            nodes.world.run_for(milliseconds(500));
            nodes.cut(1, 2, true);
            nodes.world.run_for(seconds(1));
            nodes.cut(1, 2, false);
            REQUIRE(nodes.meet());
            if (round != 1) continue;
            nodes.world.crash(nodes.host(2));
            nodes.world.run_for(seconds(1));
            nodes.world.restart(nodes.host(2));
            REQUIRE(nodes.meet());
        }
        CHECK(checked > 1'000);
    }
}

TEST_CASE("every core's handler hears that a node is lost and that it is back, and leases go on") {
    Nodes nodes(1, 3, 2);
    REQUIRE(nodes.meet());
    nodes.world.run_for(milliseconds(500));
    for (std::uint32_t core = 0; core < 2; ++core) nodes.on(1, core).changes.clear();
    nodes.world.run_for(seconds(5));
    for (std::uint32_t core = 0; core < 2; ++core) {
        CHECK(nodes.on(1, core).changes.empty());
        const raft::PeerState& state = nodes.on(1, core).links->peers().of(NodeId(2));
        CHECK(state.granted_until > nodes.world.now());
    }
    nodes.world.crash(nodes.host(2));
    CHECK(nodes.world.run_until(
        [&] {
            return !nodes.on(1, 0).links->peers().of(NodeId(2)).is_supported &&
                   !nodes.on(1, 1).links->peers().of(NodeId(2)).is_supported;
        },
        milliseconds(450)));
    for (std::uint32_t core = 0; core < 2; ++core) {
        CHECK(nodes.on(1, core).changes == std::vector{NodeId(2)});
    }
    nodes.world.restart(nodes.host(2));
    REQUIRE(nodes.meet());
    nodes.world.run_for(milliseconds(200));
    CHECK(nodes.on(1, 1).links->peers().of(NodeId(2)).incarnation == 2);
    const Metrics metrics = nodes.metrics(1);
    for (const std::int32_t node : {2, 3}) {
        const NodeMetrics& of_node = metrics.nodes.at(NodeId(node));
        CHECK(of_node.pulse_round_trip > Duration{});
        CHECK(of_node.pulse_round_trip < milliseconds(200));
        CHECK(of_node.pulse_age >= Duration{});
        CHECK(of_node.pulse_age < milliseconds(200));
    }
    CHECK(metrics.nodes.at(NodeId(2)).connect_failures > 0);
    CHECK(metrics.nodes.at(NodeId(2)).connects >= 2);
}

TEST_CASE("a run of a seed is the same run again") {
    const auto run = [] {
        Nodes nodes(11, 3, 2);
        CHECK(nodes.meet());
        for (std::int64_t number = 0; number < 50; ++number) {
            nodes.send(1, 2, number, static_cast<std::int32_t>(number % 4));
        }
        nodes.world.run_for(seconds(1));
        return nodes.world.hash();
    };
    CHECK(run() == run());
}

TEST_CASE("a stop ends whatever is under way: dials, greetings, transfers, answers") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Nodes nodes(seed, 3, 2);
        nodes.world.run_for(microseconds(static_cast<std::int64_t>(seed * seed * 300)));
        if (seed % 4 == 0) nodes.cut(1, 2, true);
        nodes.run_on(1, 1, [&] {
            for (std::int32_t to = 2; to <= 3; ++to) {
                nodes.on(1, 1).links->send(NodeId(to), testing::group_of(0), testing::numbered(1),
                                           {Buffer::allocate(8 << 20)});
                nodes.on(1, 1).links->notify(NodeId(to), 1, {});
            }
        });
        nodes.world.run_for(microseconds(static_cast<std::int64_t>(seed * 100)));
        CHECK(nodes.stop(1));
        // A connect that was given up ends by itself.
        nodes.world.run_for(seconds(40));
        CHECK(nodes.host(1).running_coroutines() == 0);
        CHECK(nodes.stop(2));
        CHECK(nodes.stop(3));
    }
}

}  // namespace
}  // namespace dlog::peers
