#include "metadata/snapshot.h"

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "metadata/assignment.h"
#include "metadata/client_quotas.h"
#include "metadata/nodes.h"

namespace dlog::metadata {

namespace {

void add_cluster(std::vector<Record>& records, const State& state) {
    if (!state.cluster_id().empty()) {
        ClusterRecord cluster;
        cluster.cluster_id = state.cluster_id();
        records.emplace_back(std::move(cluster));
    }
    if (state.feature_level() > 0) {
        FeatureLevelRecord feature;
        feature.level = state.feature_level();
        records.emplace_back(std::move(feature));
    }
    if (state.next_producer_id() > 0) {
        ProducerIdsRecord ids;
        ids.node_id = kEveryNode.value;
        ids.next_producer_id = state.next_producer_id();
        records.emplace_back(std::move(ids));
    }
}

/// First their comings and goings, then what they are.
void add_nodes(std::vector<Record>& records, const State& state) {
    std::set<NodeId> gone;
    for (const MembershipChange& change : state.membership()) {
        const NodeStatus status = change.joins ? NodeStatus::kActive : NodeStatus::kDraining;
        records.emplace_back(node_record(change.node, {.rack = change.rack, .status = status}));
        if (!state.nodes().contains(change.node)) gone.insert(change.node);
    }
    for (const NodeId node : gone) {
        records.emplace_back(node_record(node, {.status = NodeStatus::kRemoved}));
    }
    for (const auto& [id, node] : state.nodes()) records.emplace_back(node_record(id, node));
}

void add_configs(std::vector<Record>& records, const State& state) {
    for (const auto& [node, configs] : state.all_broker_configs()) {
        for (const auto& [name, value] : configs) {
            BrokerConfigRecord record;
            record.node_id = node.value;
            record.name = name;
            record.value = value;
            records.emplace_back(std::move(record));
        }
    }
    for (const auto& [group, configs] : state.all_group_configs()) {
        for (const auto& [name, value] : configs) {
            GroupConfigRecord record;
            record.group_id = group;
            record.name = name;
            record.value = value;
            records.emplace_back(std::move(record));
        }
    }
}

void add_quotas(std::vector<Record>& records, const State& state) {
    if (state.client_quotas() == nullptr) return;
    for (const auto& [entity, values] : state.client_quotas()->matching({})) {
        for (const auto& [key, value] : values) {
            records.emplace_back(quota_record(entity, key, value));
        }
    }
}

}  // namespace

std::vector<Record> snapshot_records(const State& state) {
    std::vector<Record> records;
    add_cluster(records, state);
    add_nodes(records, state);
    for (const auto& [name, topic] : state.topics()) record_topic(records, *topic);
    add_configs(records, state);
    add_quotas(records, state);
    return records;
}

}  // namespace dlog::metadata
