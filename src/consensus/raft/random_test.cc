#include "consensus/raft/testing_cluster.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

namespace dlog::consensus::raft {
namespace {

/// One seeded life of a group: clients propose while nodes, disks and links fail and voters change;
/// then all heals, and the group has to come together again.
class Life {
  public:
    explicit Life(std::uint64_t seed) : cluster_(seed) {
        const int count = static_cast<int>(3 + cluster_.random.below(4));
        const int voters = static_cast<int>(1 + cluster_.random.below(5));
        start_voters_ = std::min(count, voters);
        cluster_.start(count, start_voters_, any_quorum(start_voters_));
        cluster_.faults = {.lost_percent = cluster_.random.below(10),
                           .repeated_percent = cluster_.random.below(10),
                           .delay_ms_max = cluster_.random.between(1, 15),
                           .disk_ms_max = cluster_.random.between(1, 30)};
    }

    void run() {
        for (int i = 0; i < 400; ++i) {
            disturb();
            cluster_.run_for(milliseconds(cluster_.random.between(0, 60)));
        }
        heal();
    }

    TestCluster& cluster() { return cluster_; }

  private:
    std::size_t any_quorum(int voters) {
        if (cluster_.random.chance(1, 2)) return 0;
        return 1 + cluster_.random.below(static_cast<std::uint64_t>(voters));
    }

    NodeId any_node() {
        return NodeId(static_cast<std::int32_t>(1 + cluster_.random.below(cluster_.nodes.size())));
    }

    void disturb() {
        const NodeId node = any_node();
        const bool is_up = cluster_.nodes.at(node).is_up;
        switch (cluster_.random.below(16)) {
            case 0:
                if (is_up) cluster_.crash(node);
                break;
            case 1:
            case 2:
                if (!is_up) cluster_.restart(node);
                break;
            case 3: {
                const NodeId other = any_node();
                if (other != node) cluster_.cut.insert({node, other});
                break;
            }
            case 4:
                cluster_.cut.clear();
                break;
            case 5:
                if (is_up) cluster_.trim(node);
                break;
            case 6:
                if (cluster_.random.chance(1, 3)) change_voters();
                break;
            case 7:
                if (const auto leader = cluster_.leader()) {
                    cluster_.step(*leader, HandOver{.to = node});
                }
                break;
            case 8:
                if (is_up) cluster_.step(node, SetLearners{.nodes = {any_node()}});
                break;
            default:
                propose();
        }
    }

    void propose() {
        for (const NodeId leader : cluster_.leaders()) cluster_.propose(leader);
    }

    void change_voters() {
        const auto leader = cluster_.leader();
        if (!leader) return;
        std::vector<NodeId> wanted;
        for (const auto& [id, node] : cluster_.nodes) {
            if (cluster_.random.chance(2, 3)) wanted.push_back(id);
        }
        if (wanted.empty() || wanted.size() > 5) return;
        const std::size_t quorum = any_quorum(static_cast<int>(wanted.size()));
        cluster_.step(*leader, ChangeVoters{.nodes = wanted, .write_quorum = quorum});
    }

    void heal() {
        cluster_.faults = {};
        cluster_.cut.clear();
        for (auto& [id, node] : cluster_.nodes) {
            if (!node.is_up) cluster_.restart(id);
        }
        cluster_.run_for(seconds(40));
        const auto leader = cluster_.leader();
        CAPTURE(cluster_.describe());
        REQUIRE(leader.has_value());
        REQUIRE(cluster_.propose(*leader));
        cluster_.run_for(seconds(3));
        const Group& group = cluster_.group(*leader);
        REQUIRE(group.role() == Role::kLeader);
        REQUIRE(group.commit() == group.history().end());
        REQUIRE(!group.history().configuration().is_joint());
        for (const NodeId id : group.history().configuration().nodes()) {
            REQUIRE(cluster_.group(id).history().end() == group.history().end());
            REQUIRE(cluster_.group(id).commit() == group.commit());
            REQUIRE(cluster_.group(id).leader() == leader);
            REQUIRE(cluster_.group(id).next_deadline() == kNever);
        }
        REQUIRE(cluster_.forgetful == 0);
    }

    TestCluster cluster_;
    int start_voters_ = 0;
};

TEST_CASE("a group keeps what Raft promises through crashes, partitions and changes of voters") {
    const char* only = std::getenv("DLOG_SEED");
    const char* count = std::getenv("DLOG_SEEDS");
    const std::uint64_t first = only == nullptr ? 1 : std::stoull(only);
    const std::uint64_t seeds = count == nullptr ? 150 : std::stoull(count);
    std::uint64_t committed = 0;
    std::uint64_t terms = 0;
    for (std::uint64_t seed = first; seed < first + (only == nullptr ? seeds : 1); ++seed) {
        CAPTURE(seed);
        Life life(seed);
        life.run();
        committed += life.cluster().committed.size();
        terms += life.cluster().leader_of.size();
    }
    MESSAGE("committed ", committed, ", terms with a leader ", terms);
    CHECK(committed > 0);
}

}  // namespace
}  // namespace dlog::consensus::raft
