#include "dlog/admin.h"

#include <algorithm>
#include <utility>

#include "base/result.h"
#include "client/admin.h"
#include "sdk/core.h"

namespace dlog {

namespace {

using client::Cluster;

/// The outcome of the one topic that was asked for.
port::Task<client::Result<void>> only(
    port::Task<client::Result<std::vector<client::TopicOutcome>>> ask) {
    DLOG_CO_TRY_ASSIGN(const auto outcomes, co_await std::move(ask));
    if (outcomes.size() != 1) {
        co_return unexpected(client::Error{.kind = client::ErrorKind::kBadResponse,
                                           .detail = "an answer about one topic was expected"});
    }
    co_return outcomes.front().result;
}

TopicDescription describe(const client::TopicInfo& info) {
    TopicDescription topic{.name = info.name, .is_internal = info.is_internal, .partitions = {}};
    for (const client::PartitionInfo& partition : info.partitions) {
        topic.partitions.push_back({.partition = static_cast<std::int32_t>(topic.partitions.size()),
                                    .leader = partition.leader.value,
                                    .leader_epoch = partition.leader_epoch.value});
    }
    return topic;
}

port::Task<client::Result<std::vector<TopicDescription>>> list(Cluster& cluster, Instant deadline) {
    DLOG_CO_TRY_ASSIGN(const auto infos, co_await cluster.all_topics(deadline));
    std::vector<TopicDescription> topics;
    for (const client::TopicInfoPtr& info : infos) topics.push_back(describe(*info));
    std::sort(topics.begin(), topics.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    co_return topics;
}

port::Task<client::Result<TopicDescription>> describe_one(Cluster& cluster, std::string name,
                                                          Instant deadline) {
    cluster.forget_topic(name);  // what is asked for is what is so now
    DLOG_CO_TRY_ASSIGN(const auto info, co_await cluster.topic(name, false, deadline));
    co_return describe(*info);
}

port::Task<client::Result<std::vector<PartitionOffset>>> list_all_offsets(Cluster& cluster,
                                                                          std::string topic,
                                                                          Timestamp time,
                                                                          Instant deadline) {
    DLOG_CO_TRY_ASSIGN(const auto info, co_await cluster.topic(topic, false, deadline));
    std::vector<std::int32_t> partitions;
    for (std::size_t i = 0; i < info->partitions.size(); ++i) {
        partitions.push_back(static_cast<std::int32_t>(i));
    }
    DLOG_CO_TRY_ASSIGN(const auto found,
                       co_await client::list_offsets(cluster, topic, partitions, time, deadline));
    std::vector<PartitionOffset> offsets;
    for (const client::ListedOffset& one : found) {
        offsets.push_back({one.partition, one.offset.value, TimePoint(one.timestamp.ms)});
    }
    co_return offsets;
}

Result<std::vector<PartitionOffset>> offsets_of(sdk::Core& core, std::string_view topic,
                                                Timestamp time) {
    return core.call<std::vector<PartitionOffset>>(
        [name = std::string(topic), time](Cluster& cluster, Instant deadline) {
            return list_all_offsets(cluster, name, time, deadline);
        });
}

}  // namespace

Admin::Admin(sdk::Core* core) : core_(core) {}

Admin::Admin(Admin&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}

Admin& Admin::operator=(Admin&& other) noexcept {
    std::swap(core_, other.core_);
    return *this;
}

Admin::~Admin() {
    if (core_ != nullptr) core_->release();
}

Result<void> Admin::create_topic(NewTopic topic) {
    client::NewTopic wanted{.name = std::move(topic.name),
                            .partition_count = topic.partitions,
                            .replication_factor = topic.replication_factor,
                            .configs = {}};
    for (ConfigEntry& config : topic.configs) {
        wanted.configs.emplace_back(std::move(config.name), config.value.value_or(""));
    }
    return core_->call<void>([&wanted](Cluster& cluster, Instant deadline) {
        return only(client::create_topics(cluster, {wanted}, deadline));
    });
}

Result<void> Admin::delete_topic(std::string_view name) {
    return core_->call<void>([name = std::string(name)](Cluster& cluster, Instant deadline) {
        return only(client::delete_topics(cluster, {name}, deadline));
    });
}

Result<std::vector<TopicDescription>> Admin::list_topics() {
    return core_->call<std::vector<TopicDescription>>(
        [](Cluster& cluster, Instant deadline) { return list(cluster, deadline); });
}

Result<TopicDescription> Admin::describe_topic(std::string_view name) {
    return core_->call<TopicDescription>(
        [name = std::string(name)](Cluster& cluster, Instant deadline) {
            return describe_one(cluster, name, deadline);
        });
}

Result<void> Admin::create_partitions(std::string_view topic, std::int32_t count) {
    return core_->call<void>(
        [name = std::string(topic), count](Cluster& cluster, Instant deadline) {
            return client::create_partitions(cluster, name, count, deadline);
        });
}

Result<std::vector<ConfigEntry>> Admin::describe_configs(std::string_view topic) {
    auto settings = core_->call<std::vector<client::Setting>>(
        [name = std::string(topic)](Cluster& cluster, Instant deadline) {
            return client::describe_settings(cluster, {.name = name}, deadline);
        });
    if (!settings) return unexpected(std::move(settings).error());
    std::vector<ConfigEntry> entries;
    for (client::Setting& setting : *settings) {
        entries.push_back({.name = std::move(setting.name),
                           .value = std::move(setting.value),
                           .is_default = setting.origin != client::ConfigOrigin::kTopic});
    }
    return entries;
}

Result<void> Admin::alter_configs(std::string_view topic, std::span<const ConfigChange> changes) {
    std::vector<client::SettingChange> wanted;
    for (const ConfigChange& change : changes) {
        wanted.push_back({.name = change.name, .value = change.value});
    }
    return core_->call<void>(
        [&wanted, name = std::string(topic)](Cluster& cluster, Instant deadline) {
            return client::alter_settings(cluster, {.name = name}, wanted, false, deadline);
        });
}

Result<std::vector<PartitionOffset>> Admin::first_offsets(std::string_view topic) {
    return offsets_of(*core_, topic, client::kEarliestOffset);
}

Result<std::vector<PartitionOffset>> Admin::end_offsets(std::string_view topic) {
    return offsets_of(*core_, topic, client::kLatestOffset);
}

Result<std::vector<PartitionOffset>> Admin::offsets_at(std::string_view topic, TimePoint time) {
    return offsets_of(*core_, topic, Timestamp{std::max<std::int64_t>(time.ms, 0)});
}

}  // namespace dlog
