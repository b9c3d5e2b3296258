#include "metadata/reassignment_plan.h"

#include <algorithm>

#include "base/assert.h"
#include "metadata/placement.h"

namespace dlog::metadata {

DrainPlan plan_drain(const State& state, NodeId node, std::size_t scatter_width,
                     std::size_t moves_max) {
    DLOG_ASSERT(state.nodes().contains(node), node);
    DrainPlan plan;
    Placer placer(state, scatter_width);
    for (const auto& [name, topic] : state.topics()) {
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            const std::vector<NodeId>& wanted = topic->partitions[i].wanted();
            if (std::ranges::find(wanted, node) == wanted.end()) continue;
            const auto number = static_cast<std::int32_t>(i);
            if (wanted.size() > placer.node_count()) {
                plan.stuck.emplace_back(name, number);
            } else if (plan.moves.size() == moves_max) {
                ++plan.left;
            } else {
                plan.moves.push_back(
                    {.topic = name, .partition = number, .replicas = placer.move(wanted)});
            }
        }
    }
    return plan;
}

std::map<NodeId, std::vector<PartitionName>> preferred_leaders(const State& state) {
    std::map<NodeId, std::vector<PartitionName>> preferred;
    for (const auto& [name, topic] : state.topics()) {
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            preferred[topic->partitions[i].preferred_leader()].emplace_back(
                name, static_cast<std::int32_t>(i));
        }
    }
    return preferred;
}

}  // namespace dlog::metadata
