/// Counting: whether an election is won, and what a write quorum has reached.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/assert.h"
#include "consensus/quorum/configuration.h"

namespace dlog::consensus {

enum class Verdict : std::uint8_t { kPending, kWon, kLost };

/// The state of an election: won with an election quorum of every set of voters, lost as soon as
/// one set can no longer give its quorum.
[[nodiscard]] Verdict tally(const Configuration& configuration, std::span<const NodeId> granted,
                            std::span<const NodeId> refused);

/// The greatest value that a write quorum of `voters` has reached; `value_of(node)` says what each
/// has. As far as positions in a log: what is committed. As far as times: until when no election
/// can be won without one of those that promised to take part in none before.
template <class ValueOf>
[[nodiscard]] auto reached_by_quorum(const Voters& voters, const ValueOf& value_of) {
    DLOG_ASSERT(!voters.empty());
    std::vector<std::invoke_result_t<const ValueOf&, NodeId>> values;
    values.reserve(voters.members.size());
    for (const Voter& voter : voters.members) values.push_back(value_of(voter.node));
    std::ranges::sort(values, std::greater<>());
    return values[voters.write_quorum - 1];
}

/// The same of every set of voters.
template <class ValueOf>
[[nodiscard]] auto reached_by_quorum(const Configuration& configuration, const ValueOf& value_of) {
    const auto reached = reached_by_quorum(configuration.voters, value_of);
    if (!configuration.is_joint()) return reached;
    return std::min(reached, reached_by_quorum(configuration.outgoing, value_of));
}

}  // namespace dlog::consensus
