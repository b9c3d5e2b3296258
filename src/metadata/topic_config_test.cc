#include "metadata/topic_config.h"

#include <doctest/doctest.h>

namespace dlog::metadata {
namespace {

TEST_CASE("every default in the table is a value that the table allows") {
    for (const TopicConfigDefinition& entry : topic_config_table()) {
        CAPTURE(entry.definition.name);
        CHECK(check_config(entry.definition, entry.definition.default_value).has_value());
        CHECK(!entry.definition.documentation.empty());
        CHECK(find_topic_config(entry.definition.name) == &entry);
    }
}

TEST_CASE("the typed defaults are the table's defaults") {
    CHECK(effective_topic_config({}, {}) == TopicConfig{});
}

TEST_CASE("a topic's own value goes before the broker's, and the broker's before the default") {
    const ConfigMap broker = {{"log.retention.ms", "5000"}, {"log.retention.hours", "2"}};
    CHECK(effective_topic_config({}, broker).retention_ms == 5000);
    CHECK(effective_topic_config({{"retention.ms", "7"}}, broker).retention_ms == 7);
}

TEST_CASE("retention in hours and minutes becomes milliseconds, and minutes go before hours") {
    CHECK(effective_topic_config({}, {{"log.retention.hours", "2"}}).retention_ms == 7'200'000);
    const ConfigMap both = {{"log.retention.hours", "2"}, {"log.retention.minutes", "3"}};
    CHECK(effective_topic_config({}, both).retention_ms == 180'000);
    CHECK(effective_topic_config({}, {{"log.retention.hours", "-1"}}).retention_ms == -1);
}

TEST_CASE("an unknown setting is refused with the nearest name") {
    const auto check = check_topic_config("retention.m", "1");
    REQUIRE(!check.has_value());
    CHECK(check.error() == "Unknown topic configuration: retention.m. Did you mean retention.ms?");
}

TEST_CASE("a value that is no number, too small or too large is refused with the rule") {
    CHECK(check_topic_config("retention.ms", "abc").error() ==
          "Invalid value abc for configuration retention.ms: it must be a whole number of 64 bits");
    CHECK(check_topic_config("retention.ms", "-2").error() ==
          "Invalid value -2 for configuration retention.ms: it must be at least -1");
    CHECK(check_topic_config("compression.lz4.level", "18").error() ==
          "Invalid value 18 for configuration compression.lz4.level: it must be at most 17");
    CHECK(!check_topic_config("max.message.bytes", "3000000000").has_value());
    CHECK(!check_topic_config("retention.ms", "").has_value());
    CHECK(check_topic_config("retention.ms", " 10 ").has_value());
}

TEST_CASE("a word that is not allowed is refused with the words that are") {
    CHECK(check_topic_config("message.timestamp.type", "Never").error() ==
          "Invalid value Never for configuration message.timestamp.type: it must be one of "
          "CreateTime, LogAppendTime");
}

TEST_CASE("a topic is compacted, loses what is old, or both") {
    CHECK(check_topic_config("cleanup.policy", "compact").has_value());
    CHECK(!check_topic_config("cleanup.policy", "compress").has_value());
    const auto both = effective_topic_config({{"cleanup.policy", "delete, compact"}}, {});
    CHECK(both.cleanup_compact);
    CHECK(both.cleanup_delete);
    const auto alone = effective_topic_config({}, {{"log.cleanup.policy", "compact"}});
    CHECK(alone.cleanup_compact);
    CHECK(!alone.cleanup_delete);
    const auto neither = effective_topic_config({{"cleanup.policy", "delete"}}, {});
    CHECK(!neither.cleanup_compact);
    CHECK(neither.cleanup_delete);
}

TEST_CASE("a topic's compaction settings fall back on the broker's") {
    const auto config = effective_topic_config({{"min.compaction.lag.ms", "5"}},
                                               {{"log.cleaner.min.cleanable.ratio", "0.25"},
                                                {"log.cleaner.delete.retention.ms", "7"},
                                                {"log.cleaner.min.compaction.lag.ms", "1"},
                                                {"log.cleaner.max.compaction.lag.ms", "9"}});
    CHECK(config.min_cleanable_dirty_ratio == 0.25);
    CHECK(config.delete_retention_ms == 7);
    CHECK(config.min_compaction_lag_ms == 5);
    CHECK(config.max_compaction_lag_ms == 9);
    CHECK(!check_topic_config("min.cleanable.dirty.ratio", "1.5").has_value());
    CHECK(!check_topic_config("min.cleanable.dirty.ratio", "nan").has_value());
}

TEST_CASE("a record must be compacted no earlier than it may be") {
    CHECK(
        !check_topic_configs({{"min.compaction.lag.ms", "10"}, {"max.compaction.lag.ms", "9"}}, {})
             .has_value());
}

TEST_CASE("the jitter of a segment's age may not exceed the age") {
    CHECK(
        check_topic_configs({{"segment.ms", "100"}, {"segment.jitter.ms", "100"}}, {}).has_value());
    CHECK(!check_topic_configs({{"segment.ms", "100"}, {"segment.jitter.ms", "101"}}, {})
               .has_value());
    CHECK(
        !check_topic_configs({{"segment.jitter.ms", "101"}}, {{"log.roll.ms", "100"}}).has_value());
}

TEST_CASE("a small segment is for tests only, by Kafka's internal name") {
    CHECK(!check_topic_config("segment.bytes", "1000").has_value());
    CHECK(check_topic_config("internal.segment.bytes", "1000").has_value());
    CHECK(effective_topic_config({{"internal.segment.bytes", "1000"}}, {}).segment_bytes == 1000);
}

TEST_CASE("a description lists every place that could give the value, nearest first") {
    const BrokerConfigs broker{
        .own = {{"log.retention.ms", "5"}},
        .every_node = {{"log.retention.ms", "6"}},
        .at_start = {{"log.retention.minutes", "3"}, {"log.retention.hours", "2"}}};
    const auto described =
        describe_topic_config(*find_topic_config("retention.ms"), {{"retention.ms", "9"}}, broker);
    CHECK(described.value == "9");
    CHECK(described.source == ConfigSource::kTopic);
    CHECK(described.synonyms == std::vector<DescribedSynonym>{
                                    {"retention.ms", "9", ConfigSource::kTopic},
                                    {"log.retention.ms", "5", ConfigSource::kDynamicBroker},
                                    {"log.retention.ms", "6", ConfigSource::kDynamicDefaultBroker},
                                    {"log.retention.minutes", "3", ConfigSource::kStaticBroker},
                                    {"log.retention.hours", "2", ConfigSource::kStaticBroker},
                                    {"log.retention.hours", "168", ConfigSource::kDefault},
                                });

    const BrokerConfigs only_at_start{.at_start = broker.at_start};
    const auto from_broker =
        describe_topic_config(*find_topic_config("retention.ms"), {}, only_at_start);
    CHECK(from_broker.value == "180000");
    CHECK(from_broker.source == ConfigSource::kStaticBroker);
}

}  // namespace
}  // namespace dlog::metadata
