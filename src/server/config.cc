#include "server/config.h"

#include <charconv>
#include <cstdio>
#include <memory>

#include "base/assert.h"
#include "base/nearest.h"
#include "base/result.h"
#include "port/net.h"
#include "server/config_keys.h"

namespace dlog::server {

namespace {

std::expected<std::int64_t, std::string> parse_integer(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
        return unexpected<std::string>("is not a whole number");
    }
    return number;
}

std::expected<std::int64_t, std::string> parse_boolean(std::string_view text) {
    if (text == "true" || text == "1" || text == "yes" || text == "on") return 1;
    if (text == "false" || text == "0" || text == "no" || text == "off") return 0;
    return unexpected<std::string>("is neither true nor false");
}

std::expected<std::int64_t, std::string> parse_choice(std::string_view text,
                                                      std::string_view choices) {
    std::string_view rest = choices;
    for (std::int64_t index = 0; !rest.empty(); ++index) {
        const std::size_t end = rest.find('|');
        if (rest.substr(0, end) == text) return index;
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
    return unexpected("is not one of " + std::string(choices));
}

std::expected<std::int64_t, std::string> parse_value(const ConfigKey& key, std::string_view text) {
    switch (key.type) {
        case KeyType::kText:
            return 0;
        case KeyType::kInteger:
            return parse_integer(text);
        case KeyType::kBytes:
            return parse_bytes(text);
        case KeyType::kBoolean:
            return parse_boolean(text);
        case KeyType::kChoice:
            return parse_choice(text, key.choices);
        case KeyType::kEndpoint: {
            port::Endpoint endpoint;
            if (text.empty() && key.default_value.empty()) return 0;
            if (text == "off") return 0;
            if (!port::parse_endpoint(text, endpoint)) {
                return unexpected<std::string>("is not HOST:PORT");
            }
            return endpoint.port;
        }
    }
    DLOG_UNREACHABLE();
}

[[nodiscard]] bool is_number(const ConfigKey& key) {
    return key.type == KeyType::kInteger || key.type == KeyType::kBytes;
}

std::expected<std::int64_t, std::string> check_value(const ConfigKey& key, std::string_view text) {
    DLOG_TRY_ASSIGN(const std::int64_t number, parse_value(key, text));
    if (is_number(key) && number < key.minimum) {
        return unexpected("is below the least value " + std::to_string(key.minimum));
    }
    if (is_number(key) && number > key.maximum) {
        return unexpected("is above the greatest value " + std::to_string(key.maximum));
    }
    return number;
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string_view source_name(ConfigSource source) {
    switch (source) {
        case ConfigSource::kDefault:
            return "default";
        case ConfigSource::kFile:
            return "file";
        case ConfigSource::kEnvironment:
            return "environment";
        case ConfigSource::kFlag:
            return "flag";
    }
    DLOG_UNREACHABLE();
}

ConfigResult<std::string> read_whole_file(const std::string& path) {
    struct Closer {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "rb"));
    if (file == nullptr) {
        return unexpected(ConfigError{"cannot open the configuration file " + path +
                                      ": check the path given with --config or DLOG_CONFIG"});
    }
    std::string text;
    char chunk[4096];
    constexpr std::size_t kFileBytesMax = 1 << 20;
    for (;;) {
        const std::size_t count = std::fread(chunk, 1, sizeof(chunk), file.get());
        if (count == 0) break;
        text.append(chunk, count);
        if (text.size() > kFileBytesMax) {
            return unexpected(ConfigError{path + " is larger than 1 MiB: not a configuration"});
        }
    }
    if (std::ferror(file.get()) != 0) {
        return unexpected(ConfigError{"cannot read the configuration file " + path});
    }
    return text;
}

std::vector<std::string> all_flag_names() {
    std::vector<std::string> names;
    for (const ConfigKey& key : config_keys()) names.push_back(flag_name(key.name));
    return names;
}

/// The key whose flag is `flag`, or nullptr.
const ConfigKey* key_of_flag(std::string_view flag) {
    for (const ConfigKey& key : config_keys()) {
        if (flag_name(key.name) == flag) return &key;
    }
    return nullptr;
}

const ConfigKey* key_of_environment(std::string_view name) {
    for (const ConfigKey& key : config_keys()) {
        if (environment_name(key.name) == name) return &key;
    }
    return nullptr;
}

/// Not an error: an orchestrator sets DLOG_PORT and the like for a service that is named "dlog".
void warn_of_unknown_variable(Config& config, const std::string& name) {
    std::vector<std::string> names;
    for (const ConfigKey& key : config_keys()) names.push_back(environment_name(key.name));
    std::string message = "the environment variable " + name + " is no configuration key";
    const std::string_view nearest = nearest_name(name, names);
    if (!nearest.empty()) message += "; did you mean " + std::string(nearest) + "?";
    config.warnings.push_back(std::move(message));
}

ConfigResult<void> apply_environment(Config& config, std::span<const NamedValue> environment) {
    for (const auto& [name, value] : environment) {
        if (!name.starts_with("DLOG_")) continue;
        if (name == "DLOG_BOOTSTRAP") continue;  // the client commands' own
        const ConfigKey* key = key_of_environment(name);
        if (key == nullptr) {
            warn_of_unknown_variable(config, name);
            continue;
        }
        DLOG_TRY(config.set(key->name, value, ConfigSource::kEnvironment, name));
    }
    return {};
}

ConfigResult<void> apply_flags(Config& config, std::span<const NamedValue> flags) {
    for (const auto& [name, value] : flags) {
        const ConfigKey* key = key_of_flag(name);
        if (key == nullptr) {
            std::string message = "unknown flag --" + name;
            const std::vector<std::string> names = all_flag_names();
            const std::string_view nearest = nearest_name(name, names);
            if (!nearest.empty()) message += "; did you mean --" + std::string(nearest) + "?";
            return unexpected(ConfigError{std::move(message)});
        }
        DLOG_TRY(config.set(key->name, value, ConfigSource::kFlag, "--" + name));
    }
    return {};
}

}  // namespace

std::expected<std::int64_t, std::string> parse_bytes(std::string_view text) {
    struct Unit {
        std::string_view name;
        std::int64_t factor;
    };
    static constexpr Unit kUnits[] = {
        {"", 1},
        {"B", 1},
        {"kB", 1'000},
        {"KB", 1'000},
        {"MB", 1'000'000},
        {"GB", 1'000'000'000},
        {"TB", 1'000'000'000'000},
        {"KiB", 1 << 10},
        {"MiB", 1 << 20},
        {"GiB", 1 << 30},
        {"TiB", std::int64_t{1} << 40},
    };
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return unexpected<std::string>("is not a number of bytes");
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    if (unit.starts_with(' ')) unit.remove_prefix(1);
    for (const Unit& known : kUnits) {
        if (unit != known.name) continue;
        std::int64_t bytes = 0;
        if (__builtin_mul_overflow(number, known.factor, &bytes)) {
            return unexpected<std::string>("is too large");
        }
        return bytes;
    }
    return unexpected<std::string>("has an unknown unit (known: kB MB GB TB KiB MiB GiB TiB)");
}

Config::Config() {
    values_.reserve(config_keys().size());
    for (const ConfigKey& key : config_keys()) {
        Value value{.text = std::string(key.default_value)};
        if (!key.default_value.empty()) {
            const auto number = parse_value(key, key.default_value);
            DLOG_ASSERT(number.has_value(), key.name, key.default_value);
            value.number = *number;
        }
        values_.push_back(std::move(value));
    }
}

ConfigResult<void> Config::set(std::string_view key, std::string_view value, ConfigSource source,
                               std::string origin) {
    const int index = find_config_key(key);
    DLOG_ASSERT(index >= 0, key);
    const ConfigKey& described = config_keys()[static_cast<std::size_t>(index)];
    const auto number = check_value(described, value);
    if (!number) {
        return unexpected(ConfigError{origin + ": the value \"" + std::string(value) + "\" of " +
                                      std::string(key) + " " + number.error()});
    }
    values_[static_cast<std::size_t>(index)] = {.text = std::string(value),
                                                .number = *number,
                                                .source = source,
                                                .origin = std::move(origin)};
    return {};
}

const Config::Value& Config::value(std::string_view key) const {
    const int index = find_config_key(key);
    DLOG_ASSERT(index >= 0, key);
    return values_[static_cast<std::size_t>(index)];
}

const std::string& Config::text(std::string_view key) const {
    return value(key).text;
}
std::int64_t Config::integer(std::string_view key) const {
    return value(key).number;
}
bool Config::boolean(std::string_view key) const {
    return value(key).number != 0;
}
bool Config::is_set(std::string_view key) const {
    return !value(key).text.empty();
}
ConfigSource Config::source(std::string_view key) const {
    return value(key).source;
}

namespace {

/// In quotes when another key is its beginning: max.connections is a number in TOML, and cannot be
/// the table that holds per.ip as well.
std::string toml_key(std::string_view name) {
    for (const ConfigKey& other : config_keys()) {
        if (name.starts_with(std::string(other.name) + ".")) return quoted(std::string(name));
    }
    return std::string(name);
}

}  // namespace

std::string Config::as_toml() const {
    std::string out;
    for (std::size_t i = 0; i < values_.size(); ++i) {
        const ConfigKey& key = config_keys()[i];
        const Value& value = values_[i];
        if (key.name == "config") continue;  // names the file, cannot stand in it
        const bool is_unset = value.text.empty() && value.source == ConfigSource::kDefault;
        std::string line = is_unset ? "# " : "";
        line += toml_key(key.name);
        line += " = ";
        if (is_number(key) && !is_unset) {
            line += std::to_string(value.number);
        } else if (key.type == KeyType::kBoolean) {
            line += value.number != 0 ? "true" : "false";
        } else {
            line += quoted(value.text);
        }
        line += "  # ";
        line += is_unset ? "not set" : source_name(value.source);
        if (value.source == ConfigSource::kFile) line += " " + value.origin;
        out += line + '\n';
    }
    return out;
}

ConfigResult<Config> load_config(std::span<const NamedValue> flags,
                                 std::span<const NamedValue> environment) {
    std::string file;
    for (const auto& [name, value] : environment) {
        if (name == "DLOG_CONFIG") file = value;
    }
    for (const auto& [name, value] : flags) {
        if (name == "config") file = value;
    }
    Config config;
    if (!file.empty()) {
        DLOG_TRY_ASSIGN(const std::string text, read_whole_file(file));
        DLOG_TRY(apply_toml(config, text, file));
    }
    DLOG_TRY(apply_environment(config, environment));
    DLOG_TRY(apply_flags(config, flags));
    return config;
}

}  // namespace dlog::server
