#include "metadata/state.h"

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

}  // namespace

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
    nodes_[NodeId(record.node_id)] = {
        .epoch = LeaderEpoch(record.leader_epoch), .host = record.host, .port = record.port};
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
    if (topic == nullptr || record.partition < 0) return;
    const auto index = static_cast<std::size_t>(record.partition);
    // Partitions are recorded in order; one beyond the next is not a record of ours.
    if (index > topic->partitions.size()) return;
    if (index == topic->partitions.size()) {
        topic->partitions.emplace_back();
        ++partition_count_;
    }
    PartitionState& partition = topic->partitions[index];
    partition.leader = NodeId(record.leader);
    partition.replicas.clear();
    for (const std::int32_t node : record.replicas) partition.replicas.emplace_back(node);
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
