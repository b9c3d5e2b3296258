/// From the configuration to what a broker takes.
#pragma once

#include "broker/node_config.h"
#include "server/config.h"

namespace dlog::server {

/// The error names the key that is wrong, or the two that do not go together.
[[nodiscard]] ConfigResult<broker::NodeConfig> make_node_config(const Config& config);

/// Lowers `connections_max` and `open_files_max` to what `descriptors` allow: connections have
/// three quarters of them at most, and segment files the rest, so that no number of clients keeps a
/// partition from its files. False when nothing had to be lowered.
bool fit_into_descriptors(broker::NodeConfig& node, std::uint64_t descriptors,
                          std::uint32_t core_count);

}  // namespace dlog::server
