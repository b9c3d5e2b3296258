#include "coordination/group/consumer_group.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace dlog::coordination {

namespace {

using CurrentAssignment = ConsumerGroupCurrentMemberAssignmentValue;

std::vector<CurrentAssignment::TopicPartitions> to_record(const HeldPartitions& partitions) {
    std::vector<CurrentAssignment::TopicPartitions> result;
    for (const auto& [topic, epochs] : partitions) {
        auto& out = result.emplace_back();
        out.topic_id = topic;
        auto& assignment_epochs = out.assignment_epochs.emplace();
        for (const auto& [number, epoch] : epochs) {
            out.partitions.push_back(number);
            assignment_epochs.push_back(epoch);
        }
    }
    return result;
}

HeldPartitions from_record(const std::vector<CurrentAssignment::TopicPartitions>& topics,
                           std::int32_t member_epoch) {
    HeldPartitions result;
    for (const auto& topic : topics) {
        // Kafka before 4.3 wrote none.
        const bool has_epochs =
            topic.assignment_epochs && topic.assignment_epochs->size() == topic.partitions.size();
        for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
            const std::int32_t epoch = has_epochs ? (*topic.assignment_epochs)[i] : member_epoch;
            result[topic.topic_id].emplace(topic.partitions[i], epoch);
        }
    }
    return result;
}

}  // namespace

std::optional<std::string> without_empty(std::optional<std::string> text) {
    if (text && text->empty()) text.reset();
    return text;
}

ConsumerMember* ConsumerGroup::find(std::string_view member_id) {
    const auto found = members_.find(member_id);
    return found == members_.end() ? nullptr : &found->second;
}

ConsumerMember* ConsumerGroup::static_member(std::string_view instance_id) {
    const auto found = static_members_.find(instance_id);
    return found == static_members_.end() ? nullptr : find(found->second);
}

ConsumerMember& ConsumerGroup::get(const std::string& member_id) {
    ConsumerMember& member = members_[member_id];
    member.id = member_id;
    return member;
}

void ConsumerGroup::remove(const std::string& member_id) {
    ConsumerMember* const member = find(member_id);
    DLOG_ASSERT(member != nullptr, member_id);
    set_profile(*member, {});
    set_progress(*member, {});
    members_.erase(members_.find(member_id));
}

ConsumerMember& ConsumerGroup::rename(ConsumerMember& member, const std::string& new_id) {
    DLOG_ASSERT(find(new_id) == nullptr, new_id);
    auto node = members_.extract(member.id);
    node.key() = new_id;
    ConsumerMember& renamed = members_.insert(std::move(node)).position->second;
    renamed.id = new_id;
    if (renamed.profile.instance_id) static_members_[*renamed.profile.instance_id] = new_id;
    return renamed;
}

void ConsumerGroup::set_profile(ConsumerMember& member, ConsumerMember::Profile profile) {
    const auto& old_id = member.profile.instance_id;
    if (old_id != profile.instance_id) {
        const auto old = old_id ? static_members_.find(*old_id) : static_members_.end();
        if (old != static_members_.end() && old->second == member.id) static_members_.erase(old);
        if (profile.instance_id) static_members_[*profile.instance_id] = member.id;
    }
    if (member.is_classic()) --classic_count_;
    if (profile.classic) ++classic_count_;
    member.profile = std::move(profile);
    member.has_profile = true;
}

void ConsumerGroup::set_progress(ConsumerMember& member, ConsumerMember::Progress progress) {
    count(member.progress.assigned, -1);
    count(member.progress.revoking, -1);
    member.progress = std::move(progress);
    count(member.progress.assigned, 1);
    count(member.progress.revoking, 1);
}

bool ConsumerGroup::has_common_protocol(const ClassicProtocols& protocols,
                                        const ConsumerMember* except) const {
    return std::ranges::any_of(protocols, [&](const ClassicProtocol& wanted) {
        return std::ranges::all_of(members_, [&](const auto& entry) {
            const ConsumerMember& member = entry.second;
            if (!member.is_classic() || &member == except) return true;
            return std::ranges::any_of(member.profile.classic->protocols,
                                       [&](const auto& each) { return each.name == wanted.name; });
        });
    });
}

void ConsumerGroup::count(const HeldPartitions& partitions, int change) {
    for (const auto& [topic, epochs] : partitions) {
        for (const auto& [number, assigned_in] : epochs) {
            const auto holders = holders_.try_emplace({topic, number}, 0).first;
            holders->second += change;
            DLOG_ASSERT(holders->second >= 0, number);
            if (holders->second == 0) holders_.erase(holders);
        }
    }
}

