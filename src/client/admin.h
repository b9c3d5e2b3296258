/// What is done to topics and settings, as plain calls. Each sends one request, again after
/// transport failures where that is safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "client/cluster.h"
#include "client/committed.h"
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

/// Makes the topic have `count` partitions, which is more than it has.
[[nodiscard]] port::Task<Result<void>> create_partitions(Cluster& cluster, std::string topic,
                                                         std::int32_t count, Instant deadline);

/// The numbers of DescribeConfigs' config_source field that a reader may meet.
enum class ConfigOrigin : std::int8_t {
    kTopic = 1,
    kDynamicBroker = 2,
    kDynamicDefaultBroker = 3,
    kStaticBroker = 4,
    kDefault = 5,
};

struct Setting {
    std::string name;
    std::optional<std::string> value;
    ConfigOrigin origin = ConfigOrigin::kDefault;
    bool is_read_only = false;
};

/// Whose settings are meant.
struct ConfigTarget {
    /// The numbers are Kafka's resource types.
    enum class Kind : std::int8_t { kTopic = 2, kBroker = 4 };
    Kind kind = Kind::kTopic;
    /// A topic's name, a broker's number, or empty for all brokers.
    std::string name;

    [[nodiscard]] std::string text() const;
};

[[nodiscard]] port::Task<Result<std::vector<Setting>>> describe_settings(Cluster& cluster,
                                                                         ConfigTarget target,
                                                                         Instant deadline);

/// A setting's new value; nothing takes it back.
struct SettingChange {
    std::string name;
    std::optional<std::string> value;
};

/// Changes all of them or none. With `validate_only` nothing is changed, and the error is the one
/// that the change would meet.
[[nodiscard]] port::Task<Result<void>> alter_settings(Cluster& cluster, ConfigTarget target,
                                                      std::vector<SettingChange> changes,
                                                      bool validate_only, Instant deadline);

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
/// first or last offset. Asked of the leaders, again while they move. Under kReadCommitted a
/// partition ends at its last stable offset.
[[nodiscard]] port::Task<Result<std::vector<ListedOffset>>> list_offsets(
    Cluster& cluster, std::string topic, std::vector<std::int32_t> partitions, Timestamp time,
    Instant deadline, Isolation isolation = Isolation::kReadUncommitted);

}  // namespace dlog::client
