#include "metadata/placement.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "metadata/testing_cluster.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;

std::vector<consensus::Copyset> copysets_of(const TestCluster& cluster, std::size_t factor) {
    return Placer(cluster.state, 0).copysets(factor);
}

consensus::Copyset sorted(std::vector<NodeId> nodes) {
    std::ranges::sort(nodes);
    return nodes;
}

TEST_CASE("partitions lie on copysets, and replicas and preferred leaders are spread evenly") {
    TestCluster cluster;
    cluster.add_nodes(1, 9);
    CHECK(cluster.create("t", 60, 3).code == ErrorCode::kNone);
    CHECK(cluster.create("u", 30, 3).code == ErrorCode::kNone);
    const auto sets = copysets_of(cluster, 3);
    CHECK(sets.size() < 20);  // of 84 possible ones
    std::size_t leads = 0;
    for (const auto& [id, node] : cluster.state.nodes()) {
        const NodeLoad load = cluster.state.load_of(id);
        CHECK(load.replicas >= 20);
        CHECK(load.replicas <= 40);
        CHECK(load.preferred_leads >= 8);
        CHECK(load.preferred_leads <= 12);
        leads += load.preferred_leads;
    }
    CHECK(leads == 90);
    for (const std::string name : {"t", "u"}) {
        for (const PartitionState& partition : cluster.state.topic(name)->partitions) {
            CHECK(std::ranges::find(sets, sorted(partition.replicas)) != sets.end());
        }
    }
}

TEST_CASE("the replicas of a partition lie in different racks") {
    TestCluster cluster;
    for (std::int32_t id = 1; id <= 9; ++id) {
        CHECK(cluster.add_node(id, "rack" + std::to_string(id % 3)).code == ErrorCode::kNone);
    }
    CHECK(cluster.create("t", 50, 3).code == ErrorCode::kNone);
    for (const PartitionState& partition : cluster.state.topic("t")->partitions) {
        std::set<std::string> racks;
        for (const NodeId node : partition.replicas) {
            racks.insert(cluster.state.nodes().at(node).rack);
        }
        CHECK(racks.size() == 3);
    }
}

TEST_CASE("the same history gives the same copysets, and a new node leaves those that are") {
    TestCluster one;
    TestCluster other;
    one.add_nodes(1, 7);
    other.add_nodes(1, 7);
    const auto before = copysets_of(one, 3);
    CHECK(before == copysets_of(other, 3));
    // What lies on the nodes and how often they started makes no difference.
    CHECK(one.create("t", 20, 3).code == ErrorCode::kNone);
    one.add_nodes(2, 5);
    CHECK(copysets_of(one, 3) == before);
    one.add_nodes(8, 12);
    const auto after = copysets_of(one, 3);
    CHECK(after.size() > before.size());
    CHECK(std::equal(before.begin(), before.end(), after.begin()));
}

TEST_CASE("when a node goes another takes its place in its copysets, the others stay") {
    TestCluster cluster;
    cluster.add_nodes(1, 8);
    const auto before = copysets_of(cluster, 3);
    CHECK(cluster.ask(DrainNode{NodeId(4)}).code == ErrorCode::kNone);
    const auto after = copysets_of(cluster, 3);
    const auto has_4 = [](const consensus::Copyset& set) {
        return std::ranges::find(set, NodeId(4)) != set.end();
    };
    CHECK(std::ranges::none_of(after, has_4));
    for (const consensus::Copyset& set : before) {
        if (!has_4(set)) CHECK(std::ranges::find(after, set) != after.end());
    }
}

TEST_CASE("copysets begin anew when there were too few nodes in between") {
    TestCluster cluster;
    cluster.add_nodes(1, 3);
    CHECK(copysets_of(cluster, 3).size() == 1);
    CHECK(cluster.ask(DrainNode{NodeId(1)}).code == ErrorCode::kNone);
    CHECK(Placer(cluster.state, 0).node_count() == 2);
    CHECK(cluster.create("t", 1, 3).code == ErrorCode::kInvalidReplicationFactor);
    cluster.add_nodes(4, 4);
    CHECK(copysets_of(cluster, 3) == std::vector<std::vector<NodeId>>{nodes_of({2, 3, 4})});
}

TEST_CASE("a node that moves to another rack joins new copysets") {
    TestCluster cluster;
    for (std::int32_t id = 1; id <= 6; ++id) {
        CHECK(cluster.add_node(id, id % 2 == 0 ? "even" : "odd").code == ErrorCode::kNone);
    }
    CHECK(cluster.add_node(6, "odd").code == ErrorCode::kNone);
    CHECK(cluster.state.membership().size() == 8);
    for (const consensus::Copyset& set : copysets_of(cluster, 2)) {
        CHECK(cluster.state.nodes().at(set[0]).rack != cluster.state.nodes().at(set[1]).rack);
    }
}

