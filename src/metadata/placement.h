/// Where new replicas go: into copysets (consensus/quorum/copysets.h) of the active nodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "consensus/quorum/copysets.h"
#include "metadata/state.h"

namespace dlog::metadata {

/// The seed of everything random about a cluster.
[[nodiscard]] std::uint64_t placement_seed(const State& state);

/// Places the partitions of one request. The copysets are a function of the state: of the cluster's
/// id and of the order in which nodes came and went; a node that comes changes none of those that
/// are. What was placed counts as load for what is placed after it.
class Placer {
  public:
    /// `scatter_width` 0: 2 * (factor - 1), the least that copysets need.
    Placer(const State& state, std::size_t scatter_width);

    /// How many nodes may hold new replicas.
    [[nodiscard]] std::size_t node_count() const { return held_.size(); }
    /// The replicas of a new partition, the preferred leader first. 1 <= `factor` <= node_count().
    [[nodiscard]] std::vector<NodeId> place(std::size_t factor);
    /// A copyset that shares as many nodes as possible with `replicas`, and of these one that holds
    /// little. Who stays keeps its position. As many replicas; node_count() suffices for them.
    [[nodiscard]] std::vector<NodeId> move(std::span<const NodeId> replicas);
    [[nodiscard]] const std::vector<consensus::Copyset>& copysets(std::size_t factor);

  private:
    [[nodiscard]] const consensus::Copysets& sets_of(std::size_t factor);
    /// Puts the node that is preferred by the fewest partitions in front.
    void lead_first(std::vector<NodeId>& replicas) const;
    void count(std::span<const NodeId> replicas);

    const State& state_;
    const std::size_t scatter_width_;
    Random random_;
    /// How many replicas each active node holds, and how many partitions prefer it as their leader.
    std::map<NodeId, std::size_t> held_;
    std::map<NodeId, std::size_t> leads_;
    /// By replication factor.
    std::map<std::size_t, consensus::Copysets> copysets_;
};

}  // namespace dlog::metadata