std::string_view ConsumerGroup::state() const {
    if (members_.empty()) return "Empty";
    if (epoch != target_epoch) return "Assigning";
    const bool is_stable = std::ranges::all_of(
        members_, [this](const auto& entry) { return is_reconciled(entry.second); });
    return is_stable ? "Stable" : "Reconciling";
}

std::vector<bool> ConsumerGroup::subscribed(const std::vector<std::string_view>& topics) const {
    std::vector<bool> result;
    for (const std::string_view topic : topics) {
        const bool is_matched = std::ranges::any_of(patterns, [topic](const auto& entry) {
            return std::ranges::binary_search(entry.second, topic);
        });
        result.push_back(is_matched || std::ranges::any_of(members_, [topic](const auto& entry) {
                             return std::ranges::binary_search(entry.second.profile.topics, topic);
                         }));
    }
    return result;
}

std::vector<std::string_view> ConsumerGroup::topics_of(const ConsumerMember& member) const {
    const auto& names = member.profile.topics;
    const auto found =
        member.profile.pattern ? patterns.find(*member.profile.pattern) : patterns.end();
    std::vector<std::string_view> result(names.begin(), names.end());
    if (found == patterns.end()) return result;
    result.clear();
    std::ranges::set_union(names, found->second, std::back_inserter(result));
    return result;
}

GroupRecord ConsumerGroup::epoch_record() const {
    ConsumerGroupMetadataValue value;
    value.epoch = epoch;
    value.metadata_hash = static_cast<std::int64_t>(metadata_hash);
    return make_record(ConsumerGroupMetadataKey{.group_id = id}, value);
}

GroupRecord ConsumerGroup::target_epoch_record(Timestamp now) const {
    ConsumerGroupTargetAssignmentMetadataValue value;
    value.assignment_epoch = target_epoch;
    value.assignment_timestamp = now.ms;
    return make_record(ConsumerGroupTargetAssignmentMetadataKey{.group_id = id}, value);
}

GroupRecord ConsumerGroup::profile_record(const ConsumerMember& member) const {
    const ConsumerMember::Profile& profile = member.profile;
    ConsumerGroupMemberMetadataValue value;
    value.instance_id = profile.instance_id;
    value.rack_id = profile.rack_id;
    value.client_id = profile.client_id;
    value.client_host = profile.client_host;
    value.subscribed_topic_names = profile.topics;
    value.subscribed_topic_regex = profile.pattern;
    value.rebalance_timeout_ms = profile.rebalance_timeout_ms;
    value.server_assignor = profile.assignor;
    if (profile.classic) {
        auto& classic = value.classic_member_metadata.emplace();
        classic.session_timeout_ms = profile.classic->session_timeout_ms;
        for (const ClassicProtocol& each : profile.classic->protocols) {
            auto& out = classic.supported_protocols.emplace_back();
            out.name = each.name;
            out.metadata = each.metadata.view();
        }
    }
    return make_record(ConsumerGroupMemberMetadataKey{.group_id = id, .member_id = member.id},
                       value);
}

GroupRecord ConsumerGroup::target_record(const ConsumerMember& member) const {
    ConsumerGroupTargetAssignmentMemberValue value;
    for (const auto& [topic, numbers] : member.target) {
        auto& out = value.topic_partitions.emplace_back();
        out.topic_id = topic;
        out.partitions = numbers;
    }
    return make_record(
        ConsumerGroupTargetAssignmentMemberKey{.group_id = id, .member_id = member.id}, value);
}

GroupRecord ConsumerGroup::progress_record(const ConsumerMember& member) const {
    CurrentAssignment value;
    value.member_epoch = member.progress.epoch;
    value.previous_member_epoch = member.progress.previous_epoch;
    value.state = static_cast<std::int8_t>(member.progress.state);
    value.assigned_partitions = to_record(member.progress.assigned);
    value.partitions_pending_revocation = to_record(member.progress.revoking);
    return make_record(
        ConsumerGroupCurrentMemberAssignmentKey{.group_id = id, .member_id = member.id}, value);
}

