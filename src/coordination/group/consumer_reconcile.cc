/// Who is to have which partitions, and the steps by which they go from one member to another.
#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/consumer_groups.h"
#include "pattern/topic_pattern.h"

namespace dlog::coordination {

namespace {

/// Between matching the patterns of a group with all topics, as in Kafka.
constexpr Duration kPatternInterval = seconds(10);

std::set<std::string_view> subscribed_topics(const ConsumerGroup& group) {
    std::set<std::string_view> result;
    for (const auto& [member_id, member] : group.members()) {
        result.insert(member.profile.topics.begin(), member.profile.topics.end());
    }
    for (const auto& [pattern, topics] : group.patterns)
        result.insert(topics.begin(), topics.end());
    return result;
}

/// Of what an assignment depends on besides the members: it must come out alike in all versions of
/// this program, for it is compared with what a record says.
std::uint64_t hash_of(const std::set<std::string_view>& names, const Topics& topics) {
    std::uint64_t hash = 0;
    const auto mix = [&hash](std::uint64_t value) { hash = mix_bits(hash ^ mix_bits(value + 1)); };
    for (const std::string_view name : names) {
        Topics::Topic topic;
        if (!topics.find(name, topic)) continue;
        mix(name.size());
        for (const char letter : name) mix(static_cast<unsigned char>(letter));
        mix(topic.id.high);
        mix(topic.id.low);
        mix(static_cast<std::uint64_t>(topic.partition_count));
    }
    return hash;
}

bool owns_any(const OwnedPartitions* owned, const HeldPartitions& partitions) {
    if (partitions.empty()) return false;
    if (owned == nullptr) return true;
    return std::ranges::any_of(*owned, [&](const auto& topic) {
        const auto found = partitions.find(topic.topic_id);
        return found != partitions.end() &&
               std::ranges::any_of(topic.partitions, [&](std::int32_t partition) {
                   return found->second.contains(partition);
               });
    });
}

bool contains(const PartitionSet& set, TopicId topic, std::int32_t partition) {
    const auto found = set.find(topic);
    return found != set.end() && std::ranges::binary_search(found->second, partition);
}

bool contains(const HeldPartitions& held, TopicId topic, std::int32_t partition) {
    const auto found = held.find(topic);
    return found != held.end() && found->second.contains(partition);
}

}  // namespace

std::string_view assignor_name(const ConsumerGroup& group, const GroupSettings& settings) {
    std::string_view best = "uniform";
    std::ptrdiff_t most_votes = -1;
    for (const std::string& name : settings.consumer_assignors) {
        const auto votes = std::ranges::count_if(group.members(), [&](const auto& entry) {
            return entry.second.profile.assignor == name;
        });
        if (find_assignor(name) == nullptr || votes <= most_votes) continue;
        best = name;
        most_votes = votes;
    }
    return best;
}

void ConsumerGroups::update_epoch(Step& step, ConsumerGroup& group, bool must_change) {
    const std::uint64_t version = step.now.topics.version();
    must_change = must_change || group.epoch <= 0;
    const bool may_match_others = !group.patterns.empty() && group.are_patterns_due(step.now);
    if (!must_change && !may_match_others && group.topics_version == version) return;
    group.topics_version = version;
    if (match_patterns(step, group)) must_change = true;
    const std::uint64_t hash = hash_of(subscribed_topics(group), step.now.topics);
    if (!must_change && hash == group.metadata_hash) return;
    group.metadata_hash = hash;
    group.epoch = group.epoch >= INT32_MAX ? 1 : group.epoch + 1;
    step.effects.records.push_back(group.epoch_record());
}

bool ConsumerGroups::match_patterns(Step& step, ConsumerGroup& group) {
    std::set<std::string_view> wanted;
    for (const auto& [member_id, member] : group.members()) {
        if (member.profile.pattern) wanted.insert(*member.profile.pattern);
    }
    std::erase_if(group.patterns, [&](const auto& entry) {
        if (wanted.contains(entry.first)) return false;
        step.effects.records.push_back(tombstone(ConsumerGroupRegularExpressionKey{
            .group_id = group.id, .regular_expression = entry.first}));
        return true;
    });
    const bool is_due = group.are_patterns_due(step.now);
    bool is_changed = false;
    for (const std::string_view view : wanted) {
        const std::string pattern(view);
        const auto known = group.patterns.find(pattern);
        const bool is_known = known != group.patterns.end();
        if (is_known && !is_due) continue;
        auto matched = pattern::matching_names(pattern, step.now.topics.names());
        // One that takes too long for the topics as they have become keeps what it had.
        if (!matched && is_known) continue;
        auto topics = std::move(matched).value_or(std::vector<std::string>());
        if (is_known && known->second == topics) continue;
        group.patterns.insert_or_assign(pattern, std::move(topics));
        step.effects.records.push_back(group.pattern_record(pattern, step.now, step.settings));
        is_changed = true;
    }
    if (is_due && !wanted.empty()) {
        group.patterns_version = step.now.topics.version();
        group.patterns_fixed_until = step.after(kPatternInterval);
    }
    return is_changed;
}

void ConsumerGroups::assign(Step& step, ConsumerGroup& group) {
    std::vector<AssignorTopic> topics;
    std::map<std::string_view, std::uint32_t> indexes;
    for (const std::string_view name : subscribed_topics(group)) {
        Topics::Topic topic;
        if (!step.now.topics.find(name, topic)) continue;
        indexes.emplace(name, static_cast<std::uint32_t>(topics.size()));
        topics.push_back({topic.id, topic.partition_count});
    }
    std::vector<AssignorMember> members;
    for (const auto& [member_id, member] : group.members()) {
        auto& out = members.emplace_back();
        out.id = member_id;
        out.instance_id = member.profile.instance_id;
        out.current = &member.target;
        for (const std::string_view name : group.topics_of(member)) {
            const auto found = indexes.find(name);
            if (found != indexes.end()) out.topics.push_back(found->second);
        }
    }
    Assignor* const assignor = find_assignor(assignor_name(group, step.settings));
    DLOG_ASSERT(assignor != nullptr, group.id);
    auto targets = assignor(topics, members);
    DLOG_ASSERT(targets.size() == members.size(), targets.size());
    std::size_t next = 0;
    for (auto& [member_id, member] : group.members()) {
        PartitionSet& target = targets[next++];
        if (target == member.target) continue;
        member.target = std::move(target);
        step.effects.records.push_back(group.target_record(member));
    }
    group.target_epoch = group.epoch;
    step.effects.records.push_back(group.target_epoch_record(step.now.wall));
    ++rebalances_;
}

ConsumerMember::Progress next_progress(const ConsumerGroup& group, const ConsumerMember& member,
                                       const OwnedPartitions* owned) {
    const ConsumerMember::Progress& before = member.progress;
    if (group.is_reconciled(member)) return before;
    const bool must_revoke = before.state == MemberState::kUnrevokedPartitions;
    if (must_revoke && owns_any(owned, before.revoking)) return before;

    ConsumerMember::Progress after;
    after.previous_epoch = before.epoch;
    for (const auto& [topic, epochs] : before.assigned) {
        for (const auto& [partition, epoch] : epochs) {
            const bool stays = contains(member.target, topic, partition);
            (stays ? after.assigned : after.revoking)[topic].emplace(partition, epoch);
        }
    }
    if (owns_any(owned, after.revoking)) {
        // First it has to give these up: until then it stays in its epoch.
        after.epoch = before.epoch;
        after.state = MemberState::kUnrevokedPartitions;
        return after;
    }
    // It has just given up the partitions of `after.revoking` and `before.revoking`.
    after.revoking.clear();
    after.epoch = group.target_epoch;
    for (const auto& [topic, partitions] : member.target) {
        for (const std::int32_t partition : partitions) {
            if (contains(after.assigned, topic, partition)) continue;
            if (group.is_free(topic, partition) || contains(before.revoking, topic, partition)) {
                after.assigned[topic].emplace(partition, group.target_epoch);
            } else {
                after.state = MemberState::kUnreleasedPartitions;
            }
        }
    }
    return after;
}

}  // namespace dlog::coordination
