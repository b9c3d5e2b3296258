#include "metadata/reassignment.h"

#include <algorithm>
#include <expected>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "metadata/assignment.h"
#include "metadata/topic_config.h"

namespace dlog::metadata {

using protocol::ErrorCode;

namespace {

using Nodes = std::vector<NodeId>;

std::unexpected<Refusal> refuse(ErrorCode code, std::string message) {
    return std::unexpected(Refusal{code, std::move(message)});
}

bool contains(std::span<const NodeId> nodes, NodeId node) {
    return std::ranges::find(nodes, node) != nodes.end();
}

/// Those of `nodes` that `others` lacks.
Nodes without(std::span<const NodeId> nodes, std::span<const NodeId> others) {
    Nodes left;
    for (const NodeId node : nodes) {
        if (!contains(others, node)) left.push_back(node);
    }
    return left;
}

bool is_same_set(std::span<const NodeId> a, std::span<const NodeId> b) {
    return std::set<NodeId>(a.begin(), a.end()) == std::set<NodeId>(b.begin(), b.end());
}

const PartitionState* find_partition(const TopicState* topic, std::int32_t number) {
    if (topic == nullptr || number < 0) return nullptr;
    const auto index = static_cast<std::size_t>(number);
    return index < topic->partitions.size() ? &topic->partitions[index] : nullptr;
}

std::expected<void, Refusal> check_target(const State& state, const TopicState& topic,
                                          const PartitionState& partition, const Nodes& target) {
    if (auto check = check_replicas(state, target, partition.holders()); !check) return check;
    // A cluster has set it: elsewhere it is refused.
    if (auto check = check_write_quorum(topic.configs, target.size(), true); !check) {
        return refuse(ErrorCode::kInvalidReplicaAssignment, std::move(check.error()));
    }
    return {};
}

/// `partition` when `target` is wanted of it. Whoever may vote by now and is not wanted any more
/// stays known until the group is without it.
PartitionState retargeted(const PartitionState& partition, const Nodes& target) {
    PartitionState next = partition;
    const bool is_reordering = is_same_set(target, partition.replicas);
    if (is_reordering) {
        next.replicas = target;
        next.target_replicas.clear();
    } else {
        next.target_replicas = target;
    }
    next.leaving_replicas =
        without(without(partition.holders(), next.replicas), next.target_replicas);
    if (next != partition) ++next.revision;
    return next;
}

std::expected<PartitionState, Refusal> altered(const State& state, const Reassignment& asked,
                                               const TopicPtr& topic, bool may_change_factor) {
    const PartitionState* partition = find_partition(topic.get(), asked.partition);
    if (partition == nullptr) {
        return refuse(ErrorCode::kUnknownTopicOrPartition,
                      topic == nullptr ? "There is no topic with this name."
                                       : "The topic has no such partition.");
    }
    if (!asked.replicas) {
        if (partition->target_replicas.empty()) {
            return refuse(ErrorCode::kNoReassignmentInProgress,
                          "The partition is not being reassigned.");
        }
        return retargeted(*partition, partition->replicas);
    }
    if (auto check = check_target(state, *topic, *partition, *asked.replicas); !check) {
        return std::unexpected(std::move(check.error()));
    }
    if (!may_change_factor && asked.replicas->size() != partition->replicas.size()) {
        return refuse(ErrorCode::kInvalidReplicationFactor,
                      "The replication factor is changed from " +
                          std::to_string(partition->replicas.size()) + " to " +
                          std::to_string(asked.replicas->size()) + ".");
    }
    return retargeted(*partition, *asked.replicas);
}

}  // namespace

Decision<AlterPartitionReassignmentsReply> decide(const State& state,
                                                  const AlterPartitionReassignments& request) {
    Decision<AlterPartitionReassignmentsReply> decision;
    std::set<std::pair<std::string_view, std::int32_t>> named;
    for (const Reassignment& asked : request.partitions) {
        if (!named.emplace(asked.topic, asked.partition).second) {
            decision.reply.push_back(
                {ErrorCode::kInvalidRequest, "The partition is named twice in the request."});
            continue;
        }
        const TopicPtr topic = state.topic(asked.topic);
        auto next = altered(state, asked, topic, request.allow_replication_factor_change);
        if (!next) {
            decision.reply.push_back(std::move(next.error()));
            continue;
        }
        if (*next != *find_partition(topic.get(), asked.partition)) {
            decision.records.emplace_back(partition_record(topic->id, asked.partition, *next));
        }
        decision.reply.emplace_back();
    }
    DLOG_ASSERT(decision.reply.size() == request.partitions.size(), decision.reply.size());
    return decision;
}

Decision<Refusal> decide(const State& state, const FinishReassignment& request) {
    const auto refused = [](ErrorCode code, std::string message) {
        return Decision<Refusal>{.records = {}, .reply = {code, std::move(message)}};
    };
    const TopicPtr topic = state.topic(request.topic);
    if (topic == nullptr) {
        return refused(ErrorCode::kUnknownTopicId, "There is no topic with this id.");
    }
    const PartitionState* partition = find_partition(topic.get(), request.partition);
    if (partition == nullptr) {
        return refused(ErrorCode::kUnknownTopicOrPartition, "The topic has no such partition.");
    }
    if (!is_same_set(request.replicas, partition->wanted())) {
        return refused(ErrorCode::kInvalidReplicaAssignment,
                       "These are not the replicas that are wanted.");
    }
    if (!partition->is_moving()) return {};
    if (request.revision != partition->revision) {
        return refused(ErrorCode::kInvalidUpdateVersion,
                       "The partition is in revision " + std::to_string(partition->revision) +
                           ", not " + std::to_string(request.revision) + ".");
    }
    const PartitionState finished{.replicas = partition->wanted(),
                                  .revision = partition->revision + 1};
    return {.records = {partition_record(topic->id, request.partition, finished)}, .reply = {}};
}

namespace {

void add_ongoing(std::vector<OngoingReassignment>& list, const TopicState& topic,
                 std::int32_t number) {
    const PartitionState* partition = find_partition(&topic, number);
    if (partition == nullptr || partition->target_replicas.empty()) return;
    const Nodes all = partition->holders();
    list.push_back({.topic = topic.name,
                    .partition = number,
                    .replicas = all,
                    .adding = without(partition->target_replicas, partition->replicas),
                    .removing = without(all, partition->target_replicas)});
}

}  // namespace

std::vector<OngoingReassignment> list_reassignments(
    const State& state, const std::optional<std::vector<ListedTopic>>& topics) {
    std::vector<OngoingReassignment> list;
    if (!topics) {
        for (const auto& [name, topic] : state.topics()) {
            for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
                add_ongoing(list, *topic, static_cast<std::int32_t>(i));
            }
        }
        return list;
    }
    for (const ListedTopic& asked : *topics) {
        const TopicPtr topic = state.topic(asked.name);
        if (topic == nullptr) continue;
        for (const std::int32_t number : asked.partitions) add_ongoing(list, *topic, number);
    }
    return list;
}

}  // namespace dlog::metadata
