/// The nodes of a cluster come, are drained and go, and the cluster learns what they all
/// understand.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "metadata/controller.h"
#include "metadata/state.h"

namespace dlog::metadata {

/// A node has started under this epoch, which is above all its earlier ones. A node that was being
/// drained still is. Replies: kNone; kInvalidRegistration; kInconsistentClusterId;
/// kStaleBrokerEpoch for an earlier start than the one registered; kDuplicateBrokerRegistration for
/// another one of the same epoch; kUnsupportedVersion for a program older than the cluster's
/// feature level.
struct RegisterNode {
    NodeId node;
    LeaderEpoch epoch;
    std::string host;
    std::int32_t port = 0;
    /// For a new cluster the id that it gets.
    std::string cluster_id;
    std::string rack = {};
    /// Empty and 0: no other node reaches it.
    std::string peer_host = {};
    std::int32_t peer_port = 0;
    std::int16_t feature_level = 0;
};
[[nodiscard]] Decision<Refusal> decide(const State& state, const RegisterNode& request);

/// No new replica comes to the node; `plan_drain` says how those that it holds go. Replies: kNone,
/// also when it is being drained already; kBrokerIdNotRegistered; kPolicyViolation when the other
/// nodes are too few for what it holds.
struct DrainNode {
    NodeId node;
};
[[nodiscard]] Decision<Refusal> decide(const State& state, const DrainNode& request);

/// The node takes replicas again. Replies: kNone, also when it does already;
/// kBrokerIdNotRegistered.
struct ResumeNode {
    NodeId node;
};
[[nodiscard]] Decision<Refusal> decide(const State& state, const ResumeNode& request);

/// The node is forgotten. Replies: kNone; kBrokerIdNotRegistered; kPolicyViolation while it holds
/// replicas, and for the last node.
struct RemoveNode {
    NodeId node;
};
[[nodiscard]] Decision<Refusal> decide(const State& state, const RemoveNode& request);

/// Raises the cluster's feature level. Replies: kNone, also for the level that it has;
/// kInvalidUpdateVersion for a lower one, or one that a node does not understand.
struct UpgradeFeature {
    std::int16_t level = 0;
};
[[nodiscard]] Decision<Refusal> decide(const State& state, const UpgradeFeature& request);

/// The highest level that every node understands: what UpgradeFeature can be asked for.
[[nodiscard]] std::int16_t common_feature_level(const State& state);

/// The record that gives the node this state.
[[nodiscard]] NodeRecord node_record(NodeId id, const NodeState& node);

}  // namespace dlog::metadata
