/// The settings of a topic: Kafka's names, types and defaults, the broker settings that they fall
/// back on, and the typed values that the partitions work with.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metadata/config_definition.h"

namespace dlog::metadata {

/// A broker setting that gives a topic setting its default; its value times `factor` is the
/// topic's.
struct BrokerSynonym {
    std::string_view name;
    std::int64_t factor = 1;
};

inline constexpr std::size_t kSynonymsMax = 3;

struct TopicConfigDefinition {
    ConfigDefinition definition;
    /// In order of precedence; the last named one bears the default when none is set.
    BrokerSynonym synonyms[kSynonymsMax] = {};
    /// The default as the last synonym states it, when that is in another unit; else the
    /// definition's.
    std::string_view broker_default = {};
    /// Kafka's settings for tests: settable, but not described.
    bool is_hidden = false;
};

[[nodiscard]] std::span<const TopicConfigDefinition> topic_config_table();

/// Null when no topic setting has this name.
[[nodiscard]] const TopicConfigDefinition* find_topic_config(std::string_view name);

/// "Unknown <kind> configuration: <name>.", with the name that was probably meant.
[[nodiscard]] std::string unknown_config_text(std::string_view kind, std::string_view name,
                                              std::span<const std::string> known);
[[nodiscard]] std::string unknown_topic_config_text(std::string_view name);

/// The reason in words when a topic may not have this setting or this value.
[[nodiscard]] std::expected<void, std::string> check_topic_config(std::string_view name,
                                                                  std::string_view value);

/// As above for a whole set, with the rules between settings; `broker` gives the values that
/// `topic` leaves open.
[[nodiscard]] std::expected<void, std::string> check_topic_configs(const ConfigMap& topic,
                                                                   const ConfigMap& broker);

/// The reason in words when a topic of so many replicas may not have the write quorum that is set
/// on it.
[[nodiscard]] std::expected<void, std::string> check_write_quorum(const ConfigMap& topic,
                                                                  std::size_t replicas,
                                                                  bool is_clustered);

enum class CompressionType : std::uint8_t { kProducer, kUncompressed, kGzip, kSnappy, kLz4, kZstd };
enum class TimestampType : std::uint8_t { kCreateTime, kLogAppendTime };

/// A topic's settings in effect. Members bear Kafka's names; -1 or INT64_MAX mean "no limit" as in
/// Kafka.
struct TopicConfig {
    bool cleanup_compact = false;  ///< cleanup.policy names "compact"
    bool cleanup_delete = true;    ///< cleanup.policy names "delete"
    CompressionType compression_type = CompressionType::kProducer;
    std::int32_t compression_gzip_level = -1;
    std::int32_t compression_lz4_level = 9;
    std::int32_t compression_zstd_level = 3;
    std::int64_t delete_retention_ms = 86'400'000;
    std::int64_t file_delete_delay_ms = 60'000;
    std::int64_t flush_bytes = INT64_MAX;
    std::int64_t flush_messages = INT64_MAX;
    std::int64_t flush_ms = INT64_MAX;
    std::int32_t index_interval_bytes = 4096;
    std::int64_t max_compaction_lag_ms = INT64_MAX;
    std::int32_t max_message_bytes = 1'048'588;
    std::int64_t message_timestamp_after_max_ms = 3'600'000;
    std::int64_t message_timestamp_before_max_ms = INT64_MAX;
    TimestampType message_timestamp_type = TimestampType::kCreateTime;
    double min_cleanable_dirty_ratio = 0.5;
    std::int64_t min_compaction_lag_ms = 0;
    std::int32_t min_insync_replicas = 1;
    std::int64_t retention_bytes = -1;
    std::int64_t retention_ms = 604'800'000;
    std::int32_t segment_bytes = 1'073'741'824;
    std::int32_t segment_index_bytes = 10'485'760;
    std::int64_t segment_jitter_ms = 0;
    std::int64_t segment_ms = 604'800'000;
    bool write_caching = false;
    std::int32_t write_quorum = 0;  ///< How many replicas have to hold a record; 0: the majority.

    bool operator==(const TopicConfig&) const = default;
};

/// The values in effect for a topic with `topic` set on it, on a node with `broker` set. Both have
/// been checked.
[[nodiscard]] TopicConfig effective_topic_config(const ConfigMap& topic, const ConfigMap& broker);

struct DescribedConfig {
    const TopicConfigDefinition* definition = nullptr;
    std::string value;
    ConfigSource source = ConfigSource::kDefault;
    /// Every place that could give the value, in order of precedence.
    std::vector<DescribedSynonym> synonyms;
};

/// What DescribeConfigs says about one setting of a topic.
[[nodiscard]] DescribedConfig describe_topic_config(const TopicConfigDefinition& definition,
                                                    const ConfigMap& topic,
                                                    const BrokerConfigs& broker);

}  // namespace dlog::metadata
