/// Asks a cluster what `dlog top` shows.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cli/top_report.h"
#include "client/error.h"
#include "port/net.h"
#include "port/task.h"

namespace dlog::cli {

struct Session;

/// Where a node answers HTTP.
struct HttpPlace {
    /// Nothing: the cluster's only node.
    std::optional<NodeId> node;
    port::Endpoint endpoint;
};

/// "HOST:PORT" or "ID=HOST:PORT", or what is wrong with it.
[[nodiscard]] std::expected<HttpPlace, std::string> parse_http_place(std::string_view text);

/// A part that goes away meanwhile, or does not answer, is left out and complained of; the error is
/// that of a cluster of which nothing is known.
[[nodiscard]] port::Task<client::Result<Look>> take_look(Session& session,
                                                         std::vector<HttpPlace> places);

}  // namespace dlog::cli
