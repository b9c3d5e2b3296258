/// The one table of everything that can be configured on a node. Flags, environment variables, the
/// check of the TOML file, the help and the table of docs/operations.md are all made from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dlog::server {

enum class KeyType : std::uint8_t {
    kText,
    kInteger,
    kBytes,  ///< An integer, or text such as "64MiB".
    kBoolean,
    kChoice,    ///< One of `choices`, separated by '|'.
    kEndpoint,  ///< host:port
};

/// One key. Its name is Kafka's where Kafka has one. The flag is the name with '-' for '.', the
/// environment variable is DLOG_ and the name in capitals with '_' for '.'.
struct ConfigKey {
    std::string_view name;
    KeyType type = KeyType::kText;
    /// In the form a flag has it; empty means "not set".
    std::string_view default_value;
    /// What stands for the value in help: PATH, HOST:PORT, N.
    std::string_view value_name;
    std::string documentation;
    std::string_view choices = {};
    std::int64_t minimum = 0;
    std::int64_t maximum = INT64_MAX;
    /// A broker setting of Kafka's, which DescribeConfigs shows when it is given.
    bool is_kafka = false;
};

/// All keys, in the order in which help and the documentation list them: the node's own, then the
/// broker's table of Kafka settings. Made at the first call.
[[nodiscard]] std::span<const ConfigKey> config_keys();

/// The index of the key in `config_keys()`, or -1.
[[nodiscard]] int find_config_key(std::string_view name);

/// "log.retention.hours" -> "log-retention-hours".
[[nodiscard]] std::string flag_name(std::string_view key);
/// "log.retention.hours" -> "DLOG_LOG_RETENTION_HOURS".
[[nodiscard]] std::string environment_name(std::string_view key);

/// The table of docs/operations.md.
[[nodiscard]] std::string config_table_markdown();

}  // namespace dlog::server
