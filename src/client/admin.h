/// What is done to topics, as plain calls. Each sends one request, again after transport failures
/// where that is safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "client/cluster.h"
#include "client/error.h"
#include "port/task.h"

namespace dlog::client {

struct NewTopic {
    std::string name;
    std::int32_t partition_count = -1;  ///< -1: the broker's num.partitions
    std::int16_t replication_factor = -1;
    std::vector<std::pair<std::string, std::string>> configs;
};

/// What became of one of several topics.
struct TopicOutcome {
    std::string name;
    Result<void> result;
};

[[nodiscard]] port::Task<Result<std::vector<TopicOutcome>>> create_topics(
    Cluster& cluster, std::vector<NewTopic> topics, Instant deadline);
[[nodiscard]] port::Task<Result<std::vector<TopicOutcome>>> delete_topics(
    Cluster& cluster, std::vector<std::string> names, Instant deadline);

/// The numbers of DescribeConfigs' config_source field that a reader may meet.
enum class ConfigOrigin : std::int8_t { kTopic = 1, kStaticBroker = 4, kDefault = 5 };

struct TopicSetting {
    std::string name;
    std::optional<std::string> value;
    ConfigOrigin origin = ConfigOrigin::kDefault;
};

[[nodiscard]] port::Task<Result<std::vector<TopicSetting>>> describe_topic_settings(
    Cluster& cluster, std::string topic, Instant deadline);

/// Sets the topic's settings to the values given, or back to the broker's defaults where there is
/// none; the others stay (KIP-339).
[[nodiscard]] port::Task<Result<void>> alter_topic_settings(Cluster& cluster, std::string topic,
                                                            std::vector<TopicSetting> changes,
                                                            Instant deadline);

/// Grows a topic to `count` partitions in all.
[[nodiscard]] port::Task<Result<void>> create_partitions(Cluster& cluster, std::string topic,
                                                         std::int32_t count, Instant deadline);

/// The special timestamps of ListOffsets.
inline constexpr Timestamp kLatestOffset{-1};
inline constexpr Timestamp kEarliestOffset{-2};

struct ListedOffset {
    std::int32_t partition = 0;
    /// kNoOffset when no record is at the time asked for or later.
    Offset offset = kNoOffset;
    Timestamp timestamp = kNoTimestamp;
};

/// For each partition of `partitions` the offset of the first record at or after `time`, or the
/// first or last offset. Asked of the leaders, again while they move.
[[nodiscard]] port::Task<Result<std::vector<ListedOffset>>> list_offsets(
    Cluster& cluster, std::string topic, std::vector<std::int32_t> partitions, Timestamp time,
    Instant deadline);

}  // namespace dlog::client
