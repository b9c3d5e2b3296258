#include "metadata/reassignment.h"

#include <doctest/doctest.h>

#include "metadata/reassignment_plan.h"
#include "metadata/testing_cluster.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;

struct MovingCluster : TestCluster {
    MovingCluster() {
        add_nodes(1, 6);
        CHECK(create_on("t", nodes_of({1, 2, 3})).code == ErrorCode::kNone);
    }
    ErrorCode move_to(std::vector<std::int32_t> nodes) {
        return ask(AlterPartitionReassignments{{{.topic = "t", .replicas = nodes_of(nodes)}}})[0]
            .code;
    }
    ErrorCode give_up() {
        return ask(AlterPartitionReassignments{{{.topic = "t", .replicas = std::nullopt}}})[0].code;
    }
    ErrorCode finish(std::vector<std::int32_t> nodes) {
        return finish(std::move(nodes), partition("t").revision);
    }
    ErrorCode finish(std::vector<std::int32_t> nodes, std::int32_t revision) {
        return ask(FinishReassignment{.topic = state.topic("t")->id,
                                      .replicas = nodes_of(std::move(nodes)),
                                      .revision = revision})
            .code;
    }
    [[nodiscard]] std::vector<OngoingReassignment> list() const {
        return list_reassignments(state, std::nullopt);
    }
};

