#include "metadata/group_config.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "metadata/topic_config.h"

namespace dlog::metadata {

namespace {

constexpr GroupConfigDefinition kTable[] = {
    {.definition = {kGroupHeartbeatInterval, ConfigType::kInt, "",
                    "How often members are told to send a heartbeat.", 1},
     .node_setting = "group.consumer.heartbeat.interval.ms",
     .node_minimum = "group.consumer.min.heartbeat.interval.ms",
     .node_maximum = "group.consumer.max.heartbeat.interval.ms"},
    {.definition = {kGroupSessionTimeout, ConfigType::kInt, "",
                    "A member is taken out after this time without a heartbeat.", 1},
     .node_setting = "group.consumer.session.timeout.ms",
     .node_minimum = "group.consumer.min.session.timeout.ms",
     .node_maximum = "group.consumer.max.session.timeout.ms"},
};

std::int64_t number_of_node(const ConfigMap& node, std::span<const BrokerSetting> settings,
                            std::string_view name) {
    const auto set = node.find(name);
    const BrokerSetting* const known = find_setting(settings, name);
    DLOG_ASSERT(set != node.end() || known != nullptr, name);
    const auto value = parse_integer(set != node.end() ? std::string_view(set->second)
                                                       : known->definition.default_value);
    DLOG_ASSERT(value.has_value(), name);
    return *value;
}

}  // namespace

std::span<const GroupConfigDefinition> group_config_table() {
    return kTable;
}

const GroupConfigDefinition* find_group_config(std::string_view name) {
    const auto found = std::ranges::find(
        kTable, name, [](const GroupConfigDefinition& each) { return each.definition.name; });
    return found == std::end(kTable) ? nullptr : &*found;
}

std::expected<void, std::string> check_group_configs(const ConfigMap& configs,
                                                     const ConfigMap& node,
                                                     std::span<const BrokerSetting> settings) {
    for (const auto& [name, value] : configs) {
        const GroupConfigDefinition* const entry = find_group_config(name);
        if (entry == nullptr) {
            std::vector<std::string> known;
            for (const auto& each : kTable) known.emplace_back(each.definition.name);
            return std::unexpected(unknown_config_text("group", name, known));
        }
        ConfigDefinition definition = entry->definition;
        definition.minimum = number_of_node(node, settings, entry->node_minimum);
        definition.maximum = number_of_node(node, settings, entry->node_maximum);
        if (auto check = check_config(definition, value); !check) return check;
    }
    const auto in_effect = [&](std::string_view name) {
        const auto found = configs.find(name);
        return found != configs.end()
                   ? parse_integer(found->second).value_or(0)
                   : number_of_node(node, settings, find_group_config(name)->node_setting);
    };
    if (in_effect(kGroupSessionTimeout) <= in_effect(kGroupHeartbeatInterval)) {
        return std::unexpected(std::string(kGroupSessionTimeout) + " must be greater than " +
                               std::string(kGroupHeartbeatInterval) + ".");
    }
    return {};
}

}  // namespace dlog::metadata
