#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "consensus/raft/testing_cluster.h"

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

    void run(int turns) {
        for (int i = 0; i < turns; ++i) {
            disturb();
            cluster_.run_for(milliseconds(cluster_.random.between(0, 60)));
        }
    }

    void heal() {
        cluster_.faults = {};
        cluster_.cut.clear();
        for (auto& [id, node] : cluster_.nodes) {
            if (!node.is_up) cluster_.restart(id);
        }
        cluster_.run_for(seconds(40));
        const auto leader = cluster_.leader();
        ensure(leader && cluster_.propose(*leader), "a healed group has a leader");
        cluster_.run_for(seconds(3));
        const Group& group = cluster_.group(*leader);
        ensure(group.role() == Role::kLeader, "the leader of a healed group stays");
        ensure(group.commit() == group.history().end(), "a healed group commits");
        ensure(!group.history().configuration().is_joint(), "a change of voters comes to its end");
        for (const NodeId id : group.history().configuration().nodes()) {
            const Group& other = cluster_.group(id);
            ensure(other.history().end() == group.history().end(), "all voters get all");
            ensure(other.commit() == group.commit(), "all voters learn what is committed");
            ensure(other.leader() == leader, "all voters follow");
            ensure(other.next_deadline() == kNever, "a group at rest waits for nothing");
        }
        ensure(cluster_.forgetful == 0, "no one forgets what it said was on stable storage");
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
        switch (cluster_.random.below(17)) {
            case 0:
                if (is_up) cluster_.crash(node);
                break;
            case 1:
            case 2:
                if (!is_up) cluster_.restart(node);
                break;
            case 3:
                cluster_.cut.insert({node, any_node()});
                break;
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
            case 9:
                if (is_up) cluster_.fail_writes(node);
                break;
            default:
                for (const NodeId leader : cluster_.leaders()) cluster_.propose(leader);
        }
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

    TestCluster cluster_;
    int start_voters_ = 0;
};

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::stoull(text);
}

/// What was broken in one life; empty for nothing.
std::string live(Life& life, int turns) {
    try {
        life.run(turns);
        life.heal();
        return {};
    } catch (const Broken& broken) {
        return broken.what() + life.cluster().describe();
    }
}

TEST_CASE("a group keeps what Raft promises through crashes, partitions and changes of voters") {
    const std::uint64_t first = number_from("DLOG_SEED", 1);
    const std::uint64_t seeds = number_from("DLOG_SEEDS", 30);
    std::size_t committed = 0;
    std::size_t terms = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        CAPTURE(seed);
        Life life(seed);
        REQUIRE(live(life, 400) == "");
        committed += life.cluster().committed.size();
        terms += life.cluster().leader_of.size();
    }
    MESSAGE("records committed: ", committed, ", terms with a leader: ", terms);
    CHECK(committed > seeds);
}

TEST_CASE("the checks find records that were not flushed before they were answered for") {
    int broken = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Life life(seed);
        life.cluster().is_flush_skipped = true;
        life.cluster().faults.disk_ms_max = 400;
        if (!live(life, 200).empty()) ++broken;
    }
    CHECK(broken > 0);
}

}  // namespace
}  // namespace dlog::consensus::raft
