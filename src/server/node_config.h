/// From the configuration to what a broker takes.
#pragma once

#include "broker/node_config.h"
#include "server/config.h"

namespace dlog::server {

/// The error names the key that is wrong, or the two that do not go together.
[[nodiscard]] ConfigResult<broker::NodeConfig> make_node_config(const Config& config);

}  // namespace dlog::server
