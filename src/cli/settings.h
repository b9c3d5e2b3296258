/// What `dlog topic` and `dlog config` share: settings as they are written on a command line, and
/// the outcomes that are told.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/admin.h"

namespace dlog::cli {

struct Invocation;

/// "KEY=VALUE" taken apart; a size of a `.bytes` setting may have a unit. `option` is named in the
/// complaint.
[[nodiscard]] std::expected<std::pair<std::string, std::string>, std::string> parse_setting(
    std::string_view option, const std::string& text);

/// Where a setting's value comes from: "topic", "node", "every node", "start", "default".
[[nodiscard]] std::string_view origin_name(client::ConfigOrigin origin);

/// A setting as --json shows it.
[[nodiscard]] std::string setting_json(const client::Setting& setting);

/// What became of one of several things.
struct Outcome {
    std::string name;
    client::Result<void> result;
};

/// Prints what became of each, as lines "<done> <name>" or as JSON; failures go to standard error
/// in either case. Returns the worst exit code.
int report(const std::vector<Outcome>& outcomes, std::string_view done, bool is_json);

}  // namespace dlog::cli
