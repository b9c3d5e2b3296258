/// One named setting: its type, default, limits and text, and how a value given as text is checked
/// and read. The tables of topic and broker settings are made of these.
#pragma once

#include <cstdint>
#include <expected>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::metadata {

/// Settings by name, as text. Ordered, so that everything derived from it is deterministic.
using ConfigMap = std::map<std::string, std::string, std::less<>>;

/// The numbers are those of DescribeConfigs' config_type field.
enum class ConfigType : std::uint8_t {
    kBoolean = 1,
    kString = 2,
    kInt = 3,
    kLong = 5,
    kDouble = 6,
    kList = 7,
};

struct ConfigDefinition {
    std::string_view name;
    ConfigType type = ConfigType::kString;
    std::string_view default_value;
    std::string_view documentation;
    /// Limits of a number, both included.
    std::int64_t minimum = std::numeric_limits<std::int64_t>::min();
    std::int64_t maximum = std::numeric_limits<std::int64_t>::max();
    /// For text and lists: the words allowed, "a|b|c"; empty allows any.
    std::string_view allowed = {};
    /// Words that Kafka has and this node refuses, "word=reason".
    std::string_view refused = {};
};

/// Where a value comes from; the numbers are those of DescribeConfigs' config_source field.
enum class ConfigSource : std::uint8_t {
    kTopic = 1,
    kDynamicBroker = 2,
    kDynamicDefaultBroker = 3,
    kStaticBroker = 4,
    kDefault = 5,
    kGroup = 8,
};

/// A place that gives a setting its value, or would if no earlier one did.
struct DescribedSynonym {
    std::string name;
    std::string value;
    ConfigSource source = ConfigSource::kDefault;

    bool operator==(const DescribedSynonym&) const = default;
};

/// The settings of one node, by where they were given (KIP-226). Earlier members win.
struct BrokerConfigs {
    ConfigMap own;         ///< Given to this node while it ran.
    ConfigMap every_node;  ///< Given to every node while it ran.
    ConfigMap at_start;    ///< Given by file, environment and flags.

    [[nodiscard]] ConfigMap effective() const;
    /// Every place that gives `name` a value, in order of precedence.
    [[nodiscard]] std::vector<DescribedSynonym> places_of(std::string_view name) const;
};

/// A setting of a node.
struct BrokerSetting {
    ConfigDefinition definition;
    /// False for a synonym such as log.retention.ms that has no value until it is set.
    bool has_default = true;
    /// May change while the node runs.
    bool is_dynamic = false;
};

/// Null when there is none of this name.
[[nodiscard]] const BrokerSetting* find_setting(std::span<const BrokerSetting> settings,
                                                std::string_view name);

/// The reason in words when `value` is not one that `definition` allows.
[[nodiscard]] std::expected<void, std::string> check_config(const ConfigDefinition& definition,
                                                            std::string_view value);

/// Readers of a value's text. Blanks around it are ignored, as in Kafka.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);
[[nodiscard]] std::optional<bool> parse_boolean(std::string_view text);
[[nodiscard]] std::optional<double> parse_number(std::string_view text);
[[nodiscard]] std::string_view trim(std::string_view text);

}  // namespace dlog::metadata
