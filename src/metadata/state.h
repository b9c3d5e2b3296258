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

/// The numbers are those of NodeRecord's status field.
enum class NodeStatus : std::int8_t {
    kActive = 0,    ///< Takes new replicas.
    kDraining = 1,  ///< Takes none; those that it holds are to move away.
    kRemoved = 2,   ///< Only in records: the state forgets it.
};

struct NodeState {
    /// The node's start counter: a later registration has a higher one.
    LeaderEpoch epoch;
    std::string host;
    std::int32_t port = 0;
    /// Nodes of one rack fail together; empty: a rack of its own.
    std::string rack = {};
    /// Where other nodes reach it. Empty and 0 for a node that was registered alone.
    std::string peer_host = {};
    std::int32_t peer_port = 0;
    NodeStatus status = NodeStatus::kActive;
    /// The highest that it understands.
    std::int16_t feature_level = 0;

    bool operator==(const NodeState&) const = default;
};

/// A node begins or ceases to take new replicas.
struct MembershipChange {
    NodeId node;
    std::string rack;
    bool joins = true;

    bool operator==(const MembershipChange&) const = default;
};

/// How many replicas a node holds or is about to, and how many partitions prefer it as their
/// leader.
struct NodeLoad {
    std::size_t replicas = 0;
    std::size_t preferred_leads = 0;

    bool operator==(const NodeLoad&) const = default;
};

/// Which nodes hold a partition. Who leads it is decided by them, in their Raft group.
struct PartitionState {
    /// Never empty. While they are to change: those before.
    std::vector<NodeId> replicas;
    /// Those that are to be; empty unless the replicas are to change.
    std::vector<NodeId> target_replicas = {};
    /// Were in a target that was given up: they may vote until the group has the wanted voters.
    std::vector<NodeId> leaving_replicas = {};
    /// Counts the changes of the above.
    std::int32_t revision = 0;

    /// The voters that the partition's group is to have, the preferred leader first.
    [[nodiscard]] const std::vector<NodeId>& wanted() const {
        return target_replicas.empty() ? replicas : target_replicas;
    }
    [[nodiscard]] NodeId preferred_leader() const { return wanted().front(); }
    /// The group may have other voters than are wanted.
    [[nodiscard]] bool is_moving() const {
        return !target_replicas.empty() || !leaving_replicas.empty();
    }
    /// Every node that may vote or is to, once: those that are wanted first, in their order.
    [[nodiscard]] std::vector<NodeId> holders() const;

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
    /// Without those that were removed.
    [[nodiscard]] const std::map<NodeId, NodeState>& nodes() const { return nodes_; }
    /// Since the cluster's beginning, in order: copysets are derived from them.
    [[nodiscard]] const std::vector<MembershipChange>& membership() const { return membership_; }
    [[nodiscard]] NodeLoad load_of(NodeId node) const;
    /// What every node understands, and the cluster's records may say.
    [[nodiscard]] std::int16_t feature_level() const { return feature_level_; }
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
    [[nodiscard]] const std::map<NodeId, ConfigMap>& all_broker_configs() const {
        return broker_configs_;
    }
    [[nodiscard]] const std::map<std::string, ConfigMap, std::less<>>& all_group_configs() const {
        return group_configs_;
    }
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
    void fold(const FeatureLevelRecord& record);
    void note_membership(NodeId node, const NodeState* before, const NodeState* after);
    void add_load(const PartitionState& partition);
    void subtract_load(const PartitionState& partition);
    /// The topic to change: a copy of its own when an image may share it. Null when it is not
    /// there.
    [[nodiscard]] TopicState* change(TopicId id);

    std::string cluster_id_;
    std::map<NodeId, NodeState> nodes_;
    std::vector<MembershipChange> membership_;
    /// Without nodes that hold nothing.
    std::map<NodeId, NodeLoad> loads_;
    std::int16_t feature_level_ = 0;
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
