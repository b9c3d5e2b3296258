/// Who decides in a group: its voters, how many of them make a quorum, and how one set of voters
/// gives way to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"

namespace dlog::consensus {

/// Slots of voters, and so the most voters that two sets of voters may have between them.
inline constexpr int kSlots = 32;

/// A node that votes. Its slot is its own among all voters of a configuration: where quorums of an
/// election need not meet, candidates of different slots never stand for the same term.
struct Voter {
    NodeId node;
    std::uint8_t slot = 0;
    bool operator==(const Voter&) const = default;
};

/// A set of N voters of which W hold an entry before it is committed. An election takes N - W + 1
/// votes, so that it meets every quorum of a write (Howard, Malkhi and Spiegelman, "Flexible
/// Paxos", 2016). Ascending by node.
struct Voters {
    std::vector<Voter> members;
    std::size_t write_quorum = 0;

    [[nodiscard]] bool empty() const { return members.empty(); }
    [[nodiscard]] std::size_t election_quorum() const { return members.size() - write_quorum + 1; }
    /// True when two elections of these voters may be won without a common vote.
    [[nodiscard]] bool may_elect_apart() const { return 2 * election_quorum() <= members.size(); }
    [[nodiscard]] const Voter* find(NodeId node) const;
    bool operator==(const Voters&) const = default;
};

/// The voters of a group; while they change also those before, and then both sets have to agree
/// (joint consensus, Raft dissertation §4.3).
struct Configuration {
    Voters voters;
    /// Empty unless the voters are being changed.
    Voters outgoing;

    [[nodiscard]] bool is_joint() const { return !outgoing.empty(); }
    [[nodiscard]] const Voter* find(NodeId node) const;
    /// Every voter once, ascending.
    [[nodiscard]] std::vector<NodeId> nodes() const;
    bool operator==(const Configuration&) const = default;
};

/// `write_quorum` voters of `nodes`, which are distinct, have to hold an entry; 0 stands for the
/// majority. At most kSlots / 2 nodes.
[[nodiscard]] Configuration make_configuration(std::span<const NodeId> nodes,
                                               std::size_t write_quorum = 0);

/// The joint configuration that leads from `current`, which is not joint, to `nodes`. Who stays
/// keeps its slot; who comes gets one that no one of both sets has.
[[nodiscard]] Configuration joint_configuration(const Configuration& current,
                                                std::span<const NodeId> nodes,
                                                std::size_t write_quorum = 0);

/// What a configuration from outside must be: voters distinct and ascending, slots distinct,
/// quorums within bounds.
[[nodiscard]] bool is_valid(const Configuration& configuration);

}  // namespace dlog::consensus
