#include "metadata/state.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "metadata/topic_name.h"

namespace dlog::metadata {

namespace {

const ConfigMap kNothingSet;

/// Sets what the record sets, or takes it back.
template <class Configs, class Key, class ConfigRecord>
void set_config(Configs& configs, const Key& key, const ConfigRecord& record) {
    if (record.value) {
        configs[key][record.name] = *record.value;
        return;
    }
    const auto found = configs.find(key);
    if (found == configs.end()) return;
    found->second.erase(record.name);
    if (found->second.empty()) configs.erase(found);
}

/// A status of a later program is no reason to send anything there.
NodeStatus status_of(const NodeRecord& record) {
    const auto status = static_cast<NodeStatus>(record.status);
    return status == NodeStatus::kActive || status == NodeStatus::kRemoved ? status
                                                                           : NodeStatus::kDraining;
}

std::vector<NodeId> nodes_from(const std::vector<std::int32_t>& numbers) {
    std::vector<NodeId> nodes;
    nodes.reserve(numbers.size());
    for (const std::int32_t number : numbers) nodes.emplace_back(number);
    return nodes;
}

}  // namespace

std::vector<NodeId> PartitionState::holders() const {
    std::vector<NodeId> all;
    for (const auto* list : {&wanted(), &replicas, &leaving_replicas}) {
        for (const NodeId node : *list) {
            if (std::ranges::find(all, node) == all.end()) all.push_back(node);
        }
    }
    return all;
}

void State::apply(const Record& record) {
    std::visit([this](const auto& known) { fold(known); }, record);
}

Image State::image() {
    unshared_.clear();
    has_shared_quotas_ = true;
    return Image(new State(*this));
}

TopicPtr State::topic(std::string_view name) const {
    const auto found = topics_.find(name);
    return found == topics_.end() ? nullptr : found->second;
}

TopicPtr State::topic(TopicId id) const {
    const auto found = names_.find(id);
    return found == names_.end() ? nullptr : topic(found->second);
}

std::string_view State::collision_of(std::string_view name) const {
    if (!may_collide(name)) return {};
    const auto found = collisions_.find(collision_key(name));
    return found == collisions_.end() ? std::string_view{} : found->second;
}

NodeLoad State::load_of(NodeId node) const {
    const auto found = loads_.find(node);
    return found == loads_.end() ? NodeLoad{} : found->second;
}

LeaderEpoch State::epoch_of(NodeId node) const {
    const auto found = nodes_.find(node);
    return found == nodes_.end() ? kNoEpoch : found->second.epoch;
}

const ConfigMap& State::group_configs(std::string_view group_id) const {
    const auto found = group_configs_.find(group_id);
    return found == group_configs_.end() ? kNothingSet : found->second;
}

const ConfigMap& State::broker_configs(NodeId node) const {
    const auto found = broker_configs_.find(node);
    return found == broker_configs_.end() ? kNothingSet : found->second;
}

void State::fold(const ClusterRecord& record) {
    cluster_id_ = record.cluster_id;
}

void State::fold(const NodeRecord& record) {
    const NodeId id(record.node_id);
    const auto found = nodes_.find(id);
    const NodeState* before = found == nodes_.end() ? nullptr : &found->second;
    if (status_of(record) == NodeStatus::kRemoved) {
        note_membership(id, before, nullptr);
        nodes_.erase(id);
        return;
    }
    NodeState after{.epoch = LeaderEpoch(record.leader_epoch),
                    .host = record.host,
                    .port = record.port,
                    .rack = record.rack,
                    .peer_host = record.peer_host,
                    .peer_port = record.peer_port,
                    .status = status_of(record),
                    .feature_level = record.feature_level};
    note_membership(id, before, &after);
    nodes_[id] = std::move(after);
}

void State::note_membership(NodeId node, const NodeState* before, const NodeState* after) {
    const bool was_member = before != nullptr && before->status == NodeStatus::kActive;
    const bool is_member = after != nullptr && after->status == NodeStatus::kActive;
    if (was_member && is_member && before->rack == after->rack) return;
    if (was_member) membership_.push_back({node, before->rack, false});
    if (is_member) membership_.push_back({node, after->rack, true});
}

void State::fold(const FeatureLevelRecord& record) {
    feature_level_ = std::max(feature_level_, record.level);
}

void State::fold(const TopicRecord& record) {
    if (names_.contains(record.topic_id) || topics_.contains(record.name)) return;
    auto topic = std::make_shared<TopicState>();
    topic->name = record.name;
    topic->id = record.topic_id;
    names_.emplace(record.topic_id, record.name);
    unshared_.insert(record.topic_id);
    if (may_collide(record.name)) collisions_.emplace(collision_key(record.name), record.name);
    topics_.emplace(record.name, std::move(topic));
    DLOG_ASSERT(names_.size() == topics_.size(), names_.size(), topics_.size());
}

void State::fold(const PartitionRecord& record) {
    TopicState* const topic = change(record.topic_id);
    if (topic == nullptr || record.partition < 0 || record.replicas.empty()) return;
    const auto index = static_cast<std::size_t>(record.partition);
    // Partitions are recorded in order; one beyond the next is not a record of ours.
    if (index > topic->partitions.size()) return;
    if (index == topic->partitions.size()) {
        topic->partitions.emplace_back();
        ++partition_count_;
    } else {
        subtract_load(topic->partitions[index]);
    }
    PartitionState& partition = topic->partitions[index];
    partition = {.replicas = nodes_from(record.replicas),
                 .target_replicas = nodes_from(record.target_replicas),
                 .leaving_replicas = nodes_from(record.leaving_replicas),
                 .revision = record.revision};
    add_load(partition);
}

void State::add_load(const PartitionState& partition) {
    for (const NodeId node : partition.holders()) ++loads_[node].replicas;
    ++loads_[partition.preferred_leader()].preferred_leads;
}

void State::subtract_load(const PartitionState& partition) {
    --loads_[partition.preferred_leader()].preferred_leads;
    for (const NodeId node : partition.holders()) {
        const auto found = loads_.find(node);
        DLOG_ASSERT(found != loads_.end() && found->second.replicas > 0, node);
        if (--found->second.replicas == 0) loads_.erase(found);
    }
}

void State::fold(const TopicConfigRecord& record) {
    TopicState* const topic = change(record.topic_id);
    if (topic == nullptr) return;
    if (record.value) {
        topic->configs[record.name] = *record.value;
    } else {
        topic->configs.erase(record.name);
    }
}

void State::fold(const RemoveTopicRecord& record) {
    const auto name = names_.find(record.topic_id);
    if (name == names_.end()) return;
    const auto found = topics_.find(name->second);
    DLOG_ASSERT(found != topics_.end(), name->second);
    partition_count_ -= found->second->partitions.size();
    for (const PartitionState& partition : found->second->partitions) subtract_load(partition);
    if (may_collide(name->second)) collisions_.erase(collision_key(name->second));
    unshared_.erase(record.topic_id);
    topics_.erase(found);
    names_.erase(name);
}

void State::fold(const ProducerIdsRecord& record) {
    if (record.next_producer_id > next_producer_id_) next_producer_id_ = record.next_producer_id;
}

void State::fold(const BrokerConfigRecord& record) {
    set_config(broker_configs_, NodeId(record.node_id), record);
}

void State::fold(const GroupConfigRecord& record) {
    set_config(group_configs_, record.group_id, record);
}

void State::fold(const ClientQuotaRecord& record) {
    const QuotaEntity entity = entity_of(record);
    if (entity.empty()) return;
    if (client_quotas_ == nullptr) {
        client_quotas_ = std::make_shared<ClientQuotas>();
    } else if (has_shared_quotas_) {
        client_quotas_ = std::make_shared<ClientQuotas>(*client_quotas_);
    }
    has_shared_quotas_ = false;
    // It was made as a non-const object, and this State alone holds it.
    auto& quotas = const_cast<ClientQuotas&>(*client_quotas_);
    if (record.is_removed) {
        quotas.remove(entity, record.key);
    } else {
        quotas.set(entity, record.key, record.value);
    }
    if (quotas.is_empty()) client_quotas_.reset();
}

TopicState* State::change(TopicId id) {
    const auto name = names_.find(id);
    if (name == names_.end()) return nullptr;
    const auto found = topics_.find(name->second);
    DLOG_ASSERT(found != topics_.end(), name->second);
    if (unshared_.insert(id).second) {
        found->second = std::make_shared<TopicState>(*found->second);
    }
    // It was made as a non-const object, and this State alone holds it.
    return const_cast<TopicState*>(found->second.get());
}

}  // namespace dlog::metadata
