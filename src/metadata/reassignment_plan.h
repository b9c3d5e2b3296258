/// Which partitions should move, and to whom: nothing is decided here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "metadata/reassignment.h"
#include "metadata/state.h"

namespace dlog::metadata {

/// A topic's name and the partition's number.
using PartitionName = std::pair<std::string, std::int32_t>;

struct DrainPlan {
    /// For AlterPartitionReassignments.
    std::vector<Reassignment> moves;
    /// Would have to move but cannot: there are fewer active nodes than it has replicas.
    std::vector<PartitionName> stuck;
    /// Replicas that the node holds and that neither move yet nor are in `moves`, because of
    /// `moves_max`.
    std::size_t left = 0;
};

/// Moves every replica of `node`, which is being drained, into copysets of the active nodes, at
/// most `moves_max` of them. Partitions that move away from it already are left alone.
/// `scatter_width` as in Defaults.
[[nodiscard]] DrainPlan plan_drain(const State& state, NodeId node, std::size_t scatter_width,
                                   std::size_t moves_max);

/// The partitions that prefer each node as their leader.
[[nodiscard]] std::map<NodeId, std::vector<PartitionName>> preferred_leaders(const State& state);

}  // namespace dlog::metadata
