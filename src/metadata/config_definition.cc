#include "metadata/config_definition.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"

namespace dlog::metadata {

namespace {

using Check = std::expected<void, std::string>;

std::string invalid(const ConfigDefinition& definition, std::string_view value,
                    std::string_view why) {
    return "Invalid value " + std::string(value) + " for configuration " +
           std::string(definition.name) + ": " + std::string(why);
}

bool same_ignoring_case(std::string_view text, std::string_view lower) {
    if (text.size() != lower.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
        if (c != lower[i]) return false;
    }
    return true;
}

/// Takes the part of `rest` before `separator` off its front.
std::string_view take_part(std::string_view& rest, char separator) {
    const std::size_t end = rest.find(separator);
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return part;
}

bool is_allowed(const ConfigDefinition& definition, std::string_view word) {
    if (definition.allowed.empty()) return true;
    for (std::string_view rest = definition.allowed; !rest.empty();) {
        if (take_part(rest, '|') == word) return true;
    }
    return false;
}

Check check_word(const ConfigDefinition& definition, std::string_view value,
                 std::string_view word) {
    const std::size_t equals = definition.refused.find('=');
    if (equals != std::string_view::npos && word == definition.refused.substr(0, equals)) {
        return std::unexpected(invalid(definition, value, definition.refused.substr(equals + 1)));
    }
    if (is_allowed(definition, word)) return {};
    std::string choices(definition.allowed);
    for (std::size_t at = 0; (at = choices.find('|', at)) != std::string::npos; at += 2) {
        choices.replace(at, 1, ", ");
    }
    return std::unexpected(invalid(definition, value, "it must be one of " + choices));
}

Check check_list(const ConfigDefinition& definition, std::string_view value) {
    for (std::string_view rest = trim(value); !rest.empty();) {
        const std::string_view word = trim(take_part(rest, ','));
        if (Check check = check_word(definition, value, word); !check) return check;
    }
    return {};
}

Check check_integer(const ConfigDefinition& definition, std::string_view value) {
    const bool is_int = definition.type == ConfigType::kInt;
    const std::optional<std::int64_t> number = parse_integer(value);
    const bool fits = number && (!is_int || (*number >= std::numeric_limits<std::int32_t>::min() &&
                                             *number <= std::numeric_limits<std::int32_t>::max()));
    if (!fits) {
        return std::unexpected(invalid(definition, value,
                                       is_int ? "it must be a whole number of 32 bits"
                                              : "it must be a whole number of 64 bits"));
    }
    if (*number < definition.minimum) {
        return std::unexpected(invalid(
            definition, value, "it must be at least " + std::to_string(definition.minimum)));
    }
    if (*number > definition.maximum) {
        return std::unexpected(
            invalid(definition, value, "it must be at most " + std::to_string(definition.maximum)));
    }
    return {};
}

Check check_double(const ConfigDefinition& definition, std::string_view value) {
    const std::optional<double> number = parse_number(value);
    if (!number) return std::unexpected(invalid(definition, value, "it must be a number"));
    constexpr auto kNoMaximum = std::numeric_limits<std::int64_t>::max();
    if (definition.maximum == kNoMaximum && *number >= static_cast<double>(definition.minimum)) {
        return {};
    }
    // Written so that "nan" is out of range too.
    if (!(*number >= static_cast<double>(definition.minimum) &&
          *number <= static_cast<double>(definition.maximum))) {
        return std::unexpected(invalid(definition, value,
                                       "it must be from " + std::to_string(definition.minimum) +
                                           " to " + std::to_string(definition.maximum)));
    }
    return {};
}

}  // namespace

ConfigMap BrokerConfigs::effective() const {
    ConfigMap merged = own;
    merged.insert(every_node.begin(), every_node.end());
    merged.insert(at_start.begin(), at_start.end());
    return merged;
}

std::vector<DescribedSynonym> BrokerConfigs::places_of(std::string_view name) const {
    std::vector<DescribedSynonym> places;
    const auto add = [&](const ConfigMap& configs, ConfigSource source) {
        const auto found = configs.find(name);
        if (found != configs.end()) places.push_back({std::string(name), found->second, source});
    };
    add(own, ConfigSource::kDynamicBroker);
    add(every_node, ConfigSource::kDynamicDefaultBroker);
    add(at_start, ConfigSource::kStaticBroker);
    return places;
}

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    text = trim(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<bool> parse_boolean(std::string_view text) {
    text = trim(text);
    if (same_ignoring_case(text, "true")) return true;
    if (same_ignoring_case(text, "false")) return false;
    return std::nullopt;
}

std::optional<double> parse_number(std::string_view text) {
    text = trim(text);
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

const BrokerSetting* find_setting(std::span<const BrokerSetting> settings, std::string_view name) {
    const auto found = std::ranges::find(
        settings, name, [](const BrokerSetting& setting) { return setting.definition.name; });
    return found == settings.end() ? nullptr : &*found;
}

std::expected<void, std::string> check_config(const ConfigDefinition& definition,
                                              std::string_view value) {
    DLOG_ASSERT(!definition.name.empty());
    switch (definition.type) {
        case ConfigType::kBoolean: {
            const std::optional<bool> flag = parse_boolean(value);
            if (!flag) {
                return std::unexpected(invalid(definition, value, "it must be true or false"));
            }
            return check_word(definition, value, *flag ? "true" : "false");
        }
        case ConfigType::kInt:
        case ConfigType::kLong:
            return check_integer(definition, value);
        case ConfigType::kDouble:
            return check_double(definition, value);
        case ConfigType::kString:
            return check_word(definition, value, trim(value));
        case ConfigType::kList:
            return check_list(definition, value);
    }
    DLOG_UNREACHABLE();
}

}  // namespace dlog::metadata
