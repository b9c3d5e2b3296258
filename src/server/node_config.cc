#include "server/node_config.h"

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

}  // namespace dlog::server
