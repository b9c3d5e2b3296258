#include <doctest/doctest.h>

#include "consensus/raft/testing_cluster.h"

namespace dlog::consensus::raft {
namespace {

/// Runs until someone leads, and says who.
NodeId elect(TestCluster& cluster) {
    for (int i = 0; i < 200; ++i) {
        cluster.run_for(milliseconds(20));
        const auto leader = cluster.leader();
        if (leader && cluster.group(*leader).commit().term == cluster.group(*leader).term()) {
            return *leader;
        }
    }
    throw Broken("nobody was elected in four seconds" + cluster.describe());
}

NodeId other_than(const TestCluster& cluster, NodeId node) {
    for (const auto& [id, unused] : cluster.nodes) {
        if (id != node) return id;
    }
    throw Broken("no other node");
}

void cut_off(TestCluster& cluster, NodeId node) {
    for (const auto& [id, unused] : cluster.nodes) {
        cluster.cut.insert({id, node});
        cluster.cut.insert({node, id});
    }
}

void crash_all_but(TestCluster& cluster, NodeId survivor) {
    for (const auto& [id, unused] : cluster.nodes) {
        if (id != survivor) cluster.crash(id);
    }
}

std::int64_t committed_at(const TestCluster& cluster, NodeId node) {
    return cluster.group(node).commit().end.value;
}

TEST_CASE("a group of one leads at once and commits what it has flushed") {
    TestCluster cluster(1);
    cluster.start(1, 1);
    cluster.run_for(milliseconds(10));
    REQUIRE(cluster.leader() == NodeId(1));
    CHECK(cluster.propose(NodeId(1)));
    cluster.run_for(milliseconds(10));
    CHECK(committed_at(cluster, NodeId(1)) == cluster.group(NodeId(1)).history().end().end.value);
    CHECK(cluster.group(NodeId(1)).may_serve_reads(Instant{0}, Peers()));
}

TEST_CASE("the first leader's epoch starts at offset 0 and takes none") {
    TestCluster cluster(2);
    cluster.start(3, 3);
    const NodeId leader = elect(cluster);
    CHECK(cluster.group(leader).term() == LeaderEpoch(0));
    CHECK(cluster.group(leader).history().end() == LogPosition{LeaderEpoch(0), Offset(0)});
    CHECK(cluster.group(leader).commit() == LogPosition{LeaderEpoch(0), Offset(0)});
}

TEST_CASE(
    "a group at rest sends nothing of its own and waits for nothing (pulses are the nodes')") {
    TestCluster cluster(3);
    cluster.start(3, 3);
    const NodeId leader = elect(cluster);
    cluster.propose(leader);
    cluster.run_for(seconds(2));
    const std::uint64_t before = cluster.messages;
    cluster.run_for(seconds(6));
    // Three pairs of nodes, two directions, one pulse every 60 ms.
    CHECK(cluster.messages - before <= 6 * 100 + 6);
    for (const auto& [id, node] : cluster.nodes) CHECK(node.group->next_deadline() == kNever);
}

TEST_CASE(
    "a leader that dies is followed by another within the budgets of detection and election") {
    TestCluster cluster(4);
    cluster.start(5, 5);
    for (int round = 0; round < 30; ++round) {
        const NodeId old = elect(cluster);
        cluster.run_for(seconds(1));
        cluster.crash(old);
        const Instant died = cluster.now;
        const NodeId next = elect(cluster);
        CHECK(next != old);
        CHECK(cluster.now - died <= cluster.liveness_options.support + milliseconds(20) * 17);
        cluster.restart(old);
        cluster.run_for(seconds(1));
    }
}

TEST_CASE(
    "a leader whose process is a new one is given up at once, not when its support runs out") {
    TestCluster cluster(5);
    cluster.start(3, 3);
    const NodeId old = elect(cluster);
    cluster.run_for(seconds(1));
    cluster.crash(old);
    cluster.restart(old);
    const Instant back = cluster.now;
    const NodeId next = elect(cluster);
    CHECK(next != old);
    CHECK(cluster.now - back < cluster.liveness_options.support);
}

TEST_CASE("a slow disk of a leader is no reason for an election, nor does it hold up the group") {
    TestCluster cluster(6);
    cluster.start(3, 3);
    const NodeId leader = elect(cluster);
    const LeaderEpoch term = cluster.group(leader).term();
    cluster.run_for(seconds(1));
    cluster.nodes.at(leader).is_disk_busy = true;  // a write that takes forever
    cluster.propose(leader);
    cluster.run_for(seconds(5));
    CHECK(cluster.leader() == leader);
    CHECK(cluster.group(leader).term() == term);
    CHECK(cluster.group(leader).commit() == cluster.group(leader).history().end());
    CHECK(cluster.group(leader).persisted() < cluster.group(leader).commit());
}

TEST_CASE("a node that hears nobody does not disturb those who do when it comes back (pre-vote)") {
    TestCluster cluster(7);
    cluster.start(3, 3);
    const NodeId leader = elect(cluster);
    const LeaderEpoch term = cluster.group(leader).term();
    const NodeId lonely = other_than(cluster, leader);
    cut_off(cluster, lonely);
    cluster.run_for(seconds(5));
    CHECK(cluster.group(lonely).term() == term);
    cluster.cut.clear();
    cluster.run_for(seconds(2));
    CHECK(cluster.leader() == leader);
    CHECK(cluster.group(leader).term() == term);
    CHECK(cluster.group(lonely).leader() == leader);
}

TEST_CASE("a leader that is cut off serves no reads by the time another may commit (leases)") {
    TestCluster cluster(8);
    cluster.start(3, 3);
    const NodeId old = elect(cluster);
    cluster.run_for(seconds(1));
    const TestCluster::Node& node = cluster.nodes.at(old);
    CHECK(node.group->may_serve_reads(cluster.clock(node), node.liveness->peers()));
    cut_off(cluster, old);
    // check_lease of the harness compares with what others commit, after every event.
    for (int i = 0; i < 100; ++i) {
        cluster.run_for(milliseconds(10));
        for (const NodeId leader : cluster.leaders()) cluster.propose(leader);
    }
    CHECK(!node.group->may_serve_reads(cluster.clock(node), node.liveness->peers()));
    CHECK(node.group->role() != Role::kLeader);
    CHECK(cluster.leader().has_value());
    CHECK(cluster.leader() != old);
}

TEST_CASE("leadership is handed over without waiting for a timeout (§3.10)") {
    TestCluster cluster(9);
    cluster.start(3, 3);
    const NodeId old = elect(cluster);
    cluster.propose(old);
    const NodeId next = other_than(cluster, old);
    cluster.step(old, HandOver{.to = next});
    CHECK(!cluster.group(old).accepts_proposals());
    cluster.run_for(milliseconds(100));
    CHECK(cluster.leader() == next);
    CHECK(cluster.leaders().size() == 1);
}

TEST_CASE("a handover to a dead node is given up, and what it may have been told is void") {
    TestCluster cluster(10);
    cluster.start(3, 3);
    const NodeId leader = elect(cluster);
    const LeaderEpoch term = cluster.group(leader).term();
    cluster.run_for(seconds(1));
    const NodeId dead = other_than(cluster, leader);
    cluster.crash(dead);
    cluster.step(leader, HandOver{.to = dead});
    cluster.run_for(seconds(2));
    CHECK(cluster.leader() == leader);
    CHECK(cluster.group(leader).term() > term);
    CHECK(cluster.propose(leader));
}

TEST_CASE("voters change through a joint configuration; who leaves hands over to one that stays") {
    TestCluster cluster(11);
    cluster.start(6, 3);
    const NodeId old = elect(cluster);
    for (int i = 0; i < 20; ++i) cluster.propose(old);
    const std::vector<NodeId> wanted{NodeId(4), NodeId(5), NodeId(6)};
    cluster.step(old, ChangeVoters{.nodes = wanted});
    cluster.run_for(seconds(3));
    const NodeId next = elect(cluster);
    CHECK(cluster.group(next).history().configuration().nodes() == wanted);
    CHECK(!cluster.group(next).history().configuration().is_joint());
    CHECK(next.value > 3);
    CHECK(cluster.propose(next));
    cluster.run_for(seconds(1));
    CHECK(committed_at(cluster, next) == cluster.group(next).history().end().end.value);
}

TEST_CASE("a learner gets the log and has no vote (§4.2.1)") {
    TestCluster cluster(12);
    cluster.start(4, 3);
    const NodeId leader = elect(cluster);
    cluster.step(leader, SetLearners{.nodes = {NodeId(4)}});
    cluster.propose(leader);
    cluster.run_for(seconds(1));
    CHECK(committed_at(cluster, NodeId(4)) == committed_at(cluster, leader));
    crash_all_but(cluster, NodeId(4));
    cluster.run_for(seconds(3));
    CHECK(cluster.group(NodeId(4)).role() == Role::kFollower);
    CHECK(cluster.group(NodeId(4)).next_deadline() == kNever);
}

TEST_CASE("a follower that lacks what is gone from the log begins anew where the log begins") {
    TestCluster cluster(13);
    cluster.start(3, 3);
    const NodeId leader = elect(cluster);
    const NodeId behind = other_than(cluster, leader);
    cluster.crash(behind);
    for (int i = 0; i < 10; ++i) cluster.propose(leader);
    cluster.run_for(seconds(1));
    cluster.trim(leader);
    const Offset start = cluster.group(leader).history().start().end;
    REQUIRE(start > Offset(0));
    cluster.restart(behind);
    cluster.run_for(seconds(12));
    CHECK(cluster.group(behind).history().start().end == start);
    CHECK(cluster.group(behind).history().end() == cluster.group(leader).history().end());
    CHECK(cluster.group(behind).commit() == cluster.group(leader).commit());
}

TEST_CASE(
    "with write.quorum = N nothing is written while one is down, and any one that is left leads") {
    TestCluster cluster(14);
    cluster.start(3, 3, 3);
    const NodeId old = elect(cluster);
    cluster.propose(old);
    cluster.run_for(seconds(1));
    const std::int64_t before = committed_at(cluster, old);
    CHECK(before == cluster.group(old).history().end().end.value);
    const NodeId last = other_than(cluster, old);
    crash_all_but(cluster, last);
    cluster.run_for(seconds(3));
    REQUIRE(cluster.leader() == last);
    CHECK(cluster.group(last).history().end().end.value >= before);
    cluster.propose(last);
    cluster.run_for(seconds(1));
    CHECK(cluster.group(last).commit().end.value <= before);
}

TEST_CASE("with write.quorum = 1 the leader alone commits, and without it nobody leads") {
    TestCluster cluster(15);
    cluster.start(3, 3, 1);
    const NodeId old = elect(cluster);
    cluster.run_for(seconds(1));
    crash_all_but(cluster, old);
    cluster.propose(old);
    cluster.run_for(seconds(3));
    CHECK(cluster.leader() == old);
    CHECK(committed_at(cluster, old) == cluster.group(old).history().end().end.value);
    cluster.crash(old);
    for (const auto& [id, node] : cluster.nodes) {
        if (id != old) cluster.restart(id);
    }
    cluster.run_for(seconds(3));
    CHECK(cluster.leaders().empty());
    cluster.restart(old);
    CHECK(committed_at(cluster, elect(cluster)) > 0);
}

TEST_CASE("candidates whose elections need not meet never stand for the same term") {
    TestCluster cluster(16);
    cluster.start(3, 3, 3);
    // Each alone: each may lead, each in a term of its own; the harness checks that.
    for (const auto& [id, node] : cluster.nodes) cut_off(cluster, id);
    cluster.run_for(seconds(3));
    CHECK(cluster.leaders().size() == 3);
    CHECK(cluster.leader_of.size() == 3);
    cluster.cut.clear();
    cluster.run_for(seconds(3));
    CHECK(cluster.leaders().size() == 1);
}

/// Node 1 leads in term 0 by the vote of node 2, which dies before it got any entry, and comes back
/// to find node 3 standing, who knows nothing of that term.
bool are_two_elected_in_one_term(bool is_vote_forgotten) {
    TestCluster cluster(17);
    cluster.is_vote_forgotten = is_vote_forgotten;
    cluster.start(3, 3);
    cut_off(cluster, NodeId(3));
    try {
        while (!cluster.leader()) cluster.run_for(microseconds(100));
        const NodeId leader = *cluster.leader();
        cut_off(cluster, leader);
        const NodeId voter = leader == NodeId(1) ? NodeId(2) : NodeId(1);
        cluster.crash(voter);
        cluster.cut.erase({NodeId(3), voter});
        cluster.cut.erase({voter, NodeId(3)});
        cluster.restart(voter);
        cluster.run_for(seconds(5));
    } catch (const Broken& broken) {
        return std::string(broken.what()) == "a term has one leader";
    }
    return false;
}

TEST_CASE("a vote that a crash made forgotten would elect two leaders of one term (§3.8)") {
    CHECK(are_two_elected_in_one_term(true));
    CHECK(!are_two_elected_in_one_term(false));
}

TEST_CASE("an entry of an earlier term is not committed by counting its copies (§3.6.2)") {
    // Figure 3.7: a leader of term 4 has brought an entry of term 2 to a majority. Until an entry
    // of its own term is there too another leader may still undo it.
    const auto configuration = make_configuration(std::vector{NodeId(1), NodeId(2), NodeId(3)});
    const Epoch first{.configuration = configuration};
    const Epoch second{.term = LeaderEpoch(2), .start = Offset(0), .configuration = configuration};
    Recovered recovered{.ballot = {.term = LeaderEpoch(3), .vote = {}},
                        .history = History({first, second}, Offset(0), Offset(5)),
                        .commit = {}};
    Group group(NodeId(1), {}, recovered, Random(1));
    const Peers peers;
    const auto step = [&](const Input& input) {
        return group.step(Instant{} + seconds(1), peers, input);
    };
    const auto receive = [&](Message message) {
        return step(Received{.from = NodeId(2), .message = std::move(message)});
    };
    static_cast<void>(step(Tick{}));
    static_cast<void>(
        receive(VoteReply{.term = LeaderEpoch(4), .is_pre_vote = true, .is_granted = true}));
    static_cast<void>(step(BallotPersisted{{.term = LeaderEpoch(4), .vote = NodeId(1)}}));
    static_cast<void>(receive(VoteReply{.term = LeaderEpoch(4), .is_granted = true}));
    REQUIRE(group.role() == Role::kLeader);
    const LogPosition old_end{LeaderEpoch(2), Offset(5)};
    const auto reply = [&](LogPosition persisted) {
        return AppendReply{.term = LeaderEpoch(4),
                           .is_accepted = true,
                           .question = 1,
                           .received = persisted,
                           .persisted = persisted};
    };
    static_cast<void>(receive(reply(old_end)));
    CHECK(group.commit() == LogPosition{});
    const LogPosition new_end{LeaderEpoch(4), Offset(5)};
    static_cast<void>(receive(reply(new_end)));
    CHECK(group.commit() == LogPosition{});  // its own disk has not said so yet
    static_cast<void>(step(Persisted{.position = new_end}));
    CHECK(group.commit() == new_end);
}

TEST_CASE("messages that contradict themselves change nothing") {
    TestCluster cluster(18);
    cluster.start(3, 3);
    const NodeId leader = elect(cluster);
    cluster.propose(leader);
    cluster.run_for(seconds(1));
    const NodeId follower = other_than(cluster, leader);
    const LogPosition end = cluster.group(follower).history().end();
    const LeaderEpoch term = cluster.group(follower).term();
    const Epoch backwards{.term = term - 1, .start = end.end, .configuration = {}};
    const std::vector<Append> bad{
        {.term = term, .previous = end, .end = {term, end.end - 1}},
        {.term = term, .previous = end, .end = {term + 1, end.end}},
        {.term = term, .previous = end, .end = end, .epochs = {backwards}},
        {.term = term,
         .previous = end,
         .end = {term + 1, end.end},
         .epochs = {{.term = term + 1, .start = end.end, .configuration = {}}}},
    };
    for (const Append& append : bad) {
        cluster.step(follower, Received{.from = leader, .message = append});
        CHECK(cluster.group(follower).history().end() == end);
    }
    cluster.step(follower, Received{.from = follower, .message = TimeoutNow{.term = term}});
    cluster.step(leader, Received{.from = follower,
                                  .message = AppendReply{.term = term,
                                                         .is_accepted = true,
                                                         .received = {term, Offset(1'000'000)},
                                                         .persisted = {term, Offset(1'000'000)}}});
    cluster.run_for(seconds(1));
    CHECK(cluster.leader() == leader);
    CHECK(cluster.propose(leader));
}

}  // namespace
}  // namespace dlog::consensus::raft
