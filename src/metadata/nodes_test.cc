#include "metadata/nodes.h"

#include <doctest/doctest.h>

#include "metadata/testing_cluster.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;

RegisterNode registration(std::int32_t id, std::int32_t epoch) {
    return {.node = NodeId(id),
            .epoch = LeaderEpoch(epoch),
            .host = "host",
            .port = 9092,
            .cluster_id = "cluster",
            .rack = "r1",
            .peer_host = "peer",
            .peer_port = 9093,
            .feature_level = 2};
}

TEST_CASE("a registered node is known with its rack, its endpoints and what it understands") {
    TestCluster cluster;
    CHECK(cluster.ask(registration(1, 5)).code == ErrorCode::kNone);
    CHECK(cluster.state.cluster_id() == "cluster");
    CHECK(cluster.state.feature_level() == 2);
    CHECK(cluster.state.nodes().at(NodeId(1)) == NodeState{.epoch = LeaderEpoch(5),
                                                           .host = "host",
                                                           .port = 9092,
                                                           .rack = "r1",
                                                           .peer_host = "peer",
                                                           .peer_port = 9093,
                                                           .feature_level = 2});
}

TEST_CASE(
    "a registration that comes again changes nothing, an older or a different one is refused") {
    TestCluster cluster;
    CHECK(cluster.ask(registration(1, 5)).code == ErrorCode::kNone);
    const auto again = decide(cluster.state, registration(1, 5));
    CHECK(again.reply.code == ErrorCode::kNone);
    CHECK(again.records.empty());
    CHECK(cluster.ask(registration(1, 4)).code == ErrorCode::kStaleBrokerEpoch);
    RegisterNode other = registration(1, 5);
    other.host = "elsewhere";
    CHECK(cluster.ask(other).code == ErrorCode::kDuplicateBrokerRegistration);
    CHECK(cluster.ask(registration(1, 6)).code == ErrorCode::kNone);
    CHECK(cluster.state.epoch_of(NodeId(1)) == LeaderEpoch(6));
}

TEST_CASE("a node of another cluster, an older program and what makes no sense are refused") {
    TestCluster cluster;
    CHECK(cluster.ask(registration(1, 1)).code == ErrorCode::kNone);
    const auto refused = [&](auto change) {
        RegisterNode request = registration(2, 1);
        change(request);
        const Refusal refusal = cluster.ask(request);
        CHECK(!refusal.message.empty());
        CHECK(!cluster.state.nodes().contains(NodeId(2)));
        return refusal.code;
    };
    CHECK(refused([](auto& r) { r.cluster_id = "x"; }) == ErrorCode::kInconsistentClusterId);
    CHECK(refused([](auto& r) { r.feature_level = 1; }) == ErrorCode::kUnsupportedVersion);
    CHECK(refused([](auto& r) { r.node = NodeId(-1); }) == ErrorCode::kInvalidRegistration);
    CHECK(refused([](auto& r) { r.epoch = kNoEpoch; }) == ErrorCode::kInvalidRegistration);
    CHECK(refused([](auto& r) { r.port = 65536; }) == ErrorCode::kInvalidRegistration);
    CHECK(refused([](auto& r) { r.peer_port = -1; }) == ErrorCode::kInvalidRegistration);
    CHECK(refused([](auto& r) { r.peer_port = 0; }) == ErrorCode::kInvalidRegistration);
    CHECK(refused([](auto& r) { r.rack = std::string(256, 'r'); }) ==
          ErrorCode::kInvalidRegistration);
}

TEST_CASE(
    "a drained node takes no replicas, also after it has started again, until it is resumed") {
    TestCluster cluster;
    cluster.add_nodes(1, 3);
    CHECK(cluster.ask(DrainNode{NodeId(3)}).code == ErrorCode::kNone);
    CHECK(decide(cluster.state, DrainNode{NodeId(3)}).records.empty());
    CHECK(cluster.add_node(3).code == ErrorCode::kNone);
    CHECK(cluster.state.nodes().at(NodeId(3)).status == NodeStatus::kDraining);
    CHECK(cluster.create("t", 9, 2).code == ErrorCode::kNone);
    CHECK(cluster.state.load_of(NodeId(3)) == NodeLoad{});
    CHECK(cluster.create("u", 1, 3).code == ErrorCode::kInvalidReplicationFactor);
    CHECK(cluster.create_on("u", nodes_of({1, 3})).code == ErrorCode::kInvalidReplicaAssignment);
    CHECK(cluster.ask(ResumeNode{NodeId(3)}).code == ErrorCode::kNone);
    CHECK(decide(cluster.state, ResumeNode{NodeId(3)}).records.empty());
    CHECK(cluster.create("u", 1, 3).code == ErrorCode::kNone);
    CHECK(cluster.state.load_of(NodeId(3)).replicas == 1);
}

