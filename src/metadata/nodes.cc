#include "metadata/nodes.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/assert.h"

namespace dlog::metadata {

using protocol::ErrorCode;

namespace {

/// DNS allows 253; a rack is a name of somebody's.
constexpr std::size_t kNameBytesMax = 255;

std::string name_of(NodeId node) {
    return "Node " + std::to_string(node.value);
}

Decision<Refusal> refuse(ErrorCode code, std::string message) {
    return {.records = {}, .reply = {code, std::move(message)}};
}

Decision<Refusal> refuse_unknown(NodeId node) {
    return refuse(ErrorCode::kBrokerIdNotRegistered, name_of(node) + " is not registered.");
}

bool is_port(std::int32_t port) {
    return port >= 0 && port <= std::numeric_limits<std::uint16_t>::max();
}

/// What can be said of a registration without the state; empty when all is well.
std::string fault_of(const RegisterNode& request) {
    if (request.node.value < 0 || request.epoch.value < 0 || request.feature_level < 0) {
        return "Neither a node's id nor its epoch nor its feature level is negative.";
    }
    if (!is_port(request.port) || !is_port(request.peer_port)) {
        return "A node's ports are between 0 and 65535.";
    }
    for (const std::string* name : {&request.host, &request.rack, &request.peer_host}) {
        if (name->size() > kNameBytesMax) {
            return "The names of a node's hosts and rack have at most " +
                   std::to_string(kNameBytesMax) + " bytes.";
        }
    }
    if (request.peer_host.empty() != (request.peer_port == 0)) {
        return "A node's endpoint for other nodes has a host and a port, or neither.";
    }
    return {};
}

/// Whether the remaining nodes could hold what the drained ones do, `node` among these.
std::string fault_of_draining(const State& state, NodeId node) {
    std::set<NodeId> drained{node};
    for (const auto& [id, other] : state.nodes()) {
        if (other.status != NodeStatus::kActive) drained.insert(id);
    }
    const std::size_t active = state.nodes().size() - drained.size();
    if (active == 0) return name_of(node) + " is the last one that takes replicas.";
    const auto is_drained = [&](NodeId id) { return drained.contains(id); };
    for (const auto& [name, topic] : state.topics()) {
        for (const PartitionState& partition : topic->partitions) {
            if (partition.wanted().size() <= active ||
                std::ranges::none_of(partition.holders(), is_drained)) {
                continue;
            }
            return "Topic '" + name + "' has a replication factor of " +
                   std::to_string(partition.wanted().size()) + ", but without node " +
                   std::to_string(node.value) + " only " + std::to_string(active) +
                   (active == 1 ? " node takes" : " nodes take") +
                   " replicas. Add a node first, or move the topic to fewer replicas.";
        }
    }
    return {};
}

Decision<Refusal> change_status(NodeId id, const NodeState& node, NodeStatus status) {
    DLOG_ASSERT(node.status != status, id);
    NodeState changed = node;
    changed.status = status;
    return {.records = {node_record(id, changed)}, .reply = {}};
}

}  // namespace

NodeRecord node_record(NodeId id, const NodeState& node) {
    NodeRecord record;
    record.node_id = id.value;
    record.leader_epoch = node.epoch.value;
    record.host = node.host;
    record.port = node.port;
    record.rack = node.rack;
    record.peer_host = node.peer_host;
    record.peer_port = node.peer_port;
    record.status = static_cast<std::int8_t>(node.status);
    record.feature_level = node.feature_level;
    return record;
}

Decision<Refusal> decide(const State& state, const RegisterNode& request) {
    if (std::string fault = fault_of(request); !fault.empty()) {
        return refuse(ErrorCode::kInvalidRegistration, std::move(fault));
    }
    const bool is_new_cluster = state.cluster_id().empty();
    if (!is_new_cluster && request.cluster_id != state.cluster_id()) {
        return refuse(ErrorCode::kInconsistentClusterId,
                      name_of(request.node) + " belongs to the cluster '" + request.cluster_id +
                          "', this one is '" + state.cluster_id() + "'.");
    }
    if (request.feature_level < state.feature_level()) {
        return refuse(ErrorCode::kUnsupportedVersion,
                      "The cluster has feature level " + std::to_string(state.feature_level()) +
                          ", but the program of node " + std::to_string(request.node.value) +
                          " understands only " + std::to_string(request.feature_level) +
                          ": it is to be upgraded.");
    }
    NodeState node{.epoch = request.epoch,
                   .host = request.host,
                   .port = request.port,
                   .rack = request.rack,
                   .peer_host = request.peer_host,
                   .peer_port = request.peer_port,
                   .feature_level = request.feature_level};
    if (const auto known = state.nodes().find(request.node); known != state.nodes().end()) {
        node.status = known->second.status;
        if (known->second == node) return {};  // The answer to the first attempt was lost.
        if (request.epoch < known->second.epoch) {
            return refuse(ErrorCode::kStaleBrokerEpoch,
                          name_of(request.node) + " has started since, in a later epoch.");
        }
        if (request.epoch == known->second.epoch) {
            return refuse(ErrorCode::kDuplicateBrokerRegistration,
                          name_of(request.node) + " is registered already, at " +
                              known->second.host + ":" + std::to_string(known->second.port) + ".");
        }
    }
    Decision<Refusal> decision;
    if (is_new_cluster) {
        ClusterRecord cluster;
        cluster.cluster_id = request.cluster_id;
        decision.records.emplace_back(std::move(cluster));
        if (request.feature_level > state.feature_level()) {
            FeatureLevelRecord feature;
            feature.level = request.feature_level;
            decision.records.emplace_back(std::move(feature));
        }
    }
    decision.records.emplace_back(node_record(request.node, node));
    return decision;
}

Decision<Refusal> decide(const State& state, const DrainNode& request) {
    const auto found = state.nodes().find(request.node);
    if (found == state.nodes().end()) return refuse_unknown(request.node);
    if (found->second.status == NodeStatus::kDraining) return {};
    if (std::string fault = fault_of_draining(state, request.node); !fault.empty()) {
        return refuse(ErrorCode::kPolicyViolation, std::move(fault));
    }
    return change_status(request.node, found->second, NodeStatus::kDraining);
}

Decision<Refusal> decide(const State& state, const ResumeNode& request) {
    const auto found = state.nodes().find(request.node);
    if (found == state.nodes().end()) return refuse_unknown(request.node);
    if (found->second.status == NodeStatus::kActive) return {};
    return change_status(request.node, found->second, NodeStatus::kActive);
}

Decision<Refusal> decide(const State& state, const RemoveNode& request) {
    const auto found = state.nodes().find(request.node);
    if (found == state.nodes().end()) return refuse_unknown(request.node);
    if (state.nodes().size() == 1) {
        return refuse(ErrorCode::kPolicyViolation,
                      name_of(request.node) + " is the last one of the cluster.");
    }
    if (const std::size_t held = state.load_of(request.node).replicas; held > 0) {
        const bool is_draining = found->second.status == NodeStatus::kDraining;
        return refuse(ErrorCode::kPolicyViolation,
                      name_of(request.node) + " holds " + std::to_string(held) +
                          (held == 1 ? " replica" : " replicas") +
                          (is_draining ? " yet: wait until they have moved away."
                                       : ": drain it first, and wait until they have moved away."));
    }
    return change_status(request.node, found->second, NodeStatus::kRemoved);
}

Decision<Refusal> decide(const State& state, const UpgradeFeature& request) {
    if (request.level < state.feature_level()) {
        return refuse(ErrorCode::kInvalidUpdateVersion, "The cluster has feature level " +
                                                            std::to_string(state.feature_level()) +
                                                            ", which cannot be lowered.");
    }
    for (const auto& [id, node] : state.nodes()) {
        if (node.feature_level >= request.level) continue;
        return refuse(ErrorCode::kInvalidUpdateVersion,
                      name_of(id) + " understands feature level " +
                          std::to_string(node.feature_level) + " at most: upgrade or remove it.");
    }
    if (request.level == state.feature_level()) return {};
    FeatureLevelRecord record;
    record.level = request.level;
    return {.records = {Record(record)}, .reply = {}};
}

std::int16_t common_feature_level(const State& state) {
    std::int16_t level = std::numeric_limits<std::int16_t>::max();
    for (const auto& [id, node] : state.nodes()) level = std::min(level, node.feature_level);
    return state.nodes().empty() ? state.feature_level() : level;
}

}  // namespace dlog::metadata
