#include "consensus/quorum/configuration.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace dlog::consensus {

namespace {

std::size_t quorum_or_majority(std::size_t write_quorum, std::size_t voters) {
    return write_quorum == 0 ? voters / 2 + 1 : write_quorum;
}

bool is_valid_set(const Voters& voters) {
    const auto by_node = [](const Voter& a, const Voter& b) { return a.node >= b.node; };
    return std::ranges::adjacent_find(voters.members, by_node) == voters.members.end() &&
           voters.members.size() <= kSlots / 2 && voters.write_quorum >= 1 &&
           voters.write_quorum <= voters.members.size();
}

}  // namespace

const Voter* Voters::find(NodeId node) const {
    const auto at = std::ranges::find(members, node, &Voter::node);
    return at == members.end() ? nullptr : &*at;
}

const Voter* Configuration::find(NodeId node) const {
    const Voter* voter = voters.find(node);
    return voter != nullptr ? voter : outgoing.find(node);
}

std::vector<NodeId> Configuration::nodes() const {
    std::vector<NodeId> all;
    for (const Voter& voter : voters.members) all.push_back(voter.node);
    for (const Voter& voter : outgoing.members) all.push_back(voter.node);
    std::ranges::sort(all);
    const auto repeated = std::ranges::unique(all);
    all.erase(repeated.begin(), repeated.end());
    return all;
}

Configuration make_configuration(std::span<const NodeId> nodes, std::size_t write_quorum) {
    return joint_configuration({}, nodes, write_quorum);
}

Configuration joint_configuration(const Configuration& current, std::span<const NodeId> nodes,
                                  std::size_t write_quorum) {
    DLOG_ASSERT(!current.is_joint());
    Configuration joint{.voters = {.write_quorum = quorum_or_majority(write_quorum, nodes.size())},
                        .outgoing = current.voters};
    std::uint32_t taken = 0;
    for (const Voter& voter : current.voters.members) taken |= 1U << voter.slot;
    for (const NodeId node : nodes) {
        const Voter* stays = current.voters.find(node);
        const auto free = static_cast<std::uint8_t>(std::countr_one(taken));
        const std::uint8_t slot = stays != nullptr ? stays->slot : free;
        taken |= 1U << slot;
        joint.voters.members.push_back({.node = node, .slot = slot});
    }
    std::ranges::sort(joint.voters.members, {}, &Voter::node);
    DLOG_ASSERT(is_valid(joint), nodes.size(), write_quorum);
    return joint;
}

bool is_valid(const Configuration& configuration) {
    if (!is_valid_set(configuration.voters)) return false;
    if (configuration.is_joint() && !is_valid_set(configuration.outgoing)) return false;
    std::uint32_t taken = 0;
    for (const NodeId node : configuration.nodes()) {
        const Voter* voter = configuration.find(node);
        const Voter* before = configuration.outgoing.find(node);
        if (voter->slot >= kSlots || (before != nullptr && before->slot != voter->slot))
            return false;
        if ((taken & (1U << voter->slot)) != 0) return false;
        taken |= 1U << voter->slot;
    }
    return true;
}

}  // namespace dlog::consensus