TEST_CASE("a node is not drained when the others are too few for what it holds") {
    TestCluster cluster;
    cluster.add_nodes(1, 3);
    CHECK(cluster.create("t", 1, 3).code == ErrorCode::kNone);
    const Refusal refusal = cluster.ask(DrainNode{NodeId(1)});
    CHECK(refusal.code == ErrorCode::kPolicyViolation);
    CHECK(refusal.message ==
          "Topic 't' has a replication factor of 3, but without node 1 only 2 nodes take replicas. "
          "Add a node first, or move the topic to fewer replicas.");
    cluster.add_nodes(4, 4);
    CHECK(cluster.ask(DrainNode{NodeId(1)}).code == ErrorCode::kNone);
    // Node 4 holds nothing, but what node 1 holds needs it.
    CHECK(cluster.ask(DrainNode{NodeId(4)}).code == ErrorCode::kPolicyViolation);
    CHECK(cluster.ask(DrainNode{NodeId(9)}).code == ErrorCode::kBrokerIdNotRegistered);
}

TEST_CASE("the last node that takes replicas is not drained, the last one not removed") {
    TestCluster cluster;
    cluster.add_nodes(1, 2);
    CHECK(cluster.ask(DrainNode{NodeId(1)}).code == ErrorCode::kNone);
    CHECK(cluster.ask(DrainNode{NodeId(2)}).code == ErrorCode::kPolicyViolation);
    CHECK(cluster.ask(RemoveNode{NodeId(1)}).code == ErrorCode::kNone);
    CHECK(cluster.ask(RemoveNode{NodeId(2)}).code == ErrorCode::kPolicyViolation);
}

TEST_CASE("a node goes when it holds nothing any more, and may come back") {
    TestCluster cluster;
    cluster.add_nodes(1, 2);
    CHECK(cluster.create_on("t", nodes_of({2})).code == ErrorCode::kNone);
    Refusal refusal = cluster.ask(RemoveNode{NodeId(2)});
    CHECK(refusal.code == ErrorCode::kPolicyViolation);
    CHECK(refusal.message ==
          "Node 2 holds 1 replica: drain it first, and wait until they have moved away.");
    CHECK(cluster.ask(DeleteTopics{{{.name = "t"}}})[0].refusal.code == ErrorCode::kNone);
    CHECK(cluster.ask(RemoveNode{NodeId(2)}).code == ErrorCode::kNone);
    CHECK(cluster.ask(RemoveNode{NodeId(2)}).code == ErrorCode::kBrokerIdNotRegistered);
    CHECK(cluster.ask(ResumeNode{NodeId(2)}).code == ErrorCode::kBrokerIdNotRegistered);
    CHECK(cluster.state.nodes().size() == 1);
    cluster.add_nodes(2, 2);
    CHECK(cluster.state.nodes().at(NodeId(2)).status == NodeStatus::kActive);
}

TEST_CASE("the feature level is raised to what every node understands, never lowered") {
    TestCluster cluster;
    CHECK(cluster.add_node(1, {}, 3).code == ErrorCode::kNone);
    CHECK(cluster.add_node(2, {}, 5).code == ErrorCode::kNone);
    CHECK(cluster.state.feature_level() == 3);
    CHECK(common_feature_level(cluster.state) == 3);
    CHECK(cluster.ask(UpgradeFeature{4}).code == ErrorCode::kInvalidUpdateVersion);
    CHECK(cluster.ask(UpgradeFeature{2}).code == ErrorCode::kInvalidUpdateVersion);
    CHECK(decide(cluster.state, UpgradeFeature{3}).records.empty());
    CHECK(cluster.add_node(1, {}, 5).code == ErrorCode::kNone);
    CHECK(cluster.ask(UpgradeFeature{5}).code == ErrorCode::kNone);
    CHECK(cluster.state.feature_level() == 5);
    FeatureLevelRecord lower;
    lower.level = 1;
    cluster.state.apply(Record(lower));
    CHECK(cluster.state.feature_level() == 5);
}

TEST_CASE("a node whose status a later program wrote takes no replicas") {
    TestCluster cluster;
    cluster.add_nodes(1, 2);
    NodeRecord record = node_record(NodeId(2), cluster.state.nodes().at(NodeId(2)));
    record.status = 9;
    cluster.state.apply(Record(record));
    CHECK(cluster.create("t", 1, 2).code == ErrorCode::kInvalidReplicationFactor);
}

}  // namespace
}  // namespace dlog::metadata
