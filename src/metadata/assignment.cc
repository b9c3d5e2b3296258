#include "metadata/assignment.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace dlog::metadata {

using protocol::ErrorCode;

namespace {

std::unexpected<Refusal> refuse_assignment(std::string message) {
    return std::unexpected(Refusal{ErrorCode::kInvalidReplicaAssignment, std::move(message)});
}

std::vector<std::int32_t> numbers_of(std::span<const NodeId> nodes) {
    std::vector<std::int32_t> numbers;
    numbers.reserve(nodes.size());
    for (const NodeId node : nodes) numbers.push_back(node.value);
    return numbers;
}

}  // namespace

std::expected<void, Refusal> check_replicas(const State& state, std::span<const NodeId> nodes,
                                            std::span<const NodeId> held) {
    if (nodes.empty()) {
        return refuse_assignment("A manual assignment names at least one node for each partition.");
    }
    if (nodes.size() > kReplicationFactorMax) {
        return refuse_assignment("A manual assignment names " + std::to_string(nodes.size()) +
                                 " nodes for one partition; a partition has at most " +
                                 std::to_string(kReplicationFactorMax) + " replicas.");
    }
    std::set<NodeId> seen;
    for (const NodeId node : nodes) {
        const auto found = state.nodes().find(node);
        if (found == state.nodes().end()) {
            return refuse_assignment("The manual assignment includes node " +
                                     std::to_string(node.value) +
                                     ", but no such node is registered.");
        }
        if (!seen.insert(node).second) {
            return refuse_assignment("The manual assignment names node " +
                                     std::to_string(node.value) + " twice for one partition.");
        }
        if (found->second.status != NodeStatus::kActive &&
            std::ranges::find(held, node) == held.end()) {
            return refuse_assignment("The manual assignment includes node " +
                                     std::to_string(node.value) + ", which is being drained.");
        }
    }
    return {};
}

std::expected<void, Refusal> check_same_count(std::size_t count, std::size_t factor) {
    if (count == factor) return {};
    return refuse_assignment("The manual assignment includes a partition with " +
                             std::to_string(count) + " replicas, but the others have " +
                             std::to_string(factor) + ".");
}

std::expected<void, Refusal> check_factor(const Placer& placer, std::size_t factor) {
    const auto refuse = [&](const std::string& reason) {
        return std::unexpected(Refusal{
            ErrorCode::kInvalidReplicationFactor,
            "The replication factor " + std::to_string(factor) + " is larger than " + reason});
    };
    if (factor > placer.node_count()) {
        const bool is_one = placer.node_count() == 1;
        return refuse(
            "the " + std::to_string(placer.node_count()) +
            (is_one ? " node that can hold replicas." : " nodes that can hold replicas."));
    }
    if (factor > kReplicationFactorMax) {
        return refuse(std::to_string(kReplicationFactorMax) +
                      ", the most that a partition can have.");
    }
    return {};
}

PartitionRecord partition_record(TopicId topic, std::int32_t number,
                                 const PartitionState& partition) {
    DLOG_ASSERT(number >= 0 && !partition.replicas.empty(), number);
    PartitionRecord record;
    record.topic_id = topic;
    record.partition = number;
    record.replicas = numbers_of(partition.replicas);
    record.target_replicas = numbers_of(partition.target_replicas);
    record.leaving_replicas = numbers_of(partition.leaving_replicas);
    record.revision = partition.revision;
    return record;
}

void record_topic(std::vector<Record>& records, const TopicState& topic) {
    TopicRecord record;
    record.name = topic.name;
    record.topic_id = topic.id;
    records.emplace_back(std::move(record));
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        records.emplace_back(
            partition_record(topic.id, static_cast<std::int32_t>(i), topic.partitions[i]));
    }
    for (const auto& [name, value] : topic.configs) {
        TopicConfigRecord config;
        config.topic_id = topic.id;
        config.name = name;
        config.value = value;
        records.emplace_back(std::move(config));
    }
}

}  // namespace dlog::metadata
