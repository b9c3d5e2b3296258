#include "broker/groups.h"

#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "broker/affinity.h"
#include "broker/controller.h"
#include "broker/core.h"
#include "broker/request.h"
#include "port/spawn.h"

namespace dlog::broker {

using protocol::ErrorCode;

namespace {

/// A code point of UTF-8 text, at `at`, which is moved behind it. Bytes that are no UTF-8 count as
/// the replacement character, as in Java.
char32_t next_code_point(std::string_view text, std::size_t& at) {
    constexpr char32_t kReplacement = 0xFFFD;
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = byte(at++);
    if (lead < 0x80) return lead;
    const int more = lead >= 0xF0 && lead < 0xF5 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : 0;
    if (more == 0 || lead >= 0xF5) return kReplacement;
    char32_t point = lead & (0x3F >> more);
    for (int i = 0; i < more; ++i) {
        if (at >= text.size() || (byte(at) & 0xC0) != 0x80) return kReplacement;
        point = (point << 6) | (byte(at++) & 0x3F);
    }
    return point;
}

/// Java's String.hashCode: over the UTF-16 units.
std::int32_t java_hash(std::string_view text) {
    std::uint32_t hash = 0;
    for (std::size_t at = 0; at < text.size();) {
        const char32_t point = next_code_point(text, at);
        if (point < 0x10000) {
            hash = hash * 31 + static_cast<std::uint32_t>(point);
            continue;
        }
        const auto high = static_cast<std::uint32_t>(0xD800 + ((point - 0x10000) >> 10));
        const auto low = static_cast<std::uint32_t>(0xDC00 + ((point - 0x10000) & 0x3FF));
        hash = (hash * 31 + high) * 31 + low;
    }
    return static_cast<std::int32_t>(hash);
}

/// A group has its coordinator for good, and members ask seldom: a few requests to it and to
/// nothing else in between say where a connection belongs.
constexpr std::uint32_t kGroupVisits = Affinity::kWindow / 4;

/// Where a group's coordinator lives.
struct Coordinator {
    Core& owner;
    PartitionId partition;
};

std::optional<Coordinator> coordinator_of(const Core& home, std::string_view group_id) {
    const TopicView* topic = home.view->find(kOffsetsTopicName);
    if (topic == nullptr) return std::nullopt;
    const std::int32_t partition = offsets_partition_of(group_id, topic->partition_count());
    return Coordinator{home.other(topic->owner(partition)), PartitionId(partition)};
}

}  // namespace

std::int32_t offsets_partition_of(std::string_view group_id, std::int32_t count) {
    DLOG_ASSERT(count > 0, count);
    return (java_hash(group_id) & INT32_MAX) % count;
}

void Groups::view_changed(const std::vector<std::string>& deleted_topics) {
    if (is_stopping_) return;
    const TopicView* topic = core_.view->find(kOffsetsTopicName);
    if (topic == nullptr || topic->topic->id != topic_) {
        for (const auto& [partition, shard] : std::exchange(shards_, {})) shard->stop();
    }
    for (const auto& [partition, shard] : shards_) shard->topics_changed(deleted_topics);
    if (topic == nullptr) return;
    topic_ = topic->topic->id;
    for (std::int32_t i = 0; i < topic->partition_count(); ++i) {
        if (topic->owner(i) != core_.id() || shards_.contains(PartitionId(i))) continue;
        auto shard = std::make_shared<GroupShard>(core_, topic_, PartitionId(i), work_);
        shards_.emplace(PartitionId(i), shard);
        shard->start();
    }
}

port::Task<void> Groups::stop() {
    is_stopping_ = true;
    for (const auto& [partition, shard] : std::exchange(shards_, {})) shard->stop();
    while (work_.held() > 0) co_await work_.left().wait();
}

port::Task<GroupAnswer> Groups::ask(PartitionId partition, coordination::Input input) {
    const auto found = shards_.find(partition);
    if (found == shards_.end()) co_return std::unexpected(ErrorCode::kNotCoordinator);
    const std::shared_ptr<GroupShard> shard = found->second;
    co_return co_await shard->ask(std::move(input));
}

std::vector<PartitionId> Groups::partitions() const {
    std::vector<PartitionId> partitions;
    for (const auto& [partition, shard] : shards_) partitions.push_back(partition);
    return partitions;
}

coordination::GroupCounts Groups::counts() const {
    coordination::GroupCounts sum;
    for (const auto& [partition, shard] : shards_) {
        const coordination::GroupCounts counts = shard->counts();
        sum.groups += counts.groups;
        sum.members += counts.members;
        sum.offsets += counts.offsets;
        sum.rebalances += counts.rebalances;
    }
    return sum;
}

namespace {

port::Task<GroupAnswer> ask_at(Core& home, std::optional<Coordinator> there,
                               coordination::Input input) {
    if (!there) co_return std::unexpected(ErrorCode::kNotCoordinator);
    co_await port::hop(home.ports.spawn, there->owner.id());
    GroupAnswer answer = co_await there->owner.groups->ask(there->partition, std::move(input));
    co_await port::hop(there->owner.ports.spawn, home.id());
    co_return answer;
}

}  // namespace

port::Task<GroupAnswer> ask_group(Core& home, std::string_view group_id,
                                  coordination::Input input) {
    return ask_at(home, coordinator_of(home, group_id), std::move(input));
}

port::Task<GroupAnswer> ask_own_group(const Request& request, std::string_view group_id,
                                      coordination::Input input) {
    Core& home = *request.core;
    const std::optional<Coordinator> there = coordinator_of(home, group_id);
    if (there) request.affinity->visited(there->owner.id(), kGroupVisits);
    return ask_at(home, there, std::move(input));
}

port::Task<ErrorCode> ensure_offsets_topic(Core& home) {
    if (home.view->find(kOffsetsTopicName) != nullptr) co_return ErrorCode::kNone;
    metadata::CreateTopics creation;
    metadata::NewTopic& topic = creation.topics.emplace_back();
    topic.name = kOffsetsTopicName;
    topic.partition_count = home.config.offsets_topic_partitions;
    topic.replication_factor = home.config.offsets_topic_replication_factor;
    topic.configs = {{"cleanup.policy", "compact"},
                     {"compression.type", "producer"},
                     {"segment.bytes", std::to_string(home.config.offsets_topic_segment_bytes)},
                     {"write.caching", "false"}};
    const auto reply = co_await create_topics(home, std::move(creation));
    const auto& outcome = reply.at(0).second;
    if (outcome || outcome.error().code == ErrorCode::kTopicAlreadyExists) {
        co_return ErrorCode::kNone;
    }
    home.ports.log.error("the topic of groups cannot be made",
                         {{"topic", kOffsetsTopicName}, {"error", outcome.error().message}});
    co_return ErrorCode::kCoordinatorNotAvailable;
}

}  // namespace dlog::broker
