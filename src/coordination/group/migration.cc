/// A group changes its protocol while it has members (KIP-848). All of a change is one step, and so
/// one batch of records.
#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/coordinator_state.h"
#include "coordination/group/embedded_protocol.h"

namespace dlog::coordination {

namespace {

/// What the leader gave it, as far as there is such a thing.
HeldPartitions to_held(const protocol::ConsumerProtocolAssignment& assignment, std::int32_t epoch,
                       const Topics& topics) {
    HeldPartitions result;
    for (const auto& each : assignment.assigned_partitions) {
        Topics::Topic topic;
        if (!topics.find(each.topic, topic)) continue;
        for (const std::int32_t partition : each.partitions) {
            if (partition < 0 || partition >= topic.partition_count) continue;
            result[topic.id].emplace(partition, epoch);
        }
    }
    return result;
}

std::optional<ConsumerMember> to_consumer(const ClassicMember& classic, std::int32_t epoch,
                                          const Topics& topics) {
    if (classic.protocols.empty()) return std::nullopt;
    const auto subscription = decode_subscription(classic.protocols.front().metadata.view());
    const auto assignment = decode_assignment(classic.assignment.view());
    if (!subscription || !assignment) return std::nullopt;
    ConsumerMember member;
    member.id = classic.id;
    member.profile = {
        .instance_id = classic.instance_id,
        .rack_id = subscription->rack_id,
        .client_id = classic.client_id,
        .client_host = classic.client_host,
        .topics = topic_list(subscription->topics),
        .rebalance_timeout_ms = static_cast<std::int32_t>(classic.rebalance_timeout.ms()),
        .classic = ClassicProfile{static_cast<std::int32_t>(classic.session_timeout.ms()),
                                  classic.protocols}};
    member.progress = {
        .epoch = epoch, .previous_epoch = epoch, .assigned = to_held(*assignment, epoch, topics)};
    return member;
}

/// In the generation of those of its members that had come furthest.
std::unique_ptr<ClassicGroup> to_classic(const Step& step, const ConsumerGroup& group) {
    auto classic = std::make_unique<ClassicGroup>(group.id);
    for (const auto& [member_id, member] : group.members()) {
        const ConsumerMember::Profile& profile = member.profile;
        const ClassicProtocols& protocols = profile.classic->protocols;
        ClassicMember out{
            .id = member_id,
            .instance_id = profile.instance_id,
            .client_id = profile.client_id,
            .client_host = profile.client_host,
            .rebalance_timeout = milliseconds(std::max(profile.rebalance_timeout_ms, 0)),
            .session_timeout = milliseconds(std::max(profile.classic->session_timeout_ms, 0)),
            .protocols = protocols};
        out.assignment =
            encode_assignment(embedded_assignment(member.progress.assigned, step.now.topics),
                              protocols.front().metadata.view());
        out.has_synced = true;
        classic->generation = std::max(classic->generation, member.progress.epoch);
        classic->add(std::move(out), kEmbeddedProtocolType);
    }
    classic->protocol_name = classic->elect_protocol();
    classic->enter(GroupState::kStable, step.now.wall);
    return classic;
}

}  // namespace

ConsumerGroup* ConsumerGroups::adopt(Step& step, const ClassicGroup& classic) {
    DLOG_ASSERT(find(classic.id) == nullptr, classic.id);
    const std::int32_t epoch = std::max(classic.generation, 1);
    std::vector<ConsumerMember> members;
    for (const auto& [member_id, member] : classic.members()) {
        // One that has had no reply joins anew.
        if (member.is_new) continue;
        auto converted = to_consumer(member, epoch, step.now.topics);
        if (!converted) return nullptr;
        members.push_back(*std::move(converted));
    }
    auto& records = step.effects.records;
    records.push_back(tombstone(GroupMetadataKey{.group = classic.id}));
    ConsumerGroup& group = get(classic.id);
    group.epoch = epoch;
    group.target_epoch = epoch;
    // A leader may have given a partition to several; the target has it once.
    std::set<std::pair<TopicId, std::int32_t>> taken;
    for (ConsumerMember& each : members) {
        ConsumerMember& member = group.get(each.id);
        group.set_profile(member, std::move(each.profile));
        group.set_progress(member, std::move(each.progress));
        for (const auto& [topic, partitions] : member.progress.assigned) {
            for (const auto& [partition, assigned_in] : partitions) {
                const bool is_first = taken.emplace(topic, partition).second;
                if (is_first) member.target[topic].push_back(partition);
            }
        }
        records.push_back(group.profile_record(member));
        records.push_back(group.target_record(member));
        records.push_back(group.progress_record(member));
    }
    records.push_back(group.epoch_record());
    records.push_back(group.target_epoch_record(step.now.wall));
    return &group;
}

bool Coordinator::State::upgrade(Step& step, ClassicGroup& group,
                                 const protocol::ConsumerGroupHeartbeatRequest& request) {
    const auto size_max = static_cast<std::size_t>(std::max(settings.consumer_size_max, 0));
    if (!settings.may_upgrade() || group.protocol_type != kEmbeddedProtocolType ||
        group.members().size() >= size_max) {
        return false;
    }
    // Who joins must be let in, for nobody else of the new protocol is there.
    const std::string* const holder =
        request.instance_id ? group.static_member(*request.instance_id) : nullptr;
    if (holder != nullptr && group.find(request.member_id) != nullptr &&
        *holder != request.member_id) {
        return false;
    }
    ConsumerGroup* const adopted = consumer.adopt(step, group);
    if (adopted == nullptr) return false;
    classic.break_off(step, group);
    classic.erase(group);
    consumer.begin_sessions(step, *adopted);
    return true;
}

void Coordinator::State::downgrade_if_due(Step& step, const std::string& group_id) {
    ConsumerGroup* const group = consumer.find(group_id);
    if (group == nullptr || !settings.may_downgrade()) return;
    const std::size_t size = group->members().size();
    const auto size_max = static_cast<std::size_t>(std::max(settings.size_max, 1));
    if (size == 0 || size > size_max || group->classic_count() != size) return;
    const auto& protocols = group->members().begin()->second.profile.classic->protocols;
    // Always so, unless records were damaged.
    if (!group->has_common_protocol(protocols, nullptr)) return;

    auto members = to_classic(step, *group);
    // The rebalance that begins now is in no record. After a restart nobody is of the generation
    // that is written here: all join again, for what the others had is with nobody.
    const std::int32_t generation = members->generation;
    members->generation = generation == INT32_MAX ? 1 : generation + 1;
    GroupRecord record = members->record();
    members->generation = generation;
    if (static_cast<std::int64_t>(record.value.size()) > settings.record_bytes_max) return;
    while (!group->members().empty()) {
        const std::string member_id = group->members().begin()->first;
        group->add_tombstones(member_id, step.effects);
        group->remove(member_id);
    }
    group->add_tombstones(step.effects);
    consumer.erase(*group);
    step.effects.records.push_back(std::move(record));
    classic.take_over(step, std::move(members));
}

}  // namespace dlog::coordination