TEST_CASE("a move names who is wanted, and is finished when the group has them") {
    MovingCluster cluster;
    CHECK(cluster.move_to({4, 1, 5}) == ErrorCode::kNone);
    const PartitionState moving = cluster.partition("t");
    CHECK(moving.replicas == nodes_of({1, 2, 3}));
    CHECK(moving.target_replicas == nodes_of({4, 1, 5}));
    CHECK(moving.holders() == nodes_of({4, 1, 5, 2, 3}));
    CHECK(moving.revision == 1);
    CHECK(cluster.list() == std::vector{OngoingReassignment{.topic = "t",
                                                            .replicas = nodes_of({4, 1, 5, 2, 3}),
                                                            .adding = nodes_of({4, 5}),
                                                            .removing = nodes_of({2, 3})}});
    CHECK(cluster.state.load_of(NodeId(4)) == NodeLoad{.replicas = 1, .preferred_leads = 1});
    CHECK(cluster.state.load_of(NodeId(3)) == NodeLoad{.replicas = 1});
    CHECK(cluster.finish({1, 2, 3}) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(cluster.finish({1, 4, 5}) == ErrorCode::kNone);
    CHECK(cluster.partition("t") == PartitionState{.replicas = nodes_of({4, 1, 5}), .revision = 2});
    CHECK(cluster.list().empty());
    CHECK(cluster.state.load_of(NodeId(3)) == NodeLoad{});
    // The report comes again.
    CHECK(cluster.finish({1, 4, 5}, 1) == ErrorCode::kNone);
    CHECK(cluster.partition("t").revision == 2);
}

TEST_CASE("a move that is given up leads back, and whoever may vote stays known until then") {
    MovingCluster cluster;
    CHECK(cluster.give_up() == ErrorCode::kNoReassignmentInProgress);
    CHECK(cluster.move_to({1, 2, 4}) == ErrorCode::kNone);
    CHECK(cluster.give_up() == ErrorCode::kNone);
    const PartitionState back = cluster.partition("t");
    CHECK(back.wanted() == nodes_of({1, 2, 3}));
    CHECK(back.leaving_replicas == nodes_of({4}));
    CHECK(back.is_moving());
    CHECK(cluster.list().empty());
    CHECK(cluster.give_up() == ErrorCode::kNoReassignmentInProgress);
    CHECK(cluster.ask(RemoveNode{NodeId(4)}).code == ErrorCode::kPolicyViolation);
    CHECK(cluster.finish({1, 2, 4}) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(cluster.finish({1, 2, 3}) == ErrorCode::kNone);
    CHECK(!cluster.partition("t").is_moving());
    CHECK(cluster.ask(RemoveNode{NodeId(4)}).code == ErrorCode::kNone);
}

TEST_CASE("a move may be sent elsewhere on its way") {
    MovingCluster cluster;
    CHECK(cluster.move_to({1, 2, 4}) == ErrorCode::kNone);
    CHECK(cluster.move_to({1, 2, 5}) == ErrorCode::kNone);
    CHECK(cluster.partition("t").leaving_replicas == nodes_of({4}));
    CHECK(cluster.list()[0].removing == nodes_of({3, 4}));
    CHECK(cluster.move_to({2, 4, 6}) == ErrorCode::kNone);
    CHECK(cluster.partition("t").holders() == nodes_of({2, 4, 6, 1, 3, 5}));
    CHECK(cluster.finish({2, 4, 6}) == ErrorCode::kNone);
    CHECK(cluster.partition("t").holders() == nodes_of({2, 4, 6}));
}

TEST_CASE("a report that was made for an earlier revision does not finish a later move") {
    MovingCluster cluster;
    CHECK(cluster.move_to({1, 2, 4}) == ErrorCode::kNone);
    CHECK(cluster.give_up() == ErrorCode::kNone);
    CHECK(cluster.move_to({1, 2, 4}) == ErrorCode::kNone);
    CHECK(cluster.finish({1, 2, 4}, 1) == ErrorCode::kInvalidUpdateVersion);
    CHECK(cluster.finish({1, 2, 4}, 3) == ErrorCode::kNone);
}

TEST_CASE("another order of the same replicas needs no move") {
    MovingCluster cluster;
    CHECK(cluster.move_to({3, 1, 2}) == ErrorCode::kNone);
    CHECK(cluster.partition("t") == PartitionState{.replicas = nodes_of({3, 1, 2}), .revision = 1});
    CHECK(decide(cluster.state,
                 AlterPartitionReassignments{{{.topic = "t", .replicas = nodes_of({3, 1, 2})}}})
              .records.empty());
    CHECK(cluster.state.load_of(NodeId(3)).preferred_leads == 1);
    CHECK(cluster.state.load_of(NodeId(1)).preferred_leads == 0);
}

TEST_CASE("each rule on a reassignment has Kafka's error code") {
    MovingCluster cluster;
    const auto refused = [&](Reassignment asked, bool may_change_factor = true) {
        const auto decision = decide(
            cluster.state, AlterPartitionReassignments{{std::move(asked)}, may_change_factor});
        CHECK(decision.records.empty());
        CHECK(!decision.reply[0].message.empty());
        return decision.reply[0].code;
    };
    const auto one = nodes_of({1});
    CHECK(refused({"none", 0, one}) == ErrorCode::kUnknownTopicOrPartition);
    CHECK(refused({"t", 1, one}) == ErrorCode::kUnknownTopicOrPartition);
    CHECK(refused({"t", -1, one}) == ErrorCode::kUnknownTopicOrPartition);
    CHECK(refused({"t", 1, std::nullopt}) == ErrorCode::kUnknownTopicOrPartition);
    CHECK(refused({"t", 0, nodes_of({})}) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(refused({"t", 0, nodes_of({4, 4})}) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(refused({"t", 0, nodes_of({1, 9})}) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(refused({"t", 0, one}, false) == ErrorCode::kInvalidReplicationFactor);
    CHECK(cluster.ask(DrainNode{NodeId(6)}).code == ErrorCode::kNone);
    CHECK(refused({"t", 0, nodes_of({1, 6})}) == ErrorCode::kInvalidReplicaAssignment);
    const auto twice = decide(
        cluster.state, AlterPartitionReassignments{{{"t", 0, one}, {"t", 0, nodes_of({2})}}});
    CHECK(twice.reply[0].code == ErrorCode::kNone);
    CHECK(twice.reply[1].code == ErrorCode::kInvalidRequest);
    CHECK(twice.records.size() == 1);
    const FinishReassignment unknown{.topic = TopicId{1, 1}, .replicas = one};
    CHECK(cluster.ask(unknown).code == ErrorCode::kUnknownTopicId);
    const FinishReassignment beyond{.topic = cluster.state.topic("t")->id, .partition = 4};
    CHECK(cluster.ask(beyond).code == ErrorCode::kUnknownTopicOrPartition);
}

TEST_CASE("a topic does not get fewer replicas than its write quorum") {
    MovingCluster cluster;
    NewTopic topic{
        .name = "q", .assignments = {{0, nodes_of({1, 2, 3})}}, .configs = {{"write.quorum", "3"}}};
    CHECK(cluster.create(std::move(topic)).code == ErrorCode::kNone);
    const auto move = [&](std::vector<std::int32_t> nodes) {
        return cluster
            .ask(AlterPartitionReassignments{
                {{.topic = "q", .replicas = nodes_of(std::move(nodes))}}})[0]
            .code;
    };
    CHECK(move({1, 4}) == ErrorCode::kInvalidReplicaAssignment);
    CHECK(move({1, 4, 5}) == ErrorCode::kNone);
}

TEST_CASE("listing leaves out what is unknown and what does not move") {
    MovingCluster cluster;
    CHECK(cluster.create_on("still", nodes_of({1})).code == ErrorCode::kNone);
    CHECK(cluster.move_to({4, 5, 6}) == ErrorCode::kNone);
    CHECK(cluster.list().size() == 1);
    const std::vector<ListedTopic> asked{
        {"none", {0}}, {"still", {0}}, {"t", {-1, 0, 1, INT32_MAX}}};
    CHECK(list_reassignments(cluster.state, asked) == cluster.list());
    CHECK(list_reassignments(cluster.state, std::vector<ListedTopic>{}).empty());
}

/// Carries the plan out, as the groups would.
void carry_out(TestCluster& cluster, const std::vector<Reassignment>& moves) {
    for (const Refusal& refusal : cluster.ask(AlterPartitionReassignments{moves})) {
        CHECK(refusal.code == ErrorCode::kNone);
    }
    for (const Reassignment& move : moves) {
        const TopicPtr topic = cluster.state.topic(move.topic);
        const auto number = static_cast<std::size_t>(move.partition);
        CHECK(cluster
                  .ask(FinishReassignment{.topic = topic->id,
                                          .partition = move.partition,
                                          .replicas = *move.replicas,
                                          .revision = topic->partitions[number].revision})
                  .code == ErrorCode::kNone);
    }
}

TEST_CASE("draining moves every replica away, one a partition, and leaves the others balanced") {
    TestCluster cluster;
    for (std::int32_t id = 1; id <= 8; ++id) {
        CHECK(cluster.add_node(id, "rack" + std::to_string(id % 4)).code == ErrorCode::kNone);
    }
    CHECK(cluster.create("t", 40, 3).code == ErrorCode::kNone);
    CHECK(cluster.create("u", 20, 2).code == ErrorCode::kNone);
    CHECK(cluster.ask(DrainNode{NodeId(5)}).code == ErrorCode::kNone);
    const std::size_t held = cluster.state.load_of(NodeId(5)).replicas;
    REQUIRE(held > 10);
    const DrainPlan first = plan_drain(cluster.state, NodeId(5), 0, 10);
    CHECK(first.moves.size() == 10);
    CHECK(first.left == held - 10);
    carry_out(cluster, first.moves);
    const DrainPlan rest = plan_drain(cluster.state, NodeId(5), 0, SIZE_MAX);
    CHECK(rest.moves.size() == held - 10);
    CHECK(rest.left == 0);
    CHECK(rest.stuck.empty());
    for (const Reassignment& move : rest.moves) {
        std::set<std::string> racks;
        for (const NodeId node : *move.replicas) {
            racks.insert(cluster.state.nodes().at(node).rack);
        }
        CHECK(racks.size() == move.replicas->size());
    }
    carry_out(cluster, rest.moves);
    CHECK(plan_drain(cluster.state, NodeId(5), 0, SIZE_MAX).moves.empty());
    for (const auto& [id, node] : cluster.state.nodes()) {
        const NodeLoad load = cluster.state.load_of(id);
        if (id == NodeId(5)) {
            CHECK(load == NodeLoad{});
            continue;
        }
        CHECK(load.replicas >= 15);
        CHECK(load.replicas <= 32);
        CHECK(load.preferred_leads >= 5);
        CHECK(load.preferred_leads <= 13);
    }
    CHECK(cluster.ask(RemoveNode{NodeId(5)}).code == ErrorCode::kNone);
}

TEST_CASE("draining leaves alone what moves away already, and turns what moves there") {
    MovingCluster cluster;
    CHECK(cluster.move_to({1, 2, 4}) == ErrorCode::kNone);
    CHECK(cluster.ask(DrainNode{NodeId(3)}).code == ErrorCode::kNone);
    CHECK(plan_drain(cluster.state, NodeId(3), 0, SIZE_MAX).moves.empty());
    CHECK(cluster.ask(DrainNode{NodeId(4)}).code == ErrorCode::kNone);
    const DrainPlan plan = plan_drain(cluster.state, NodeId(4), 0, SIZE_MAX);
    REQUIRE(plan.moves.size() == 1);
    CHECK(plan.moves[0].replicas->size() == 3);
    carry_out(cluster, plan.moves);
    CHECK(cluster.state.load_of(NodeId(3)) == NodeLoad{});
    CHECK(cluster.state.load_of(NodeId(4)) == NodeLoad{});
}

TEST_CASE("what has nowhere to go is named") {
    MovingCluster cluster;
    CHECK(cluster.create_on("small", nodes_of({1})).code == ErrorCode::kNone);
    for (std::int32_t id = 4; id <= 6; ++id) {
        CHECK(cluster.ask(DrainNode{NodeId(id)}).code == ErrorCode::kNone);
    }
    NodeState draining = cluster.state.nodes().at(NodeId(1));
    draining.status = NodeStatus::kDraining;
    cluster.state.apply(Record(node_record(NodeId(1), draining)));
    const DrainPlan plan = plan_drain(cluster.state, NodeId(1), 0, SIZE_MAX);
    CHECK(plan.stuck == std::vector<PartitionName>{{"t", 0}});
    REQUIRE(plan.moves.size() == 1);
    CHECK(plan.moves[0].topic == "small");
}

TEST_CASE("preferred leaders are listed by node") {
    MovingCluster cluster;
    CHECK(cluster.create_on("u", nodes_of({2})).code == ErrorCode::kNone);
    CHECK(cluster.move_to({2, 3, 4}) == ErrorCode::kNone);
    CHECK(preferred_leaders(cluster.state) ==
          std::map<NodeId, std::vector<PartitionName>>{{NodeId(2), {{"t", 0}, {"u", 0}}}});
}

}  // namespace
}  // namespace dlog::metadata