GroupRecord ConsumerGroup::pattern_record(const std::string& pattern, const Now& now,
                                          const GroupSettings& settings) const {
    const auto found = patterns.find(pattern);
    DLOG_ASSERT(found != patterns.end(), pattern);
    ConsumerGroupRegularExpressionValue value;
    std::size_t bytes = 0;
    for (const std::string& topic : found->second) bytes += topic.size();
    // Of more topics than fit nothing is kept: after a restart they are matched anew.
    if (bytes <= settings.group_bytes_max()) value.topics = found->second;
    value.version = static_cast<std::int64_t>(now.topics.version());
    value.timestamp = now.wall.ms;
    return make_record(
        ConsumerGroupRegularExpressionKey{.group_id = id, .regular_expression = pattern}, value);
}

void ConsumerGroup::add_tombstones(const std::string& member_id, Effects& effects) const {
    effects.records.push_back(
        tombstone(ConsumerGroupCurrentMemberAssignmentKey{.group_id = id, .member_id = member_id}));
    effects.records.push_back(
        tombstone(ConsumerGroupTargetAssignmentMemberKey{.group_id = id, .member_id = member_id}));
    effects.records.push_back(
        tombstone(ConsumerGroupMemberMetadataKey{.group_id = id, .member_id = member_id}));
}

void ConsumerGroup::add_tombstones(Effects& effects) const {
    DLOG_ASSERT(members_.empty(), id);
    for (const auto& [pattern, topics] : patterns) {
        effects.records.push_back(tombstone(
            ConsumerGroupRegularExpressionKey{.group_id = id, .regular_expression = pattern}));
    }
    effects.records.push_back(tombstone(ConsumerGroupTargetAssignmentMetadataKey{.group_id = id}));
    effects.records.push_back(tombstone(ConsumerGroupMetadataKey{.group_id = id}));
}

ConsumerMember::Profile profile_from_record(ConsumerGroupMemberMetadataValue&& value) {
    std::optional<ClassicProfile> classic;
    if (value.classic_member_metadata &&
        !value.classic_member_metadata->supported_protocols.empty()) {
        classic.emplace().session_timeout_ms = value.classic_member_metadata->session_timeout_ms;
        for (const auto& each : value.classic_member_metadata->supported_protocols) {
            const auto same =
                std::ranges::find(classic->protocols, each.name, &ClassicProtocol::name);
            if (same != classic->protocols.end()) {
                continue;
            }
            classic->protocols.push_back({each.name, Buffer::copy_of(each.metadata)});
        }
    }
    return {.instance_id = std::move(value.instance_id),
            .rack_id = std::move(value.rack_id),
            .client_id = std::move(value.client_id),
            .client_host = std::move(value.client_host),
            .topics = topic_list(std::move(value.subscribed_topic_names)),
            .pattern = without_empty(std::move(value.subscribed_topic_regex)),
            .rebalance_timeout_ms = value.rebalance_timeout_ms,
            .assignor = std::move(value.server_assignor),
            .classic = std::move(classic)};
}

ConsumerMember::Progress progress_from_record(const CurrentAssignment& value) {
    ConsumerMember::Progress result;
    result.epoch = value.member_epoch;
    result.previous_epoch = value.previous_member_epoch;
    switch (static_cast<MemberState>(value.state)) {
        case MemberState::kStable:
        case MemberState::kUnreleasedPartitions:
            result.state = static_cast<MemberState>(value.state);
            break;
        case MemberState::kUnrevokedPartitions:
        default:
            // In a state that we do not know it may hold anything: it has to tell us first.
            result.state = MemberState::kUnrevokedPartitions;
    }
    result.assigned = from_record(value.assigned_partitions, value.member_epoch);
    result.revoking = from_record(value.partitions_pending_revocation, value.member_epoch);
    return result;
}

PartitionSet target_from_record(const ConsumerGroupTargetAssignmentMemberValue& value) {
    PartitionSet result;
    for (const auto& topic : value.topic_partitions) {
        if (topic.partitions.empty()) continue;
        auto& numbers = result[topic.topic_id];
        numbers.insert(numbers.end(), topic.partitions.begin(), topic.partitions.end());
        std::ranges::sort(numbers);
        const auto doubles = std::ranges::unique(numbers);
        numbers.erase(doubles.begin(), doubles.end());
    }
    return result;
}

std::vector<std::string> topic_list(std::vector<std::string> names) {
    std::ranges::sort(names);
    const auto doubles = std::ranges::unique(names);
    names.erase(doubles.begin(), doubles.end());
    return names;
}

}  // namespace dlog::coordination
