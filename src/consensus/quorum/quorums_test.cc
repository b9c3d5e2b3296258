#include "consensus/quorum/quorums.h"

#include <doctest/doctest.h>

#include <map>

#include "base/random.h"

namespace dlog::consensus {
namespace {

std::vector<NodeId> nodes_of(std::initializer_list<int> numbers) {
    std::vector<NodeId> nodes;
    for (const int number : numbers) nodes.push_back(NodeId(number));
    return nodes;
}

/// The nodes whose bit is set in `bits`.
std::vector<NodeId> subset(const std::vector<NodeId>& nodes, unsigned bits) {
    std::vector<NodeId> chosen;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if ((bits >> i & 1U) != 0) chosen.push_back(nodes[i]);
    }
    return chosen;
}

TEST_CASE("a quorum is a majority unless it is named") {
    CHECK(make_configuration(nodes_of({1})).voters.write_quorum == 1);
    CHECK(make_configuration(nodes_of({1, 2})).voters.write_quorum == 2);
    CHECK(make_configuration(nodes_of({1, 2, 3})).voters.write_quorum == 2);
    CHECK(make_configuration(nodes_of({1, 2, 3, 4})).voters.write_quorum == 3);
    CHECK(make_configuration(nodes_of({1, 2, 3, 4, 5}), 4).voters.write_quorum == 4);
    CHECK(make_configuration(nodes_of({1, 2, 3, 4, 5}), 4).voters.election_quorum() == 2);
}

TEST_CASE(
    "every quorum of a write meets every quorum of an election, in every set (Flexible Paxos)") {
    const std::vector<NodeId> nodes = nodes_of({1, 2, 3, 4, 5});
    for (std::size_t size = 1; size <= nodes.size(); ++size) {
        const std::vector<NodeId> voters(nodes.begin(),
                                         nodes.begin() + static_cast<std::ptrdiff_t>(size));
        for (std::size_t quorum = 1; quorum <= size; ++quorum) {
            const Configuration configuration = make_configuration(voters, quorum);
            for (unsigned writers = 0; writers < 1U << size; ++writers) {
                for (unsigned electors = 0; electors < 1U << size; ++electors) {
                    if ((writers & electors) != 0) continue;
                    const auto has = [&](NodeId node) {
                        return (writers >> (node.value - 1) & 1U) != 0 ? 1 : 0;
                    };
                    const bool is_written = reached_by_quorum(configuration, has) == 1;
                    const bool is_won =
                        tally(configuration, subset(voters, electors), {}) == Verdict::kWon;
                    CHECK(!(is_written && is_won));
                }
            }
        }
    }
}

TEST_CASE("an election is lost as soon as a set can no longer give its quorum") {
    const Configuration three = make_configuration(nodes_of({1, 2, 3}));
    CHECK(tally(three, nodes_of({1}), nodes_of({2})) == Verdict::kPending);
    CHECK(tally(three, nodes_of({1}), nodes_of({2, 3})) == Verdict::kLost);
    CHECK(tally(three, nodes_of({1, 3}), nodes_of({2})) == Verdict::kWon);
    CHECK(tally(three, nodes_of({1, 7, 8}), {}) == Verdict::kPending);
}

TEST_CASE("while voters change both sets decide (joint consensus, §4.3)") {
    const Configuration joint =
        joint_configuration(make_configuration(nodes_of({1, 2, 3})), nodes_of({3, 4, 5}));
    CHECK(joint.nodes() == nodes_of({1, 2, 3, 4, 5}));
    CHECK(tally(joint, nodes_of({1, 2}), {}) == Verdict::kPending);
    CHECK(tally(joint, nodes_of({3, 4, 5}), {}) == Verdict::kPending);
    CHECK(tally(joint, nodes_of({1, 3, 4}), {}) == Verdict::kWon);
    CHECK(tally(joint, nodes_of({3, 4, 5}), nodes_of({1, 2})) == Verdict::kLost);
    const std::map<NodeId, int> reached{
        {NodeId(1), 9}, {NodeId(2), 8}, {NodeId(3), 7}, {NodeId(4), 3}, {NodeId(5), 2}};
    CHECK(reached_by_quorum(joint, [&](NodeId node) { return reached.at(node); }) == 3);
}

TEST_CASE("who stays keeps its slot, and who comes gets one of its own") {
    Random random(1);
    std::vector<NodeId> all = nodes_of({1, 2, 3, 4, 5, 6, 7, 8, 9});
    Configuration current = make_configuration(nodes_of({1, 2, 3}));
    for (int i = 0; i < 500; ++i) {
        const std::vector<NodeId> wanted =
            subset(all, static_cast<unsigned>(1 + random.below((1U << all.size()) - 1)));
        const std::size_t quorum = random.below(wanted.size() + 1);
        const Configuration joint = joint_configuration(current, wanted, quorum);
        REQUIRE(is_valid(joint));
        for (const Voter& voter : current.voters.members) {
            const Voter* stays = joint.voters.find(voter.node);
            if (stays != nullptr) CHECK(stays->slot == voter.slot);
        }
        current = {.voters = joint.voters, .outgoing = {}};
        REQUIRE(is_valid(current));
    }
}

TEST_CASE("a configuration that contradicts itself is not valid") {
    const Configuration good = make_configuration(nodes_of({1, 2, 3}));
    CHECK(is_valid(good));
    CHECK(!is_valid({}));
    Configuration bad = good;
    bad.voters.write_quorum = 4;
    CHECK(!is_valid(bad));
    bad = good;
    bad.voters.write_quorum = 0;
    CHECK(!is_valid(bad));
    bad = good;
    bad.voters.members[1].slot = bad.voters.members[0].slot;
    CHECK(!is_valid(bad));
    bad = good;
    bad.voters.members[1].slot = 200;
    CHECK(!is_valid(bad));
    bad = good;
    std::swap(bad.voters.members[0], bad.voters.members[1]);
    CHECK(!is_valid(bad));
    bad = joint_configuration(good, nodes_of({3, 4}));
    bad.outgoing.members[2].slot = 9;
    CHECK(!is_valid(bad));
}

}  // namespace
}  // namespace dlog::consensus
