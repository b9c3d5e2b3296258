#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "metadata/alter_configs.h"
#include "metadata/loss_report.h"
#include "metadata/records.h"
#include "metadata/testing_cluster.h"
#include "metadata/topic_config.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;

TEST_CASE("records that an earlier program wrote are read: nodes alone, partitions with a leader") {
    const std::vector<std::uint8_t> node{1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 2, 'h', 0, 0, 0x23, 0x84, 0};
    std::vector<std::uint8_t> topic{2, 0, 2, 't'};
    std::vector<std::uint8_t> partition{3, 0};
    for (auto* bytes : {&topic, &partition}) {
        bytes->insert(bytes->end(), 15, 0);
        bytes->push_back(9);
    }
    topic.push_back(0);
    for (const std::uint8_t byte : {0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0}) {
        partition.push_back(byte);
    }
    State state;
    for (const auto& bytes : {node, topic, partition}) {
        const auto record = decode_record(bytes);
        REQUIRE(record.has_value());
        state.apply(*record);
    }
    CHECK(state.nodes().at(NodeId(1)) ==
          NodeState{.epoch = LeaderEpoch(5), .host = "h", .port = 9092});
    CHECK(state.feature_level() == 0);
    REQUIRE(state.partition_count() == 1);
    CHECK(state.topic("t")->partitions[0] == PartitionState{.replicas = nodes_of({1})});
    CHECK(state.load_of(NodeId(1)) == NodeLoad{.replicas = 1, .preferred_leads = 1});
}

TEST_CASE("a write quorum needs a cluster, and as many replicas") {
    TestCluster cluster;
    cluster.add_nodes(1, 3);
    const auto create = [&](std::string quorum) {
        return cluster.create({.name = "t",
                               .partition_count = 2,
                               .replication_factor = 3,
                               .configs = {{"write.quorum", std::move(quorum)}}});
    };
    for (const char* bad : {"0", "4", "17", "-1", "all", "", "1.5"}) {
        CHECK(create(bad).code == ErrorCode::kInvalidConfig);
    }
    cluster.defaults.is_clustered = false;
    CHECK(create("majority").code == ErrorCode::kInvalidConfig);
    CHECK(create("1").message == "Configuration write.quorum needs a cluster.");
    cluster.defaults.is_clustered = true;
    CHECK(create("2").code == ErrorCode::kNone);
    const ConfigMap& configs = cluster.state.topic("t")->configs;
    CHECK(effective_topic_config(configs, {}).write_quorum == 2);
    CHECK(effective_topic_config({{"write.quorum", "majority"}}, {}).write_quorum == 0);
    CHECK(effective_topic_config({}, {}).write_quorum == 0);
}

TEST_CASE("a write quorum is altered within the replicas that every partition has and is to have") {
    TestCluster cluster;
    cluster.add_nodes(1, 3);
    CHECK(cluster.create_on("t", nodes_of({1, 2, 3})).code == ErrorCode::kNone);
    const auto alter = [&](std::string value, bool is_clustered = true) {
        const AlterConfigs request{
            .resources = {{ConfigResource::kTopic,
                           "t",
                           {{.name = "write.quorum", .value = std::move(value)}}}}};
        const BrokerRules rules{.node = NodeId(1),
                                .at_start = kNothingSetForTests,
                                .settings = {},
                                .is_clustered = is_clustered};
        return cluster.ask(request, rules)[0].code;
    };
    CHECK(alter("2", false) == ErrorCode::kInvalidConfig);
    CHECK(alter("4") == ErrorCode::kInvalidConfig);
    CHECK(alter("3") == ErrorCode::kNone);
    CHECK(alter("majority") == ErrorCode::kNone);
    PartitionRecord shrinking;
    shrinking.topic_id = cluster.state.topic("t")->id;
    shrinking.replicas = {1, 2, 3};
    shrinking.target_replicas = {1, 2};
    cluster.state.apply(Record(shrinking));
    CHECK(alter("3") == ErrorCode::kInvalidConfig);
    CHECK(alter("2") == ErrorCode::kNone);
}

TEST_CASE("min.insync.replicas may exceed the replicas, as in Kafka") {
    TestCluster cluster;
    cluster.add_nodes(1, 1);
    CHECK(cluster.create({.name = "t", .configs = {{"min.insync.replicas", "2"}}}).code ==
          ErrorCode::kNone);
    CHECK(cluster.create({.name = "u", .configs = {{"min.insync.replicas", "0"}}}).code ==
          ErrorCode::kInvalidConfig);
}

TEST_CASE("copysets lose data less often than random placement; what is certain is certain") {
    TestCluster cluster;
    cluster.add_nodes(1, 12);
    CHECK(cluster.create("t", 500, 3).code == ErrorCode::kNone);
    const LossReport report = loss_report(cluster.state);
    CHECK(report.nodes == 12);
    CHECK(report.partitions == 500);
    REQUIRE(report.lines.size() == 5);
    CHECK(report.lines[0].placed == 0);
    CHECK(report.lines[1].random == 0);
    // Of the C(12, 3) triples as many lose data as are copysets.
    CHECK(report.lines[2].placed ==
          doctest::Approx(static_cast<double>(report.replica_sets) / 220.0));
    // 1 - (1 - 1 / 220)^500
    CHECK(report.lines[2].random == doctest::Approx(0.89749).epsilon(0.001));
    for (std::size_t i = 2; i < 5; ++i) {
        CHECK(report.lines[i].placed < report.lines[i].random);
        CHECK(report.lines[i].placed >= report.lines[i - 1].placed);
    }
    TestCluster small;
    small.add_nodes(1, 2);
    CHECK(loss_report(small.state).lines.size() == 2);
    CHECK(loss_report(small.state).lines[1].placed == 0);
    CHECK(small.create("t", 3, 1).code == ErrorCode::kNone);
    CHECK(loss_report(small.state).lines[1].placed == 1);
    CHECK(loss_report(small.state).lines[1].random == 1);
    CHECK(loss_report(State()).lines.empty());
}

TEST_CASE("the report on a large cluster is exact where samples would see nothing") {
    TestCluster cluster;
    cluster.add_nodes(1, 60);
    CHECK(cluster.create("t", 1, 3).code == ErrorCode::kNone);
    CHECK(loss_report(cluster.state).lines[2].placed == doctest::Approx(1.0 / 34'220.0));
}

}  // namespace
}  // namespace dlog::metadata
