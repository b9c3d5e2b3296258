#include "metadata/snapshot.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "metadata/alter_configs.h"
#include "metadata/client_quotas.h"
#include "metadata/placement.h"
#include "metadata/reassignment.h"
#include "metadata/testing_cluster.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;

/// Random requests, most of which are accepted.
class History {
  public:
    explicit History(std::uint64_t seed) : random_(seed) {}

    TestCluster cluster;

    void step() {
        switch (random_.below(10)) {
            case 0:
            case 1:
                return void(cluster.add_node(any(8), "rack" + std::to_string(random_.below(3)),
                                             static_cast<std::int16_t>(random_.below(3))));
            case 2:
                return change_node();
            case 3:
            case 4:
                return void(cluster.create({.name = topic(),
                                            .partition_count = any(3),
                                            .replication_factor = static_cast<std::int16_t>(any(3)),
                                            .configs = {{"retention.ms", "1000"}}}));
            case 5:
                if (random_.chance(1, 3)) {
                    (void)cluster.ask(DeleteTopics{{{.name = topic()}}});
                } else {
                    (void)cluster.ask(CreatePartitions{{{.name = topic(), .count = any(6)}}},
                                      cluster.defaults);
                }
                return;
            case 6:
            case 7:
                return move();
            case 8:
                return finish();
            default:
                return set();
        }
    }

  private:
    std::int32_t any(std::int32_t last) {
        return static_cast<std::int32_t>(random_.between(1, last));
    }
    /// Some of these names collide.
    std::string topic() { return (random_.chance(1, 2) ? "a." : "a_") + std::to_string(any(3)); }
    void change_node() {
        const NodeId node(any(8));
        switch (random_.below(4)) {
            case 0:
                return void(cluster.ask(DrainNode{node}));
            case 1:
                return void(cluster.ask(ResumeNode{node}));
            case 2:
                return void(cluster.ask(RemoveNode{node}));
            default:
                return void(cluster.ask(UpgradeFeature{common_feature_level(cluster.state)}));
        }
    }
    void move() {
        Reassignment asked{
            .topic = topic(), .partition = any(3) - 1, .replicas = std::vector<NodeId>{}};
        if (random_.chance(1, 4)) {
            asked.replicas.reset();
        } else {
            const std::int32_t first = any(8);
            for (std::int32_t i = 0; i < any(3); ++i) {
                asked.replicas->emplace_back((first + i) % 8 + 1);
            }
        }
        (void)cluster.ask(AlterPartitionReassignments{{std::move(asked)}});
    }
    /// Some of the groups have the voters that are wanted.
    void finish() {
        const Image now = cluster.state.image();
        for (const auto& [name, topic] : now->topics()) {
            for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
                if (random_.chance(1, 3)) finish(*topic, i);
            }
        }
    }
    void finish(const TopicState& topic, std::size_t number) {
        const PartitionState& partition = topic.partitions[number];
        const Refusal refusal =
            cluster.ask(FinishReassignment{.topic = topic.id,
                                           .partition = static_cast<std::int32_t>(number),
                                           .replicas = partition.wanted(),
                                           .revision = partition.revision});
        CHECK(refusal.code == ErrorCode::kNone);
        if (partition.is_moving()) ++finished;
    }
    void set() {
        (void)cluster.ask(AllocateProducerIds{.node = NodeId(1), .count = any(9)});
        std::optional<std::string> value;
        if (random_.chance(2, 3)) value = std::to_string(any(100));
        BrokerConfigRecord broker;
        broker.node_id = any(3) - 2;
        broker.name = "setting" + std::to_string(any(2));
        broker.value = value;
        GroupConfigRecord group;
        group.group_id = "group" + std::to_string(any(2));
        group.name = "setting" + std::to_string(any(2));
        group.value = value;
        QuotaEntity entity{{QuotaEntityType::kUser, std::nullopt}};
        if (random_.chance(1, 2)) entity[QuotaEntityType::kClientId] = "c" + std::to_string(any(2));
        const std::optional<double> quota =
            value ? std::optional(static_cast<double>(any(5))) : std::nullopt;
        cluster.apply({broker, group, quota_record(entity, std::string(kProducerByteRate), quota)});
    }

    Random random_;

  public:
    std::size_t finished = 0;
};

std::vector<std::pair<QuotaEntity, QuotaValues>> quotas_of(const State& state) {
    if (state.client_quotas() == nullptr) return {};
    return state.client_quotas()->matching({});
}

void check_equal(const State& a, const State& b) {
    CHECK(a.cluster_id() == b.cluster_id());
    CHECK(a.feature_level() == b.feature_level());
    CHECK(a.next_producer_id() == b.next_producer_id());
    CHECK(a.partition_count() == b.partition_count());
    CHECK(a.nodes() == b.nodes());
    CHECK(a.membership() == b.membership());
    CHECK(a.all_broker_configs() == b.all_broker_configs());
    CHECK(a.all_group_configs() == b.all_group_configs());
    CHECK(quotas_of(a) == quotas_of(b));
    for (std::int32_t id = 0; id <= 9; ++id) CHECK(a.load_of(NodeId(id)) == b.load_of(NodeId(id)));
    REQUIRE(a.topics().size() == b.topics().size());
    for (const auto& [name, topic] : a.topics()) {
        const TopicPtr other = b.topic(name);
        REQUIRE(other != nullptr);
        CHECK(*topic == *other);
        CHECK(b.topic(topic->id) == other);
        CHECK(a.collision_of(name) == b.collision_of(name));
    }
}

TEST_CASE("a snapshot, written and read, folds to the same state, and goes on in the same way") {
    std::size_t moving = 0;
    std::size_t finished = 0;
    std::size_t removed = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        History history(seed);
        const std::uint64_t steps = seed % 200;
        for (std::uint64_t i = 0; i < steps; ++i) history.step();
        const State& state = history.cluster.state;
        TestCluster copy;
        for (const Record& record : snapshot_records(state)) {
            const auto bytes = encode_record(record);
            REQUIRE(bytes.has_value());
            const auto back = decode_record(bytes->view());
            REQUIRE(back.has_value());
            copy.state.apply(*back);
        }
        check_equal(state, copy.state);
        CHECK(snapshot_records(copy.state) == snapshot_records(state));
        Placer here(state, 0);
        Placer there(copy.state, 0);
        for (std::size_t factor = 1; factor <= std::min<std::size_t>(3, here.node_count());
             ++factor) {
            CHECK(here.copysets(factor) == there.copysets(factor));
            CHECK(here.place(factor) == there.place(factor));
        }
        for (const auto& [name, topic] : state.topics()) {
            for (const PartitionState& partition : topic->partitions) {
                moving += partition.is_moving() ? 1U : 0U;
            }
        }
        finished += history.finished;
        for (const MembershipChange& change : state.membership()) {
            removed += state.nodes().contains(change.node) ? 0U : 1U;
        }
    }
    // The histories had in them what snapshots are hard for.
    CHECK(moving > 20);
    CHECK(finished > 20);
    CHECK(removed > 20);
}

TEST_CASE("a snapshot of nothing is nothing") {
    CHECK(snapshot_records(State()).empty());
}

}  // namespace
}  // namespace dlog::metadata
