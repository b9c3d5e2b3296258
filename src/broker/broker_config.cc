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
    {"group.consumer.heartbeat.interval.ms", ConfigType::kInt, "5000",
     "How often members of the new consumer protocol are told to send a heartbeat.", 1, INT32_MAX},
    {"group.consumer.max.heartbeat.interval.ms", ConfigType::kInt, "15000",
     "The longest interval that a group may be given as its own.", 1, INT32_MAX},
    {"group.consumer.max.session.timeout.ms", ConfigType::kInt, "60000",
     "The longest session timeout that a group may be given as its own.", 1, INT32_MAX},
    {"group.consumer.max.size", ConfigType::kInt, "2147483647",
     "The most members that a group of the new consumer protocol may have.", 1, INT32_MAX},
    {"group.consumer.migration.policy", ConfigType::kString, "bidirectional",
     "Which groups change their protocol while they have members: classic groups that a member of "
     "the new consumer protocol joins (upgrade), and groups that only classic members are left in "
     "(downgrade).",
     0, 0, "bidirectional|upgrade|downgrade|disabled"},
    {"group.consumer.min.heartbeat.interval.ms", ConfigType::kInt, "5000",
     "The shortest interval that a group may be given as its own.", 1, INT32_MAX},
    {"group.consumer.min.session.timeout.ms", ConfigType::kInt, "45000",
     "The shortest session timeout that a group may be given as its own.", 1, INT32_MAX},
    {"group.consumer.session.timeout.ms", ConfigType::kInt, "45000",
     "A member of the new consumer protocol is taken out after this time without a heartbeat.", 1,
     INT32_MAX},
    {"group.initial.rebalance.delay.ms", ConfigType::kInt, "3000",
     "How long a new group waits for more members before its first rebalance.", 0, INT32_MAX},
    {"group.max.session.timeout.ms", ConfigType::kInt, "1800000",
     "The longest session timeout that a member may ask for.", 1, INT32_MAX},
    {"group.max.size", ConfigType::kInt, "2147483647", "The most members that a group may have.", 1,
     INT32_MAX},
    {"group.min.session.timeout.ms", ConfigType::kInt, "6000",
     "The shortest session timeout that a member may ask for.", 1, INT32_MAX},
    {"log.cleaner.backoff.ms", ConfigType::kLong, "15000",
     "How long compaction rests when no partition needs it.", 0},
    {"log.cleaner.dedupe.buffer.size", ConfigType::kLong, "134217728",
     "Memory for the keys of the partitions being compacted, all cores together; 24 bytes hold a "
     "key. A partition with more keys is compacted in several rounds.",
     1'048'576},
    {"log.cleaner.enable", ConfigType::kBoolean, "true",
     "Whether topics with cleanup.policy=compact are compacted."},
    {"log.cleaner.io.max.bytes.per.second", ConfigType::kDouble, "1.7976931348623157E308",
     "The most that compaction reads and writes, all cores together.", 1},
    {"log.flush.offset.checkpoint.interval.ms", ConfigType::kInt, "5000",
     "How often the point from which a start must recover is written down.", 1, INT32_MAX},
    {"log.retention.check.interval.ms", ConfigType::kLong, "300000",
     "How often segments are looked at for removal.", 1},
    {"max.connection.creation.rate", ConfigType::kInt, "2147483647",
     "Connections taken in a second; further ones wait. The largest number is no limit.", 1,
     INT32_MAX},
    {"max.connections", ConfigType::kInt, "2147483647",
     "Connections open at a time; further ones are closed. Where these and the segment files are "
     "more "
     "than the descriptors of the process, three quarters of those.",
     1, INT32_MAX},
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
    {"offset.metadata.max.bytes", ConfigType::kInt, "4096",
     "The most text that may be committed with an offset.", 0, INT32_MAX},
    {"offsets.retention.check.interval.ms", ConfigType::kLong, "600000",
     "How often committed offsets are looked at for removal.", 1},
    {"offsets.retention.minutes", ConfigType::kInt, "10080",
     "Committed offsets of a group without members are forgotten after this time.", 1, INT32_MAX},
    {"offsets.topic.num.partitions", ConfigType::kInt, "50",
     "The partitions of __consumer_offsets when it is made.", 1, 10'000},
    {"offsets.topic.replication.factor", ConfigType::kInt, "1",
     "The replicas of __consumer_offsets when it is made.", 1, INT16_MAX},
    {"offsets.topic.segment.bytes", ConfigType::kInt, "104857600",
     "The segment size of __consumer_offsets when it is made.", 1'048'576, INT32_MAX},
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
    // KIP-226: the others of a setting, such as log.retention.hours, are read at the start.
    setting.is_dynamic = synonym.name == entry.synonyms[0].name;
    if (!entry.broker_default.empty()) setting.definition.default_value = entry.broker_default;
    if (synonym.factor != 1 && setting.definition.minimum > 0) setting.definition.minimum = 1;
    return setting;
}

