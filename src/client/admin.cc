#include "client/admin.h"

#include <algorithm>

#include "base/result.h"
#include "client/offset_requests.h"
#include "port/clock.h"
#include "protocol/messages/create_partitions.h"
#include "protocol/messages/create_topics.h"
#include "protocol/messages/delete_topics.h"
#include "protocol/messages/describe_configs.h"
#include "protocol/messages/incremental_alter_configs.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

std::int32_t timeout_ms(const Cluster& cluster, Instant deadline) {
    return wire_ms(deadline - cluster.ports().clock.now());
}

Result<void> outcome(ErrorCode code, const std::optional<std::string>& message,
                     const std::string& subject) {
    if (code == ErrorCode::kNone) return {};
    return unexpected(broker_error(code, message.value_or(subject)));
}

}  // namespace

port::Task<Result<std::vector<TopicOutcome>>> create_topics(Cluster& cluster,
                                                            std::vector<NewTopic> topics,
                                                            Instant deadline) {
    protocol::CreateTopicsRequest request;
    request.timeout_ms = timeout_ms(cluster, deadline);
    for (NewTopic& topic : topics) {
        auto& wanted = request.topics.emplace_back();
        wanted.name = std::move(topic.name);
        wanted.num_partitions = topic.partition_count;
        wanted.replication_factor = topic.replication_factor;
        for (auto& [name, value] : topic.configs) {
            wanted.configs.push_back({.name = std::move(name), .value = std::move(value)});
        }
    }
    // Sent once: a second try after a lost answer would say that the topic exists.
    DLOG_CO_TRY_ASSIGN(const auto connection, co_await cluster.any_connection());
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await connection->call(std::move(request), {.deadline = deadline}));
    std::vector<TopicOutcome> outcomes;
    for (const auto& topic : answer->topics) {
        outcomes.push_back(
            {topic.name, outcome(topic.error_code, topic.error_message, "topic " + topic.name)});
    }
    co_return outcomes;
}

port::Task<Result<std::vector<TopicOutcome>>> delete_topics(Cluster& cluster,
                                                            std::vector<std::string> names,
                                                            Instant deadline) {
    DLOG_CO_TRY_ASSIGN(const auto connection, co_await cluster.any_connection());
    DLOG_CO_TRY_ASSIGN(const std::int16_t version,
                       connection->version_of<protocol::DeleteTopicsRequest>());
    protocol::DeleteTopicsRequest request;
    request.timeout_ms = timeout_ms(cluster, deadline);
    constexpr std::int16_t kFirstWithIds = 6;
    for (std::string& name : names) {
        cluster.forget_topic(name);
        if (version >= kFirstWithIds) {
            request.topics.emplace_back().name = std::move(name);
        } else {
            request.topic_names.push_back(std::move(name));
        }
    }
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await connection->call(std::move(request), {.deadline = deadline}));
    std::vector<TopicOutcome> outcomes;
    for (const auto& topic : answer->responses) {
        const std::string name = topic.name.value_or("");
        outcomes.push_back({name, outcome(topic.error_code, topic.error_message, "topic " + name)});
    }
    co_return outcomes;
}

port::Task<Result<void>> create_partitions(Cluster& cluster, std::string topic, std::int32_t count,
                                           Instant deadline) {
    protocol::CreatePartitionsRequest request;
    request.timeout_ms = timeout_ms(cluster, deadline);
    request.topics.push_back({.name = topic, .count = count, .assignments = std::nullopt});
    // Sent once: a second try after a lost answer would say that there are as many already.
    DLOG_CO_TRY_ASSIGN(const auto connection, co_await cluster.any_connection());
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await connection->call(std::move(request), {.deadline = deadline}));
    cluster.forget_topic(topic);
    for (const auto& result : answer->results) {
        DLOG_CO_TRY(outcome(result.error_code, result.error_message, "topic " + topic));
    }
    co_return Result<void>();
}

std::string ConfigTarget::text() const {
    if (kind == Kind::kTopic) return "topic " + name;
    return name.empty() ? "every node" : "node " + name;
}

port::Task<Result<std::vector<Setting>>> describe_settings(Cluster& cluster, ConfigTarget target,
                                                           Instant deadline) {
    protocol::DescribeConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = static_cast<std::int8_t>(target.kind);
    resource.resource_name = target.name;
    resource.configuration_keys.reset();
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await cluster.call_any(std::move(request), deadline));
    std::vector<Setting> settings;
    for (const auto& result : answer->results) {
        DLOG_CO_TRY(outcome(result.error_code, result.error_message, target.text()));
        for (const auto& config : result.configs) {
            settings.push_back({config.name, config.value,
                                static_cast<ConfigOrigin>(config.config_source), config.read_only});
        }
    }
    co_return settings;
}

