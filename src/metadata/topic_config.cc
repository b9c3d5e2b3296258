#include "metadata/topic_config.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "base/nearest.h"

namespace dlog::metadata {

namespace {

std::string scaled(std::string_view value, std::int64_t factor) {
    if (factor == 1) return std::string(value);
    const std::int64_t number = parse_integer(value).value_or(0);
    // Hours and minutes of -1 mean "no limit", as they do in Kafka.
    if (number < 0) return "-1";
    if (number > INT64_MAX / factor) return std::to_string(INT64_MAX);
    return std::to_string(number * factor);
}

/// A setting's value as text: the topic's, else the broker's, else the default.
std::string value_of(const TopicConfigDefinition& entry, const ConfigMap& topic,
                     const ConfigMap& broker) {
    if (const auto own = topic.find(entry.definition.name); own != topic.end()) return own->second;
    for (const BrokerSynonym& synonym : entry.synonyms) {
        if (synonym.name.empty()) break;
        const auto found = broker.find(synonym.name);
        if (found != broker.end()) return scaled(found->second, synonym.factor);
    }
    return std::string(entry.definition.default_value);
}

/// Reads typed values out of the two maps.
class Values {
  public:
    Values(const ConfigMap& topic, const ConfigMap& broker) : topic_(topic), broker_(broker) {}

    [[nodiscard]] std::string text(std::string_view name) const {
        const TopicConfigDefinition* entry = find_topic_config(name);
        DLOG_ASSERT(entry != nullptr, name);
        return value_of(*entry, topic_, broker_);
    }
    template <class Number>
    void read(std::string_view name, Number& into) const {
        const auto value = parse_integer(text(name));
        DLOG_ASSERT(value.has_value(), name);
        into = static_cast<Number>(*value);
    }
    void read(std::string_view name, double& into) const {
        into = parse_number(text(name)).value_or(into);
    }
    void read(std::string_view name, bool& into) const {
        into = parse_boolean(text(name)).value_or(false);
    }

  private:
    const ConfigMap& topic_;
    const ConfigMap& broker_;
};

bool list_has(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        if (trim(list.substr(0, comma)) == word) return true;
        list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    }
    return false;
}

CompressionType compression_type_of(std::string_view text) {
    if (text == "uncompressed") return CompressionType::kUncompressed;
    if (text == "gzip") return CompressionType::kGzip;
    if (text == "snappy") return CompressionType::kSnappy;
    if (text == "lz4") return CompressionType::kLz4;
    if (text == "zstd") return CompressionType::kZstd;
    DLOG_ASSERT(text == "producer", text);
    return CompressionType::kProducer;
}

constexpr std::string_view kWriteQuorum = "write.quorum";

std::int32_t write_quorum_of(std::string_view text) {
    return static_cast<std::int32_t>(parse_integer(text).value_or(0));
}

}  // namespace

std::string unknown_config_text(std::string_view kind, std::string_view name,
                                std::span<const std::string> known) {
    constexpr std::size_t kShownMax = 128;
    name = name.substr(0, kShownMax);
    std::string text =
        "Unknown " + std::string(kind) + " configuration: " + std::string(name) + ".";
    const std::string_view nearest = nearest_name(name, known);
    if (!nearest.empty()) text += " Did you mean " + std::string(nearest) + "?";
    return text;
}

std::string unknown_topic_config_text(std::string_view name) {
    std::vector<std::string> known;
    for (const TopicConfigDefinition& entry : topic_config_table()) {
        if (!entry.is_hidden) known.emplace_back(entry.definition.name);
    }
    return unknown_config_text("topic", name, known);
}

std::expected<void, std::string> check_topic_config(std::string_view name, std::string_view value) {
    const TopicConfigDefinition* entry = find_topic_config(name);
    if (entry == nullptr) return std::unexpected(unknown_topic_config_text(name));
    return check_config(entry->definition, value);
}

std::expected<void, std::string> check_topic_configs(const ConfigMap& topic,
                                                     const ConfigMap& broker) {
    for (const auto& [name, value] : topic) {
        if (auto check = check_topic_config(name, value); !check) return check;
    }
    const TopicConfig config = effective_topic_config(topic, broker);
    if (config.segment_jitter_ms > config.segment_ms) {
        return std::unexpected("Invalid value " + std::to_string(config.segment_jitter_ms) +
                               " for configuration segment.jitter.ms: it must not exceed "
                               "segment.ms, which is " +
                               std::to_string(config.segment_ms));
    }
    // Kafka's LogConfig.validateValues.
    if (config.min_compaction_lag_ms > config.max_compaction_lag_ms) {
        return std::unexpected("conflict topic config setting min.compaction.lag.ms (" +
                               std::to_string(config.min_compaction_lag_ms) +
                               ") > max.compaction.lag.ms (" +
                               std::to_string(config.max_compaction_lag_ms) + ")");
    }
    return {};
}

