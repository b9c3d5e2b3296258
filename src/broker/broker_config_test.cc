#include "broker/broker_config.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace dlog::broker {
namespace {

TEST_CASE("every broker setting's default is a value that it allows, and names are unique") {
    const auto settings = broker_settings();
    for (std::size_t i = 0; i < settings.size(); ++i) {
        CAPTURE(settings[i].definition.name);
        if (i > 0) CHECK(settings[i - 1].definition.name < settings[i].definition.name);
        CHECK(!settings[i].definition.documentation.empty());
        if (!settings[i].has_default) continue;
        CHECK(metadata::check_config(settings[i].definition, settings[i].definition.default_value)
                  .has_value());
    }
}

TEST_CASE("the defaults in the table are those of the struct") {
    NodeConfig from_table;
    for (const BrokerSetting& setting : broker_settings()) {
        if (!setting.has_default) continue;
        from_table.settings.emplace(setting.definition.name, setting.definition.default_value);
    }
    REQUIRE(apply_settings(from_table).has_value());
    const NodeConfig plain;
    CHECK(from_table.num_partitions == plain.num_partitions);
    CHECK(from_table.auto_create_topics == plain.auto_create_topics);
    CHECK(from_table.connections_max == plain.connections_max);
    CHECK(from_table.connection_idle_max == plain.connection_idle_max);
    CHECK(from_table.request_bytes_max == plain.request_bytes_max);
    CHECK(from_table.request_memory_bytes_max == plain.request_memory_bytes_max);
    CHECK(from_table.fetch_bytes_max == plain.fetch_bytes_max);
    CHECK(from_table.fetch_session_slots_max == plain.fetch_session_slots_max);
    CHECK(from_table.retention_interval == plain.retention_interval);
    CHECK(from_table.checkpoint_interval == plain.checkpoint_interval);
    CHECK(from_table.default_replication_factor == plain.default_replication_factor);
    CHECK(from_table.delete_topic_enable == plain.delete_topic_enable);
}

TEST_CASE("settings are checked by name and value") {
    NodeConfig config;
    config.settings = {{"num.partitions", "3"}, {"log.retention.minutes", "5"}};
    REQUIRE(apply_settings(config).has_value());
    CHECK(config.num_partitions == 3);
    config.settings = {{"no.such.setting", "3"}};
    CHECK(apply_settings(config).error() == "Unknown broker configuration: no.such.setting.");
    config.settings = {{"num.partitions", "0"}};
    CHECK(!apply_settings(config).has_value());
    config.settings = {{"log.cleanup.policy", "compress"}};
    CHECK(!apply_settings(config).has_value());
    config.settings = {{"log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308"},
                       {"log.cleaner.dedupe.buffer.size", "2000000"},
                       {"log.cleaner.backoff.ms", "20"},
                       {"log.cleaner.enable", "false"}};
    REQUIRE(apply_settings(config).has_value());
    CHECK(config.cleaner_map_bytes == 2'000'000);
    CHECK(config.cleaner_backoff == milliseconds(20));
    CHECK(!config.cleaner_enable);
    config.settings = {{"log.cleaner.io.max.bytes.per.second", "nan"}};
    CHECK(!apply_settings(config).has_value());
}

}  // namespace
}  // namespace dlog::broker
