/// Moving partitions to other nodes (AlterPartitionReassignments, KIP-455). A decision names the
/// replicas that are wanted; the partition's Raft group then changes its voters, and when it has
/// the wanted ones the move is finished.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "metadata/controller.h"
#include "metadata/state.h"

namespace dlog::metadata {

struct Reassignment {
    std::string topic;
    std::int32_t partition = 0;
    /// Nothing: the move that is under way is given up.
    std::optional<std::vector<NodeId>> replicas;

    bool operator==(const Reassignment&) const = default;
};

struct AlterPartitionReassignments {
    std::vector<Reassignment> partitions;
    /// KIP-860.
    bool allow_replication_factor_change = true;
};

/// One for each partition asked for, in order: kNone; kUnknownTopicOrPartition;
/// kNoReassignmentInProgress; kInvalidReplicaAssignment; kInvalidReplicationFactor; kInvalidRequest
/// for a partition that is named twice.
using AlterPartitionReassignmentsReply = std::vector<Refusal>;

[[nodiscard]] Decision<AlterPartitionReassignmentsReply> decide(
    const State& state, const AlterPartitionReassignments& request);

/// The partition's group has committed a configuration that is not joint and whose voters are
/// `replicas`, in any order; its leader knew the partition in this revision. Replies: kNone, also
/// when nothing was to be finished; kUnknownTopicId for a topic that is gone;
/// kUnknownTopicOrPartition; kInvalidUpdateVersion when the partition has another revision by now;
/// kInvalidReplicaAssignment when these are not the wanted replicas.
struct FinishReassignment {
    TopicId topic;
    std::int32_t partition = 0;
    std::vector<NodeId> replicas;
    std::int32_t revision = 0;
};
[[nodiscard]] Decision<Refusal> decide(const State& state, const FinishReassignment& request);

struct OngoingReassignment {
    std::string topic;
    std::int32_t partition = 0;
    std::vector<NodeId> replicas;  ///< All of them, those that are to be first.
    std::vector<NodeId> adding;
    std::vector<NodeId> removing;

    bool operator==(const OngoingReassignment&) const = default;
};

struct ListedTopic {
    std::string name;
    std::vector<std::int32_t> partitions;
};

/// In order of topic and partition as asked for; without `topics` all, in order of name. What is
/// unknown or does not move is left out.
[[nodiscard]] std::vector<OngoingReassignment> list_reassignments(
    const State& state, const std::optional<std::vector<ListedTopic>>& topics);

}  // namespace dlog::metadata
