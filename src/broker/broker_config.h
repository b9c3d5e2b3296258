/// The broker settings by Kafka's names: what a configuration file may set beside the places and
/// addresses, and what DescribeConfigs tells of a broker.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "broker/node_config.h"
#include "metadata/config_definition.h"

namespace dlog::broker {

using metadata::BrokerSetting;

/// All of them, in order of name: those of the node itself, and for every topic setting those that
/// give its default, of which the first may change while the node runs.
[[nodiscard]] std::span<const BrokerSetting> broker_settings();

/// Checks `config.settings` and copies those that have a member of their own into it. The reason in
/// words when a setting is unknown or has a value that is not allowed.
[[nodiscard]] std::expected<void, std::string> apply_settings(NodeConfig& config);

}  // namespace dlog::broker
