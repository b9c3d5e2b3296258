#include "server/config_keys.h"

#include <array>

namespace dlog::server {

namespace {

constexpr std::int64_t kInt32Max = INT32_MAX;

constexpr std::array kKeys = std::to_array<ConfigKey>({
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
     .documentation =
         "The address that clients are told to come back to. Default: the one of `listen`; must be "
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
});

}  // namespace

std::span<const ConfigKey> config_keys() {
    return kKeys;
}

int find_config_key(std::string_view name) {
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
        if (kKeys[i].name == name) return static_cast<int>(i);
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

std::string config_table_markdown() {
    std::string out =
        "| key | flag | environment | default | what it does |\n"
        "| --- | --- | --- | --- | --- |\n";
    for (const ConfigKey& key : kKeys) {
        out += "| `" + std::string(key.name) + "` | `--" + flag_name(key.name) + "` | `" +
               environment_name(key.name) + "` | ";
        out += key.default_value.empty() ? "" : "`" + std::string(key.default_value) + "`";
        out += " | " + std::string(key.documentation);
        if (!key.choices.empty()) {
            out += " One of ";
            for (const char c : key.choices) {
                if (c == '|') {
                    out += ", ";
                } else {
                    out += c;
                }
            }
            out += '.';
        }
        out += " |\n";
    }
    return out;
}

}  // namespace dlog::server
