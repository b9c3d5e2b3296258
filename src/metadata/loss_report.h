/// How likely a failure of several nodes at once is to lose data.
#pragma once

#include <cstddef>
#include <vector>

#include "metadata/state.h"

namespace dlog::metadata {

/// `failed` nodes, any with the same probability, fail at once and for good.
struct LossLine {
    std::size_t failed = 0;
    /// That they hold every replica of some partition, as the partitions lie.
    double placed = 0;
    /// The same if each partition lay on any nodes.
    double random = 0;
};

/// Counts replicas, as though each held all records; with a write quorum below the number of
/// replicas the newest records lie on fewer.
struct LossReport {
    std::size_t nodes = 0;
    std::size_t partitions = 0;
    /// Different ones that are in use.
    std::size_t replica_sets = 0;
    /// For 1 to min(nodes, 5) failed nodes.
    std::vector<LossLine> lines;
};

[[nodiscard]] LossReport loss_report(const State& state);

}  // namespace dlog::metadata
