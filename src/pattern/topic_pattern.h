/// Regular expressions over the names of topics (KIP-848): RE2's syntax, as in Kafka.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::pattern {

/// In bytes.
inline constexpr std::size_t kPatternBytesMax = 4'096;

/// What is wrong with it, in words, when it cannot be used: no regular expression, or one that
/// would take too much memory or time.
[[nodiscard]] std::expected<void, std::string> check_pattern(std::string_view pattern);

/// Those of `names` that it matches from end to end, in their order. Nothing when it cannot be
/// used, or would take too long for these names: it is given up after some milliseconds.
[[nodiscard]] std::optional<std::vector<std::string>> matching_names(
    std::string_view pattern, const std::vector<std::string_view>& names);

}  // namespace dlog::pattern
