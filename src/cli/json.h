/// JSON for --json output. Every function returns a value that is JSON already.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace dlog::cli {

/// Text in quotes, escaped as RFC 8259 §7 asks. Text that is not UTF-8 has U+FFFD for every byte
/// beyond ASCII.
[[nodiscard]] std::string json_string(std::string_view text);
/// The text that bytes are; {"hex":"00ff"} when they are not UTF-8; null when there are none.
[[nodiscard]] std::string json_bytes(const std::optional<ByteView>& bytes);
[[nodiscard]] std::string json_bool(bool value);
[[nodiscard]] std::string json_array(const std::vector<std::string>& values);
/// Names with their values.
[[nodiscard]] std::string json_object(
    std::initializer_list<std::pair<std::string_view, std::string>> members);

}  // namespace dlog::cli
