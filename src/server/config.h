/// A node's configuration: values of the keys of config_keys.h, each with where it came from. A
/// flag wins over the environment, the environment over the file, the file over the default.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dlog::server {

/// Why a configuration was refused, in words for the person who wrote it.
struct ConfigError {
    std::string message;
};

template <class T>
using ConfigResult = std::expected<T, ConfigError>;

enum class ConfigSource : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };

/// The values of all keys. Asking for a key that is not in the table is a programmer's error.
class Config {
  public:
    /// All defaults.
    Config();

    /// Checks `value` against the key's type and range and takes it. `origin` says where it stands
    /// ("node.toml:3", "--cores", "DLOG_CORES") and begins the message when it is refused.
    ConfigResult<void> set(std::string_view key, std::string_view value, ConfigSource source,
                           std::string origin);

    [[nodiscard]] const std::string& text(std::string_view key) const;
    [[nodiscard]] std::int64_t integer(std::string_view key) const;
    [[nodiscard]] bool boolean(std::string_view key) const;
    /// False when the key has neither a value nor a default.
    [[nodiscard]] bool is_set(std::string_view key) const;
    [[nodiscard]] ConfigSource source(std::string_view key) const;

    /// The configuration as a TOML file whose comments say where each value came from.
    [[nodiscard]] std::string as_toml() const;

    /// Settings that were ignored and that the operator should hear of.
    std::vector<std::string> warnings;

  private:
    struct Value {
        std::string text;
        std::int64_t number = 0;
        ConfigSource source = ConfigSource::kDefault;
        std::string origin;
    };
    [[nodiscard]] const Value& value(std::string_view key) const;
    std::vector<Value> values_;  // parallel to config_keys()
};

/// A name and a value as given on the command line or in the environment.
using NamedValue = std::pair<std::string, std::string>;

/// Builds the configuration from flags (names without the leading dashes), the environment ("NAME",
/// "value") and, when `config` is set in either, that file.
[[nodiscard]] ConfigResult<Config> load_config(std::span<const NamedValue> flags,
                                               std::span<const NamedValue> environment);

/// Takes over every key of a TOML text. `file_name` is for messages.
ConfigResult<void> apply_toml(Config& config, std::string_view text, std::string_view file_name);

/// "64MiB" -> 67108864; also KB, kB, MB, GB, TB (powers of 1000), KiB to TiB, and a bare number.
[[nodiscard]] std::expected<std::int64_t, std::string> parse_bytes(std::string_view text);

}  // namespace dlog::server
