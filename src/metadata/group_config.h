/// The settings of single consumer groups (KIP-848), which go before those of the nodes.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "metadata/config_definition.h"

namespace dlog::metadata {

inline constexpr std::string_view kGroupHeartbeatInterval = "consumer.heartbeat.interval.ms";
inline constexpr std::string_view kGroupSessionTimeout = "consumer.session.timeout.ms";

/// A setting of a group. Its default and its limits are settings of the node.
struct GroupConfigDefinition {
    ConfigDefinition definition;  ///< Without them.
    std::string_view node_setting;
    std::string_view node_minimum;
    std::string_view node_maximum;
};

/// In order of name.
[[nodiscard]] std::span<const GroupConfigDefinition> group_config_table();
/// Null when there is none of this name.
[[nodiscard]] const GroupConfigDefinition* find_group_config(std::string_view name);

/// The reason in words when a group cannot have these settings on a node of those settings.
[[nodiscard]] std::expected<void, std::string> check_group_configs(
    const ConfigMap& configs, const ConfigMap& node, std::span<const BrokerSetting> node_settings);

}  // namespace dlog::metadata
