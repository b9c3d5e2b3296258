/// Which known name somebody probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace dlog {

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`.
[[nodiscard]] int edit_distance(std::string_view a, std::string_view b);

/// The name closest to `wanted`, or an empty view when none is close enough to be worth naming
/// (more than a third of its letters would have to change).
[[nodiscard]] std::string_view nearest_name(std::string_view wanted,
                                            std::span<const std::string> names);

}  // namespace dlog