std::expected<void, std::string> check_write_quorum(const ConfigMap& topic, std::size_t replicas,
                                                    bool is_clustered) {
    const auto found = topic.find(kWriteQuorum);
    if (found == topic.end()) return {};
    if (!is_clustered) return std::unexpected("Configuration write.quorum needs a cluster.");
    const auto quorum = static_cast<std::size_t>(write_quorum_of(found->second));
    if (quorum <= replicas) return {};
    return std::unexpected("Invalid value " + found->second +
                           " for configuration write.quorum: the topic has only " +
                           std::to_string(replicas) + " replicas.");
}

TopicConfig effective_topic_config(const ConfigMap& topic, const ConfigMap& broker) {
    const Values values(topic, broker);
    TopicConfig config;
    const std::string policy = values.text("cleanup.policy");
    config.cleanup_compact = list_has(policy, "compact");
    config.cleanup_delete = list_has(policy, "delete");
    config.compression_type = compression_type_of(trim(values.text("compression.type")));
    values.read("compression.gzip.level", config.compression_gzip_level);
    values.read("compression.lz4.level", config.compression_lz4_level);
    values.read("compression.zstd.level", config.compression_zstd_level);
    values.read("delete.retention.ms", config.delete_retention_ms);
    values.read("file.delete.delay.ms", config.file_delete_delay_ms);
    values.read("flush.bytes", config.flush_bytes);
    values.read("flush.messages", config.flush_messages);
    values.read("flush.ms", config.flush_ms);
    values.read("index.interval.bytes", config.index_interval_bytes);
    values.read("max.compaction.lag.ms", config.max_compaction_lag_ms);
    values.read("max.message.bytes", config.max_message_bytes);
    values.read("message.timestamp.after.max.ms", config.message_timestamp_after_max_ms);
    values.read("message.timestamp.before.max.ms", config.message_timestamp_before_max_ms);
    config.message_timestamp_type = trim(values.text("message.timestamp.type")) == "LogAppendTime"
                                        ? TimestampType::kLogAppendTime
                                        : TimestampType::kCreateTime;
    values.read("min.cleanable.dirty.ratio", config.min_cleanable_dirty_ratio);
    values.read("min.compaction.lag.ms", config.min_compaction_lag_ms);
    values.read("min.insync.replicas", config.min_insync_replicas);
    values.read("retention.bytes", config.retention_bytes);
    values.read("retention.ms", config.retention_ms);
    values.read("segment.bytes", config.segment_bytes);
    if (topic.contains("internal.segment.bytes")) {
        values.read("internal.segment.bytes", config.segment_bytes);
    }
    values.read("segment.index.bytes", config.segment_index_bytes);
    values.read("segment.jitter.ms", config.segment_jitter_ms);
    values.read("segment.ms", config.segment_ms);
    values.read("write.caching", config.write_caching);
    config.write_quorum = write_quorum_of(values.text(kWriteQuorum));
    return config;
}

DescribedConfig describe_topic_config(const TopicConfigDefinition& definition,
                                      const ConfigMap& topic, const BrokerConfigs& broker) {
    DescribedConfig described;
    described.definition = &definition;
    described.value = value_of(definition, topic, broker.effective());
    std::string_view default_name = definition.definition.name;
    if (const auto own = topic.find(default_name); own != topic.end()) {
        described.synonyms.push_back({own->first, own->second, ConfigSource::kTopic});
    }
    for (const BrokerSynonym& synonym : definition.synonyms) {
        if (synonym.name.empty()) break;
        default_name = synonym.name;
        std::ranges::move(broker.places_of(synonym.name), std::back_inserter(described.synonyms));
    }
    const std::string_view default_value = definition.broker_default.empty()
                                               ? definition.definition.default_value
                                               : definition.broker_default;
    described.synonyms.push_back(
        {std::string(default_name), std::string(default_value), ConfigSource::kDefault});
    described.source = described.synonyms.front().source;
    DLOG_ASSERT(!described.synonyms.empty());
    return described;
}

}  // namespace dlog::metadata