port::Task<Result<void>> alter_settings(Cluster& cluster, ConfigTarget target,
                                        std::vector<SettingChange> changes, bool validate_only,
                                        Instant deadline) {
    constexpr std::int8_t kSet = 0;
    constexpr std::int8_t kDelete = 1;
    protocol::IncrementalAlterConfigsRequest request;
    request.validate_only = validate_only;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = static_cast<std::int8_t>(target.kind);
    resource.resource_name = target.name;
    for (SettingChange& change : changes) {
        const std::int8_t operation = change.value ? kSet : kDelete;
        resource.configs.push_back({.name = std::move(change.name),
                                    .config_operation = operation,
                                    .value = std::move(change.value)});
    }
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await cluster.call_any(std::move(request), deadline));
    for (const auto& result : answer->responses) {
        DLOG_CO_TRY(outcome(result.error_code, result.error_message, target.text()));
    }
    co_return Result<void>();
}

namespace {

/// What the partitions that are still open ask of each leader.
Result<OffsetRequests> requests_by_leader(const TopicInfo& topic,
                                          const std::vector<std::int32_t>& open, Timestamp time,
                                          std::int32_t wait_ms) {
    OffsetRequests requests;
    for (const std::int32_t partition : open) {
        if (static_cast<std::size_t>(partition) >= topic.partitions.size()) {
            return unexpected(broker_error(
                ErrorCode::kUnknownTopicOrPartition,
                "topic " + topic.name + " has no partition " + std::to_string(partition)));
        }
        ask_for_offset(requests, topic, partition, time);  // without a leader it stays open
    }
    for (auto& [leader, request] : requests) request.timeout_ms = wait_ms;
    return requests;
}

using OffsetAnswer = protocol::ListOffsetsResponse::ListOffsetsPartitionResponse;

/// Partitions that a round has still to answer, and those that it has answered.
struct OffsetRound {
    Isolation isolation;
    std::vector<std::int32_t> open;
    std::vector<ListedOffset> found;

    Result<void> take(const std::string& topic, const OffsetAnswer& answer) {
        if (answer.error_code != ErrorCode::kNone) {
            return unexpected(broker_error(
                answer.error_code, topic + " partition " + std::to_string(answer.partition_index)));
        }
        std::erase(open, answer.partition_index);
        found.push_back(
            {answer.partition_index, Offset{answer.offset}, Timestamp{answer.timestamp}});
        return {};
    }

    Result<void> take_all(const std::string& topic, const protocol::ListOffsetsResponse& response) {
        for (const auto& answered : response.topics) {
            for (const OffsetAnswer& one : answered.partitions) DLOG_TRY(take(topic, one));
        }
        return {};
    }
};

/// Asks every leader once. The error is the first one met.
port::Task<Result<void>> ask_leaders(Cluster& cluster, OffsetRound& round, TopicInfoPtr topic,
                                     Timestamp time, Instant deadline) {
    DLOG_CO_TRY_ASSIGN(auto requests,
                       requests_by_leader(*topic, round.open, time, timeout_ms(cluster, deadline)));
    for (auto& [leader, request] : requests) {
        request.isolation_level = static_cast<std::int8_t>(round.isolation);
        DLOG_CO_TRY_ASSIGN(const auto connection, co_await cluster.connection_to(leader));
        DLOG_CO_TRY_ASSIGN(const auto answer,
                           co_await connection->call(request, {.deadline = deadline}));
        DLOG_CO_TRY(round.take_all(topic->name, answer.message));
    }
    co_return Result<void>();
}

}  // namespace

port::Task<Result<std::vector<ListedOffset>>> list_offsets(Cluster& cluster, std::string topic,
                                                           std::vector<std::int32_t> partitions,
                                                           Timestamp time, Instant deadline,
                                                           Isolation isolation) {
    OffsetRound round{.isolation = isolation, .open = std::move(partitions), .found = {}};
    Backoff backoff(cluster.config(), cluster.random());
    while (!round.open.empty()) {
        DLOG_CO_TRY_ASSIGN(const TopicInfoPtr info, co_await cluster.topic(topic, false, deadline));
        const auto asked = co_await ask_leaders(cluster, round, info, time, deadline);
        if (asked && round.open.empty()) break;
        if (!asked && !asked.error().is_retriable()) co_return unexpected(asked.error());
        cluster.forget_topic(topic);
        const bool is_in_time = co_await cluster.wait(backoff.next(), deadline);
        if (!is_in_time) {
            const std::string what =
                topic + " partition " + std::to_string(round.open.front()) + " has no leader";
            co_return unexpected(asked ? broker_error(ErrorCode::kLeaderNotAvailable, what)
                                       : asked.error());
        }
    }
    std::sort(
        round.found.begin(), round.found.end(),
        [](const ListedOffset& a, const ListedOffset& b) { return a.partition < b.partition; });
    co_return std::move(round.found);
}

}  // namespace dlog::client