void read(const ConfigMap& settings, std::string_view name, bool& into) {
    const auto found = settings.find(name);
    if (found != settings.end()) into = metadata::parse_boolean(found->second).value_or(into);
}

void read(const ConfigMap& settings, std::string_view name, double& into) {
    const auto found = settings.find(name);
    if (found != settings.end()) into = metadata::parse_number(found->second).value_or(into);
}

template <class Number>
void read(const ConfigMap& settings, std::string_view name, Number& into) {
    const auto found = settings.find(name);
    if (found == settings.end()) return;
    const auto value = metadata::parse_integer(found->second);
    DLOG_ASSERT(value.has_value(), name);
    into = static_cast<Number>(*value);
}

void read(const ConfigMap& settings, std::string_view name, coordination::MigrationPolicy& into) {
    using enum coordination::MigrationPolicy;
    const auto found = settings.find(name);
    if (found == settings.end()) return;
    const std::string_view value = found->second;
    into = value == "upgrade"     ? kUpgrade
           : value == "downgrade" ? kDowngrade
           : value == "disabled"  ? kDisabled
                                  : kBidirectional;
}

void read_ms(const ConfigMap& settings, std::string_view name, Duration& into) {
    std::int64_t ms = into.ms();
    read(settings, name, ms);
    into = milliseconds(std::min(ms, INT64_MAX / 1'000'000));
}

void read_group_settings(const ConfigMap& settings, NodeConfig& config) {
    coordination::GroupSettings& groups = config.groups;
    read_ms(settings, "group.consumer.heartbeat.interval.ms", groups.consumer_heartbeat_interval);
    read(settings, "group.consumer.max.size", groups.consumer_size_max);
    read(settings, "group.consumer.migration.policy", groups.migration_policy);
    read_ms(settings, "group.consumer.session.timeout.ms", groups.consumer_session_timeout);
    read_ms(settings, "group.initial.rebalance.delay.ms", groups.initial_rebalance_delay);
    read_ms(settings, "group.max.session.timeout.ms", groups.session_timeout_max);
    read(settings, "group.max.size", groups.size_max);
    read_ms(settings, "group.min.session.timeout.ms", groups.session_timeout_min);
    read(settings, "offset.metadata.max.bytes", groups.metadata_bytes_max);
    read_ms(settings, "offsets.retention.check.interval.ms", groups.offsets_check_interval);
    std::int64_t minutes = groups.offsets_retention.ms() / 60'000;
    read(settings, "offsets.retention.minutes", minutes);
    groups.offsets_retention = seconds(minutes * 60);
    read(settings, "offsets.topic.num.partitions", config.offsets_topic_partitions);
    read(settings, "offsets.topic.replication.factor", config.offsets_topic_replication_factor);
    read(settings, "offsets.topic.segment.bytes", config.offsets_topic_segment_bytes);
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
    const std::span<const BrokerSetting> known = broker_settings();
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

std::vector<BrokerSetting> make_settings() {
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

}  // namespace

std::span<const BrokerSetting> broker_settings() {
    static const std::vector<BrokerSetting> kSettings = make_settings();
    return kSettings;
}

std::expected<void, std::string> apply_settings(NodeConfig& config) {
    const ConfigMap& settings = config.settings;
    if (auto check = check_settings(settings); !check) return check;
    read(settings, "auto.create.topics.enable", config.auto_create_topics);
    read_ms(settings, "connections.max.idle.ms", config.connection_idle_max);
    read(settings, "default.replication.factor", config.default_replication_factor);
    read(settings, "delete.topic.enable", config.delete_topic_enable);
    read(settings, "fetch.max.bytes", config.fetch_bytes_max);
    read_group_settings(settings, config);
    read_ms(settings, "log.cleaner.backoff.ms", config.cleaner_backoff);
    read(settings, "log.cleaner.dedupe.buffer.size", config.cleaner_map_bytes);
    read(settings, "log.cleaner.enable", config.cleaner_enable);
    read(settings, "log.cleaner.io.max.bytes.per.second", config.cleaner_bytes_per_second);
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