TEST_CASE("a wider scatter makes more copysets") {
    TestCluster cluster;
    cluster.add_nodes(1, 12);
    const auto narrow = Placer(cluster.state, 0).copysets(3);
    const auto wide = Placer(cluster.state, 8).copysets(3);
    CHECK(wide.size() > narrow.size());
}

TEST_CASE("a replication factor beyond the nodes or beyond a group's voters is refused") {
    TestCluster cluster;
    cluster.add_nodes(1, 2);
    const Refusal refusal = cluster.create("t", 1, 3);
    CHECK(refusal.code == ErrorCode::kInvalidReplicationFactor);
    CHECK(refusal.message ==
          "The replication factor 3 is larger than the 2 nodes that can hold replicas.");
    cluster.add_nodes(3, 17);
    CHECK(cluster.create("t", 1, 16).code == ErrorCode::kNone);
    CHECK(cluster.create("u", 1, 17).code == ErrorCode::kInvalidReplicationFactor);
    std::vector<NodeId> all;
    for (const auto& [id, node] : cluster.state.nodes()) all.push_back(id);
    CHECK(cluster.create_on("u", all).code == ErrorCode::kInvalidReplicaAssignment);
    const TestCluster none;
    const auto nowhere = decide(none.state, CreateTopics{{{.name = "t"}}}, none.defaults,
                                std::vector{TopicId{1, 1}});
    CHECK(nowhere.reply[0].second.error().code == ErrorCode::kInvalidReplicationFactor);
}

TEST_CASE("the default replication factor holds for topics that leave it open") {
    TestCluster cluster;
    cluster.add_nodes(1, 5);
    cluster.defaults.replication_factor = 3;
    CHECK(cluster.create({.name = "t"}).code == ErrorCode::kNone);
    CHECK(cluster.partition("t").replicas.size() == 3);
    const auto reply = cluster.ask(CreatePartitions{{{.name = "t", .count = 4}}}, cluster.defaults);
    CHECK(reply[0].second.code == ErrorCode::kNone);
    CHECK(cluster.partition("t", 3).replicas.size() == 3);
}

TEST_CASE("all partitions of a manual assignment have the same number of replicas") {
    TestCluster cluster;
    cluster.add_nodes(1, 3);
    CHECK(cluster.create({.name = "t", .assignments = {{0, nodes_of({1, 2})}, {1, nodes_of({3})}}})
              .code == ErrorCode::kInvalidReplicaAssignment);
    CHECK(cluster.create_on("t", nodes_of({2, 1})).code == ErrorCode::kNone);
    CHECK(cluster.partition("t").preferred_leader() == NodeId(2));
    const auto more = [&](std::vector<NodeId> nodes) {
        return cluster
            .ask(CreatePartitions{{{.name = "t", .count = 2, .assignments = {{std::move(nodes)}}}}},
                 cluster.defaults)[0]
            .second.code;
    };
    CHECK(more(nodes_of({1})) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(more(nodes_of({1, 1})) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(more(nodes_of({1, 9})) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(more(nodes_of({1, 3})) == ErrorCode::kNone);
}

TEST_CASE("a partition that moves keeps whom it can, in their places") {
    TestCluster cluster;
    cluster.add_nodes(1, 6);
    CHECK(cluster.create("t", 12, 3).code == ErrorCode::kNone);
    CHECK(cluster.ask(DrainNode{NodeId(2)}).code == ErrorCode::kNone);
    Placer placer(cluster.state, 0);
    const auto& sets = placer.copysets(3);
    for (const PartitionState& partition : cluster.state.topic("t")->partitions) {
        const auto at = std::ranges::find(partition.replicas, NodeId(2));
        const std::vector<NodeId> moved = placer.move(partition.replicas);
        CHECK(std::ranges::find(sets, sorted(moved)) != sets.end());
        if (at == partition.replicas.end()) continue;
        std::size_t kept = 0;
        for (const NodeId node : partition.replicas) {
            kept += std::ranges::find(moved, node) != moved.end() ? 1U : 0U;
        }
        CHECK(kept == 2);
        if (at != partition.replicas.begin()) CHECK(moved.front() == partition.replicas.front());
    }
}

}  // namespace
}  // namespace dlog::metadata
