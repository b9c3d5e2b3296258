#include "consensus/quorum/quorums.h"

namespace dlog::consensus {

namespace {

std::size_t count_of(const Voters& voters, std::span<const NodeId> nodes) {
    return static_cast<std::size_t>(
        std::ranges::count_if(nodes, [&](NodeId node) { return voters.find(node) != nullptr; }));
}

Verdict tally_set(const Voters& voters, std::span<const NodeId> granted,
                  std::span<const NodeId> refused) {
    if (count_of(voters, granted) >= voters.election_quorum()) return Verdict::kWon;
    const std::size_t left = voters.members.size() - count_of(voters, refused);
    return left < voters.election_quorum() ? Verdict::kLost : Verdict::kPending;
}

}  // namespace

Verdict tally(const Configuration& configuration, std::span<const NodeId> granted,
              std::span<const NodeId> refused) {
    const Verdict verdict = tally_set(configuration.voters, granted, refused);
    if (!configuration.is_joint()) return verdict;
    const Verdict outgoing = tally_set(configuration.outgoing, granted, refused);
    if (verdict == Verdict::kLost || outgoing == Verdict::kLost) return Verdict::kLost;
    return verdict == Verdict::kWon ? outgoing : verdict;
}

}  // namespace dlog::consensus
