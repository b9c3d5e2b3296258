#include "server/node_config.h"

#include <algorithm>

#include "base/assert.h"
#include "base/result.h"
#include "broker/broker_config.h"
#include "server/config_keys.h"

namespace dlog::server {

namespace {

bool is_every_address(const std::string& host) {
    return host == "0.0.0.0" || host == "::" || host.empty();
}

/// A setting in the form that Kafka writes it: numbers without units, booleans as words.
std::string kafka_text(const ConfigKey& key, const Config& config) {
    switch (key.type) {
        case KeyType::kInteger:
        case KeyType::kBytes:
            return std::to_string(config.integer(key.name));
        case KeyType::kBoolean:
            return config.boolean(key.name) ? "true" : "false";
        default:
            return config.text(key.name);
    }
}

ConfigResult<void> set_addresses(const Config& config, broker::NodeConfig& node) {
    const bool is_listen = port::parse_endpoint(config.text("listen"), node.listen);
    DLOG_ASSERT(is_listen);  // the table has checked it
    if (config.is_set("advertise")) {
        const bool is_advertise = port::parse_endpoint(config.text("advertise"), node.advertised);
        DLOG_ASSERT(is_advertise);
    } else if (is_every_address(node.listen.host)) {
        return unexpected(ConfigError{
            "listen is " + config.text("listen") +
            ", which no client can connect to by that name: set advertise to the address that "
            "clients reach this machine by, such as --advertise 192.0.2.10:9092"});
    } else {
        node.advertised = node.listen;
    }
    if (is_every_address(node.advertised.host)) {
        return unexpected(ConfigError{"advertise is " + config.text("advertise") +
                                      ": clients cannot connect to that; name a host or address"});
    }
    return {};
}

}  // namespace

ConfigResult<broker::NodeConfig> make_node_config(const Config& config) {
    broker::NodeConfig node;
    node.node_id = NodeId{static_cast<std::int32_t>(config.integer("node.id"))};
    node.data_dir = config.text("data.dir");
    if (node.data_dir.empty()) return unexpected(ConfigError{"data.dir is empty: name a folder"});
    DLOG_TRY(set_addresses(config, node));
    node.tail_bytes = static_cast<std::size_t>(config.integer("tail.bytes"));
    node.open_files_max = static_cast<std::size_t>(config.integer("open.files.max"));
    for (const ConfigKey& key : config_keys()) {
        if (!key.is_kafka || config.source(key.name) == ConfigSource::kDefault) continue;
        node.settings[std::string(key.name)] = kafka_text(key, config);
    }
    if (auto applied = broker::apply_settings(node); !applied) {
        return unexpected(ConfigError{std::move(applied).error()});
    }
    return node;
}

bool fit_into_descriptors(broker::NodeConfig& node, std::uint64_t descriptors,
                          std::uint32_t core_count) {
    DLOG_ASSERT(core_count > 0);
    // Loops, listeners, the log and files that are open for a moment.
    constexpr std::uint64_t kOwn = 64;
    constexpr std::uint64_t kFilesMin = 16;
    const std::uint64_t files = std::uint64_t{node.open_files_max} * core_count;
    if (node.connections_max + files + kOwn <= descriptors) return false;
    const std::uint64_t connections = std::max<std::uint64_t>(descriptors - descriptors / 4, 1);
    const std::uint64_t rest = std::max(descriptors / 4, kOwn) - kOwn;
    node.connections_max =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(node.connections_max, connections));
    node.open_files_max =
        std::min<std::uint64_t>(node.open_files_max, std::max(rest / core_count, kFilesMin));
    return true;
}

}  // namespace dlog::server
