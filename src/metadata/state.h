/// What the controller knows of the cluster: the fold of the metadata log's records.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "metadata/client_quotas.h"
#include "metadata/config_definition.h"
#include "metadata/records.h"

namespace dlog::metadata {

/// Bears the settings that hold for every node without one of its own.
inline constexpr NodeId kEveryNode{-1};

struct NodeState {
    /// The node's start counter, and the leader epoch of every partition that it leads.
    LeaderEpoch epoch;
    std::string host;
    std::int32_t port = 0;

    bool operator==(const NodeState&) const = default;
};

struct PartitionState {
    NodeId leader;
    std::vector<NodeId> replicas;

    bool operator==(const PartitionState&) const = default;
};

struct TopicState {
    std::string name;
    TopicId id;
    /// By partition number.
    std::vector<PartitionState> partitions;
    /// Only what was set on the topic itself.
    ConfigMap configs;

    bool operator==(const TopicState&) const = default;
};
using TopicPtr = std::shared_ptr<const TopicState>;

class State;
/// What every core reads. It never changes; a new one is published after each change.
using Image = std::shared_ptr<const State>;

/// The controller's state, owned by its core. Images share its topics, which are copied before they
/// change again.
class State {
  public:
    State() = default;
    State& operator=(const State&) = delete;

    /// The state as it is now, for others to read.
    [[nodiscard]] Image image();

    /// Folds one record in. Records that name what is not there (any more) change nothing.
    void apply(const Record& record);

    [[nodiscard]] const std::string& cluster_id() const { return cluster_id_; }
    [[nodiscard]] const std::map<NodeId, NodeState>& nodes() const { return nodes_; }
    /// By name.
    [[nodiscard]] const std::map<std::string, TopicPtr, std::less<>>& topics() const {
        return topics_;
    }
    /// Null when there is none.
    [[nodiscard]] TopicPtr topic(std::string_view name) const;
    [[nodiscard]] TopicPtr topic(TopicId id) const;
    /// The name of a topic that `name` collides with, empty when there is none.
    [[nodiscard]] std::string_view collision_of(std::string_view name) const;
    /// kNoEpoch for a node that never registered.
    [[nodiscard]] LeaderEpoch epoch_of(NodeId node) const;
    /// What was set on a node while it ran; on every node for kEveryNode.
    [[nodiscard]] const ConfigMap& broker_configs(NodeId node) const;
    [[nodiscard]] const ConfigMap& group_configs(std::string_view group_id) const;
    /// Null when no quota is set.
    [[nodiscard]] const ClientQuotasPtr& client_quotas() const { return client_quotas_; }
    [[nodiscard]] std::int64_t next_producer_id() const { return next_producer_id_; }
    [[nodiscard]] std::size_t partition_count() const { return partition_count_; }

  private:
    State(const State&) = default;

    void fold(const ClusterRecord& record);
    void fold(const NodeRecord& record);
    void fold(const TopicRecord& record);
    void fold(const PartitionRecord& record);
    void fold(const TopicConfigRecord& record);
    void fold(const RemoveTopicRecord& record);
    void fold(const ProducerIdsRecord& record);
    void fold(const BrokerConfigRecord& record);
    void fold(const ClientQuotaRecord& record);
    void fold(const GroupConfigRecord& record);
    /// The topic to change: a copy of its own when an image may share it. Null when it is not
    /// there.
    [[nodiscard]] TopicState* change(TopicId id);

    std::string cluster_id_;
    std::map<NodeId, NodeState> nodes_;
    std::map<std::string, TopicPtr, std::less<>> topics_;
    std::unordered_map<TopicId, std::string, IdHash> names_;
    /// The names that could collide, by their collision key.
    std::map<std::string, std::string, std::less<>> collisions_;
    /// Without empty maps.
    std::map<NodeId, ConfigMap> broker_configs_;
    std::map<std::string, ConfigMap, std::less<>> group_configs_;
    std::int64_t next_producer_id_ = 0;
    std::size_t partition_count_ = 0;
    /// Topics that no image shares.
    std::unordered_set<TopicId, IdHash> unshared_;
    ClientQuotasPtr client_quotas_;
    /// An image shares them: they are copied before they change.
    bool has_shared_quotas_ = false;
};

}  // namespace dlog::metadata
