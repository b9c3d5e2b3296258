/// What the replicas of a partition must be, and the record that states them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "base/ids.h"
#include "metadata/controller.h"
#include "metadata/placement.h"
#include "metadata/records.h"
#include "metadata/state.h"

namespace dlog::metadata {

/// The nodes of one partition as a client named them: kInvalidReplicaAssignment unless they are
/// registered, distinct, and active; of `held`, which hold it already, they may be draining.
[[nodiscard]] std::expected<void, Refusal> check_replicas(const State& state,
                                                          std::span<const NodeId> nodes,
                                                          std::span<const NodeId> held = {});
/// kInvalidReplicaAssignment unless a partition has as many replicas as the others of its topic.
[[nodiscard]] std::expected<void, Refusal> check_same_count(std::size_t count, std::size_t factor);
/// kInvalidReplicationFactor unless so many replicas can be placed.
[[nodiscard]] std::expected<void, Refusal> check_factor(const Placer& placer, std::size_t factor);

[[nodiscard]] PartitionRecord partition_record(TopicId topic, std::int32_t number,
                                               const PartitionState& partition);
/// The topic with its partitions and settings.
void record_topic(std::vector<Record>& records, const TopicState& topic);

}  // namespace dlog::metadata
