#include "coordination/group/offsets.h"

#include <iterator>
#include <utility>

namespace dlog::coordination {

const Offsets::Topics* Offsets::find(std::string_view group_id) const {
    const auto found = groups_.find(group_id);
    return found == groups_.end() ? nullptr : &found->second;
}

const CommittedOffset* Offsets::find(std::string_view group_id, std::string_view topic,
                                     std::int32_t partition) const {
    const Topics* const topics = find(group_id);
    if (topics == nullptr) return nullptr;
    const auto partitions = topics->find(topic);
    if (partitions == topics->end()) return nullptr;
    const auto found = partitions->second.find(partition);
    return found == partitions->second.end() ? nullptr : &found->second;
}

void Offsets::put(std::string_view group_id, std::string_view topic, std::int32_t partition,
                  CommittedOffset offset) {
    auto group = groups_.find(group_id);
    if (group == groups_.end()) group = groups_.try_emplace(std::string(group_id)).first;
    auto at = group->second.find(topic);
    if (at == group->second.end()) at = group->second.try_emplace(std::string(topic)).first;
    if (at->second.insert_or_assign(partition, std::move(offset)).second) ++count_;
}

bool Offsets::remove(std::string_view group_id, std::string_view topic, std::int32_t partition) {
    const auto group = groups_.find(group_id);
    if (group == groups_.end()) return false;
    const auto at = group->second.find(topic);
    if (at == group->second.end() || at->second.erase(partition) == 0) return false;
    --count_;
    if (at->second.empty()) group->second.erase(at);
    if (group->second.empty()) groups_.erase(group);
    return true;
}

void Offsets::remove_group(std::string_view group_id, Effects& effects) {
    const auto group = groups_.find(group_id);
    if (group == groups_.end()) return;
    for (const auto& [topic, partitions] : group->second) {
        for (const auto& [partition, offset] : partitions) {
            effects.records.push_back(offset_tombstone(group_id, topic, partition));
        }
        count_ -= partitions.size();
    }
    groups_.erase(group);
}

void Offsets::remove_topic(std::string_view topic, Effects& effects) {
    for (auto group = groups_.begin(); group != groups_.end();) {
        const auto at = group->second.find(topic);
        if (at != group->second.end()) {
            for (const auto& [partition, offset] : at->second) {
                effects.records.push_back(offset_tombstone(group->first, topic, partition));
            }
            count_ -= at->second.size();
            group->second.erase(at);
        }
        group = group->second.empty() ? groups_.erase(group) : std::next(group);
    }
}

GroupRecord offset_record(std::string_view group_id, std::string_view topic, std::int32_t partition,
                          const CommittedOffset& offset) {
    OffsetCommitValue value;
    value.offset = offset.offset;
    value.leader_epoch = offset.leader_epoch;
    value.metadata = offset.metadata;
    value.commit_timestamp = offset.committed_at.ms;
    value.expire_timestamp = offset.expires_at.ms;
    value.topic_id = offset.topic_id;
    return make_record(
        OffsetCommitKey{
            .group = std::string(group_id), .topic = std::string(topic), .partition = partition},
        value,
        offset.expires_at == kNoTimestamp ? kOffsetCommitVersion : kExpiringOffsetCommitVersion);
}

GroupRecord offset_tombstone(std::string_view group_id, std::string_view topic,
                             std::int32_t partition) {
    return tombstone(OffsetCommitKey{
        .group = std::string(group_id), .topic = std::string(topic), .partition = partition});
}

CommittedOffset offset_from_record(const OffsetCommitValue& value) {
    return {
        .offset = value.offset,
        .leader_epoch = value.leader_epoch,
        .metadata = value.metadata,
        .committed_at = Timestamp{value.commit_timestamp},
        .expires_at = value.expire_timestamp < 0 ? kNoTimestamp : Timestamp{value.expire_timestamp},
        .topic_id = value.topic_id};
}

}  // namespace dlog::coordination
