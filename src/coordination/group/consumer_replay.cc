/// The records of consumer groups, folded in. Compaction may leave those of a member in any order:
/// each of them makes its group and its member, and a member that no profile came for is forgotten
/// in the end.
#include <algorithm>
#include <utility>

#include "coordination/group/consumer_groups.h"

namespace dlog::coordination {

void ConsumerGroups::fold(const ConsumerGroupMetadataKey& key, ConsumerGroupMetadataValue* value) {
    if (value == nullptr) return erase(get(key.group_id));
    ConsumerGroup& group = get(key.group_id);
    group.epoch = std::max(value->epoch, 0);
    group.metadata_hash = static_cast<std::uint64_t>(value->metadata_hash);
}

void ConsumerGroups::fold(const ConsumerGroupTargetAssignmentMetadataKey& key,
                          ConsumerGroupTargetAssignmentMetadataValue* value) {
    get(key.group_id).target_epoch = value == nullptr ? 0 : std::max(value->assignment_epoch, 0);
}

void ConsumerGroups::fold(const ConsumerGroupMemberMetadataKey& key,
                          ConsumerGroupMemberMetadataValue* value) {
    ConsumerGroup& group = get(key.group_id);
    if (value != nullptr) {
        return group.set_profile(group.get(key.member_id), profile_from_record(std::move(*value)));
    }
    if (group.find(key.member_id) != nullptr) group.remove(key.member_id);
}

void ConsumerGroups::fold(const ConsumerGroupTargetAssignmentMemberKey& key,
                          ConsumerGroupTargetAssignmentMemberValue* value) {
    ConsumerGroup& group = get(key.group_id);
    if (value != nullptr) {
        group.get(key.member_id).target = target_from_record(*value);
    } else if (ConsumerMember* const member = group.find(key.member_id)) {
        member->target.clear();
    }
}

void ConsumerGroups::fold(const ConsumerGroupCurrentMemberAssignmentKey& key,
                          ConsumerGroupCurrentMemberAssignmentValue* value) {
    ConsumerGroup& group = get(key.group_id);
    if (value != nullptr) {
        group.set_progress(group.get(key.member_id), progress_from_record(*value));
    } else if (ConsumerMember* const member = group.find(key.member_id)) {
        group.set_progress(*member, {});
    }
}

void ConsumerGroups::fold(const ConsumerGroupRegularExpressionKey& key,
                          ConsumerGroupRegularExpressionValue* value) {
    ConsumerGroup& group = get(key.group_id);
    if (value != nullptr) {
        group.patterns[key.regular_expression] = topic_list(std::move(value->topics));
    } else {
        group.patterns.erase(key.regular_expression);
    }
}

template <class Key, class Value>
std::expected<void, std::string> ConsumerGroups::replay(ByteView fields, bool is_tombstone,
                                                        ByteView bytes) {
    const auto key = decode_key<Key>(fields);
    if (!key) return std::unexpected("a consumer group's key: " + key.error());
    if (is_tombstone) {
        if (find(key->group_id) != nullptr) fold(*key, static_cast<Value*>(nullptr));
        return {};
    }
    auto value = decode_value<Value>(bytes);
    if (!value) return std::unexpected("a consumer group: " + value.error());
    fold(*key, &*value);
    return {};
}

std::expected<void, std::string> ConsumerGroups::replay(std::int16_t type, ByteView fields,
                                                        bool is_tombstone, ByteView bytes) {
    switch (type) {
        case ConsumerGroupMetadataKey::kId:
            return replay<ConsumerGroupMetadataKey, ConsumerGroupMetadataValue>(
                fields, is_tombstone, bytes);
        case ConsumerGroupTargetAssignmentMetadataKey::kId:
            return replay<ConsumerGroupTargetAssignmentMetadataKey,
                          ConsumerGroupTargetAssignmentMetadataValue>(fields, is_tombstone, bytes);
        case ConsumerGroupMemberMetadataKey::kId:
            return replay<ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue>(
                fields, is_tombstone, bytes);
        case ConsumerGroupTargetAssignmentMemberKey::kId:
            return replay<ConsumerGroupTargetAssignmentMemberKey,
                          ConsumerGroupTargetAssignmentMemberValue>(fields, is_tombstone, bytes);
        case ConsumerGroupCurrentMemberAssignmentKey::kId:
            return replay<ConsumerGroupCurrentMemberAssignmentKey,
                          ConsumerGroupCurrentMemberAssignmentValue>(fields, is_tombstone, bytes);
        case ConsumerGroupRegularExpressionKey::kId:
            return replay<ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue>(
                fields, is_tombstone, bytes);
        default:
            return {};
    }
}

}  // namespace dlog::coordination
