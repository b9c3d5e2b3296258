#include "server/config_keys.h"

#include <vector>

#include "broker/broker_config.h"

namespace dlog::server {

namespace {

constexpr std::int64_t kInt32Max = INT32_MAX;

std::vector<ConfigKey> node_keys() {
    return {
        // The node
        {.name = "config",
         .type = KeyType::kText,
         .default_value = "",
         .value_name = "FILE",
         .documentation = "Read settings from this TOML file."},
        {.name = "node.id",
         .type = KeyType::kInteger,
         .default_value = "1",
         .value_name = "N",
         .documentation = "This node's number, which clients see as the broker id.",
         .maximum = kInt32Max},
        {.name = "data.dir",
         .type = KeyType::kText,
         .default_value = "./data",
         .value_name = "PATH",
         .documentation = "The folder that holds the logs. Made when it does not exist."},
        {.name = "listen",
         .type = KeyType::kEndpoint,
         .default_value = "127.0.0.1:9092",
         .value_name = "HOST:PORT",
         .documentation = "Where Kafka clients connect. 0.0.0.0:9092 listens on every address."},
        {.name = "advertise",
         .type = KeyType::kEndpoint,
         .default_value = "",
         .value_name = "HOST:PORT",
         .documentation = "The address that clients are told to come back to. Default: the one of "
                          "`listen`; must be "
                          "set when that is 0.0.0.0."},
        {.name = "http",
         .type = KeyType::kEndpoint,
         .default_value = "127.0.0.1:9644",
         .value_name = "HOST:PORT",
         .documentation = "Where /metrics, /healthz and /readyz are served; `off` for nowhere."},
        {.name = "cores",
         .type = KeyType::kInteger,
         .default_value = "0",
         .value_name = "N",
         .documentation =
             "How many cores (loops) the node uses; 0 for all that the process may run on.",
         .maximum = 1024},
        {.name = "log.level",
         .type = KeyType::kChoice,
         .default_value = "info",
         .value_name = "LEVEL",
         .documentation = "The least level of log lines that are written to standard error.",
         .choices = "debug|info|warn|error"},
        {.name = "log.format",
         .type = KeyType::kChoice,
         .default_value = "text",
         .value_name = "FORMAT",
         .documentation = "Log lines as text, or one JSON object a line.",
         .choices = "text|json"},
    };
}

/// DLog's own limits on memory and files.
std::vector<ConfigKey> limit_keys() {
    return {
        {.name = "tail.bytes",
         .type = KeyType::kBytes,
         .default_value = "67108864",
         .value_name = "BYTES",
         .documentation = "The newest batches that one core keeps in memory for readers.",
         .minimum = 1 << 20},
        {.name = "open.files.max",
         .type = KeyType::kInteger,
         .default_value = "4096",
         .value_name = "N",
         .documentation = "Segment files that one core keeps open.",
         .minimum = 16,
         .maximum = 1 << 20},
    };
}

/// A key of the broker's table of Kafka settings.
ConfigKey broker_key(const broker::BrokerSetting& setting) {
    using metadata::ConfigType;
    const metadata::ConfigDefinition& definition = setting.definition;
    ConfigKey key{.name = definition.name,
                  .value_name = "TEXT",
                  .documentation = std::string(definition.documentation),
                  .is_kafka = true};
    if (setting.has_default) key.default_value = definition.default_value;
    switch (definition.type) {
        case ConfigType::kBoolean:
            key.type = KeyType::kBoolean;
            key.value_name = "true|false";
            break;
        case ConfigType::kInt:
        case ConfigType::kLong:
            key.type = definition.name.ends_with(".bytes") ? KeyType::kBytes : KeyType::kInteger;
            key.value_name = key.type == KeyType::kBytes ? "BYTES" : "N";
            key.minimum = definition.minimum;
            key.maximum = definition.maximum;
            break;
        case ConfigType::kString:
            if (!definition.allowed.empty()) key.type = KeyType::kChoice;
            key.choices = definition.allowed;
            break;
        case ConfigType::kDouble:
        case ConfigType::kList:
            break;
    }
    return key;
}

std::vector<ConfigKey> make_keys() {
    std::vector<ConfigKey> keys = node_keys();
    for (ConfigKey& key : limit_keys()) keys.push_back(std::move(key));
    for (const broker::BrokerSetting& setting : broker::broker_settings()) {
        keys.push_back(broker_key(setting));
    }
    return keys;
}

}  // namespace

std::span<const ConfigKey> config_keys() {
    static const std::vector<ConfigKey> keys = make_keys();
    return keys;
}

int find_config_key(std::string_view name) {
    const auto keys = config_keys();
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (keys[i].name == name) return static_cast<int>(i);
    }
    return -1;
}

std::string flag_name(std::string_view key) {
    std::string name(key);
    for (char& c : name) {
        if (c == '.') c = '-';
    }
    return name;
}

std::string environment_name(std::string_view key) {
    std::string name = "DLOG_";
    for (const char c : key) {
        name += c == '.' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
    }
    return name;
}

namespace {

/// "text|json" -> " One of text, json."
std::string choices_text(std::string_view choices) {
    if (choices.empty()) return {};
    std::string out = " One of ";
    for (const char c : choices) {
        if (c == '|') {
            out += ", ";
        } else {
            out += c;
        }
    }
    return out + ".";
}

std::string code(std::string_view text) {
    return text.empty() ? std::string() : "`" + std::string(text) + "`";
}

}  // namespace

std::string config_table_markdown() {
    std::string out =
        "| key | flag | environment | default | what it does |\n"
        "| --- | --- | --- | --- | --- |\n";
    for (const ConfigKey& key : config_keys()) {
        out += "| " + code(key.name) + " | " + code("--" + flag_name(key.name)) + " | " +
               code(environment_name(key.name)) + " | " + code(key.default_value) + " | " +
               key.documentation + choices_text(key.choices) + " |\n";
    }
    return out;
}

}  // namespace dlog::server
