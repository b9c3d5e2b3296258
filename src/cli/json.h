/// JSON for --json output. Every function returns a value that is JSON already.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dlog::cli {

/// Text in quotes, escaped as RFC 8259 §7 asks. Bytes that are not UTF-8 go through as they are.
[[nodiscard]] std::string json_string(std::string_view text);
[[nodiscard]] std::string json_array(const std::vector<std::string>& values);
/// Names with their values.
[[nodiscard]] std::string json_object(
    std::initializer_list<std::pair<std::string_view, std::string>> members);

}  // namespace dlog::cli
