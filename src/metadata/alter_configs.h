/// Changing the settings of topics, nodes and groups while they work (AlterConfigs; KIP-339,
/// KIP-226, KIP-848).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "metadata/config_definition.h"
#include "metadata/controller.h"

namespace dlog::metadata {

/// The numbers are those of IncrementalAlterConfigs' config_operation field.
enum class ConfigOperation : std::int8_t { kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3 };

/// Kafka's ConfigResource types that have settings here.
enum class ConfigResource : std::int8_t { kTopic = 2, kBroker = 4, kGroup = 32 };

struct ConfigChange {
    std::string name;
    ConfigOperation operation = ConfigOperation::kSet;  ///< As it came: any number.
    std::optional<std::string> value = {};              ///< Only kDelete may leave it out.
};

/// What is to change of one topic, node or group. A node is named by its number, all of them by "".
/// There need be no group of the name.
struct AlteredResource {
    ConfigResource type = ConfigResource::kTopic;  ///< As it came: any number.
    std::string name;
    std::vector<ConfigChange> changes;
};

struct AlterConfigs {
    std::vector<AlteredResource> resources;
    /// Settings that are not named are taken back (AlterConfigs); else only what is named changes
    /// (IncrementalAlterConfigs).
    bool replaces_all = false;
    bool validate_only = false;
};

/// The node that decides: its settings, and what it knows of each.
struct BrokerRules {
    NodeId node;
    const ConfigMap& at_start;
    std::span<const BrokerSetting> settings;
    bool is_clustered = false;  ///< As in Defaults.
};

/// One for each resource, in order; kNone when it is altered.
using AlterConfigsReply = std::vector<Refusal>;

/// A resource is altered whole or not at all, whatever becomes of the others.
[[nodiscard]] Decision<AlterConfigsReply> decide(const State& state, const AlterConfigs& request,
                                                 const BrokerRules& rules);

/// The settings of `node`, which was started with `at_start`.
[[nodiscard]] BrokerConfigs broker_configs(const State& state, NodeId node,
                                           const ConfigMap& at_start);

}  // namespace dlog::metadata
