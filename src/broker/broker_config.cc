#include "broker/broker_config.h"

#include <algorithm>
#include <set>

#include "base/assert.h"
#include "broker/peer_address.h"
#include "metadata/topic_config.h"

namespace dlog::broker {

namespace {

using metadata::ConfigDefinition;
using metadata::ConfigMap;
using metadata::ConfigType;

constexpr ConfigDefinition kNodeSettings[] = {
    {"auto.create.topics.enable", ConfigType::kBoolean, "true",
     "Whether asking for the metadata of a topic that does not exist makes it."},
    {"connections.max.idle.ms", ConfigType::kLong, "600000",
     "A connection without requests is closed after this time.", 1},
    {"default.replication.factor", ConfigType::kInt, "1",
     "The number of replicas of a topic that is made without saying.", 1, INT16_MAX},
    {"delete.topic.enable", ConfigType::kBoolean, "true", "Whether topics can be deleted."},
    {"fetch.max.bytes", ConfigType::kInt, "57671680", "The most that one fetch is answered with.",
     1024, INT32_MAX},
    {"log.flush.offset.checkpoint.interval.ms", ConfigType::kInt, "5000",
     "How often the point from which a start must recover is written down.", 1, INT32_MAX},
    {"log.retention.check.interval.ms", ConfigType::kLong, "300000",
     "How often segments are looked at for removal.", 1},
    {"max.connection.creation.rate", ConfigType::kInt, "2147483647",
     "Connections taken in a second; further ones wait. The largest number is no limit.", 1,
     INT32_MAX},
    {"max.connections", ConfigType::kInt, "10000",
     "Connections open at a time; further ones are closed.", 1, INT32_MAX},
    {"max.connections.per.ip", ConfigType::kInt, "2147483647",
     "Connections of one address open at a time; further ones are closed. The largest number is no "
     "limit.",
     0, INT32_MAX},
    {"max.connections.per.ip.overrides", ConfigType::kString, "",
     "Addresses with a number of their own, as in `192.0.2.1:100,2001:db8::1:50`."},
    {"max.incremental.fetch.session.cache.slots", ConfigType::kInt, "1000",
     "Incremental fetch sessions of each core.", 0, INT32_MAX},
    {"num.partitions", ConfigType::kInt, "1",
     "The number of partitions of a topic that is made without saying.", 1, INT32_MAX},
    {"queued.max.request.bytes", ConfigType::kLong, "536870912",
     "Memory for large request frames, for each core.", 1},
    {"socket.request.max.bytes", ConfigType::kInt, "104857600",
     "The largest request; a larger one closes its connection.", 1, INT32_MAX},
};

std::string_view last_synonym(const metadata::TopicConfigDefinition& entry) {
    std::string_view last;
    for (const metadata::BrokerSynonym& synonym : entry.synonyms) {
        if (!synonym.name.empty()) last = synonym.name;
    }
    return last;
}

BrokerSetting synonym_setting(const metadata::TopicConfigDefinition& entry,
                              const metadata::BrokerSynonym& synonym) {
    BrokerSetting setting{.definition = entry.definition};
    setting.definition.name = synonym.name;
    setting.has_default = synonym.name == last_synonym(entry);
    if (!entry.broker_default.empty()) setting.definition.default_value = entry.broker_default;
    if (synonym.factor != 1 && setting.definition.minimum > 0) setting.definition.minimum = 1;
    return setting;
}

void read(const ConfigMap& settings, std::string_view name, bool& into) {
    const auto found = settings.find(name);
    if (found != settings.end()) into = metadata::parse_boolean(found->second).value_or(into);
}

template <class Number>
void read(const ConfigMap& settings, std::string_view name, Number& into) {
    const auto found = settings.find(name);
    if (found == settings.end()) return;
    const auto value = metadata::parse_integer(found->second);
    DLOG_ASSERT(value.has_value(), name);
    into = static_cast<Number>(*value);
}

void read_ms(const ConfigMap& settings, std::string_view name, Duration& into) {
    std::int64_t ms = into.ms();
    read(settings, name, ms);
    into = milliseconds(std::min(ms, INT64_MAX / 1'000'000));
}

/// "192.0.2.1:100,2001:db8::1:50": an address, and behind its last colon a number.
std::expected<void, std::string> read_ip_overrides(NodeConfig& config) {
    constexpr std::string_view kName = "max.connections.per.ip.overrides";
    const auto found = config.settings.find(kName);
    std::string_view rest = found == config.settings.end() ? std::string_view{} : found->second;
    while (!rest.empty()) {
        const std::string_view entry = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
        const std::size_t colon = entry.rfind(':');
        const auto address = canonical_address(entry.substr(0, colon));
        const auto count = colon == std::string_view::npos
                               ? std::nullopt
                               : metadata::parse_integer(entry.substr(colon + 1));
        if (!address || !count || *count < 0 || *count > INT32_MAX) {
            return std::unexpected(std::string(kName) + ": '" + std::string(entry) +
                                   "' is not ADDRESS:NUMBER, such as 192.0.2.1:100.");
        }
        config.connections_per_ip_overrides[*address] = static_cast<std::uint32_t>(*count);
    }
    if (config.connections_per_ip_max == 0 && config.connections_per_ip_overrides.empty()) {
        return std::unexpected(
            "max.connections.per.ip is 0 and no address has a number of its "
            "own: nobody could connect.");
    }
    return {};
}

std::expected<void, std::string> check_settings(const ConfigMap& settings) {
    const std::vector<BrokerSetting> known = broker_settings();
    for (const auto& [name, value] : settings) {
        const auto found = std::ranges::lower_bound(
            known, std::string_view(name), {},
            [](const BrokerSetting& setting) { return setting.definition.name; });
        if (found == known.end() || found->definition.name != name) {
            return std::unexpected("Unknown broker configuration: " + name + ".");
        }
        if (auto check = metadata::check_config(found->definition, value); !check) return check;
    }
    return metadata::check_topic_configs({}, settings);
}

}  // namespace

std::vector<BrokerSetting> broker_settings() {
    std::vector<BrokerSetting> settings;
    std::set<std::string_view> names;
    for (const ConfigDefinition& definition : kNodeSettings) {
        settings.push_back({.definition = definition});
        names.insert(definition.name);
    }
    for (const metadata::TopicConfigDefinition& entry : metadata::topic_config_table()) {
        for (const metadata::BrokerSynonym& synonym : entry.synonyms) {
            if (synonym.name.empty() || !names.insert(synonym.name).second) continue;
            settings.push_back(synonym_setting(entry, synonym));
        }
    }
    std::ranges::sort(settings, {},
                      [](const BrokerSetting& setting) { return setting.definition.name; });
    return settings;
}

std::expected<void, std::string> apply_settings(NodeConfig& config) {
    const ConfigMap& settings = config.settings;
    if (auto check = check_settings(settings); !check) return check;
    read(settings, "auto.create.topics.enable", config.auto_create_topics);
    read_ms(settings, "connections.max.idle.ms", config.connection_idle_max);
    read(settings, "default.replication.factor", config.default_replication_factor);
    read(settings, "delete.topic.enable", config.delete_topic_enable);
    read(settings, "fetch.max.bytes", config.fetch_bytes_max);
    read_ms(settings, "log.flush.offset.checkpoint.interval.ms", config.checkpoint_interval);
    read_ms(settings, "log.retention.check.interval.ms", config.retention_interval);
    read(settings, "max.connection.creation.rate", config.connection_creation_rate_max);
    read(settings, "max.connections", config.connections_max);
    read(settings, "max.connections.per.ip", config.connections_per_ip_max);
    read(settings, "max.incremental.fetch.session.cache.slots", config.fetch_session_slots_max);
    read(settings, "num.partitions", config.num_partitions);
    read(settings, "queued.max.request.bytes", config.request_memory_bytes_max);
    read(settings, "socket.request.max.bytes", config.request_bytes_max);
    return read_ip_overrides(config);
}

}  // namespace dlog::broker
