// Reading the TOML file. toml++ is included here and nowhere else.
#include <string>
#include <string_view>
#include <vector>

#include "base/nearest.h"
#include "base/result.h"
#include "server/config.h"
#include "server/config_keys.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace dlog::server {

namespace {

struct Reader {
    Config& config;
    std::string_view file_name;

    [[nodiscard]] std::string place(const toml::source_region& region) const {
        return std::string(file_name) + ":" + std::to_string(region.begin.line);
    }

    [[nodiscard]] ConfigError unknown_key(const std::string& name,
                                          const toml::source_region& region) const {
        std::vector<std::string> names;
        for (const ConfigKey& key : config_keys()) names.emplace_back(key.name);
        std::string message = place(region) + ": unknown key \"" + name + "\"";
        const std::string_view nearest = nearest_name(name, names);
        if (!nearest.empty()) {
            message += "; did you mean \"" + std::string(nearest) + "\"?";
        } else {
            message += "; `dlog serve --help` lists all keys";
        }
        return {std::move(message)};
    }

    [[nodiscard]] static bool text_of(const toml::node& node, std::string& text) {
        if (const auto* string = node.as_string()) {
            text = string->get();
        } else if (const auto* number = node.as_integer()) {
            text = std::to_string(number->get());
        } else if (const auto* flag = node.as_boolean()) {
            text = flag->get() ? "true" : "false";
        } else {
            return false;
        }
        return true;
    }

    // Nested tables spell the same dotted names: [log.retention] hours = 1 is log.retention.hours
    // = 1. toml++ bounds the nesting of what it parses.
    [[nodiscard]] ConfigResult<void> read(const toml::table& table, const std::string& prefix) {
        for (const auto& [key, node] : table) {
            const std::string name = prefix + std::string(key.str());
            if (const toml::table* inner = node.as_table()) {
                DLOG_TRY(read(*inner, name + "."));
                continue;
            }
            const int index = find_config_key(name);
            if (index < 0 || name == "config") return unexpected(unknown_key(name, key.source()));
            std::string text;
            if (!text_of(node, text)) {
                return unexpected(ConfigError{place(key.source()) + ": the value of " + name +
                                              " must be a string, a whole number or a boolean"});
            }
            DLOG_TRY(config.set(name, text, ConfigSource::kFile, place(key.source())));
        }
        return {};
    }
};

}  // namespace

ConfigResult<void> apply_toml(Config& config, std::string_view text, std::string_view file_name) {
    const toml::parse_result parsed = toml::parse(text, file_name);
    Reader reader{config, file_name};
    if (!parsed) {
        const std::string_view what = parsed.error().description();
        std::string message = reader.place(parsed.error().source()) + ": " + std::string(what);
        if (what.find("cannot redefine") != std::string_view::npos) {
            message +=
                "; a key that begins with another one stands in quotes: "
                "\"max.connections.per.ip\" = 100";
        }
        return unexpected(ConfigError{std::move(message)});
    }
    return reader.read(parsed.table(), "");
}

}  // namespace dlog::server
