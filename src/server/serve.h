/// Runs a node in this process: broker, reactor, log lines and HTTP port put together.
#pragma once

#include <cstdint>
#include <string>

#include "server/config.h"

namespace dlog::server {

enum class ServeOutcome : std::uint8_t {
    kStopped,    ///< It ran, and was stopped in order.
    kBadConfig,  ///< Nothing was done.
    kFailed,     ///< It could not start; the log says why.
};

/// Returns after SIGTERM or SIGINT and a clean stop. A second signal ends the process at once, as
/// the signal does that is not caught.
[[nodiscard]] ServeOutcome serve(const Config& config);

/// The process id of the node that uses the data folder `folder`; empty when none does, "?" when it
/// does not say.
[[nodiscard]] std::string pid_of_running_node(const std::string& folder);

}  // namespace dlog::server
