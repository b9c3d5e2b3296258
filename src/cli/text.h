/// Text from outside, on its way to a terminal or into JSON.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dlog::cli {

[[nodiscard]] bool is_utf8(std::string_view text);

/// What a name from outside looks like on a terminal: control characters and what is no UTF-8 are
/// question marks, so that nobody's name moves the cursor.
[[nodiscard]] std::string printable(std::string_view text);
/// Code points of text that is printable.
[[nodiscard]] std::size_t columns_of(std::string_view text);
/// Its first `width` columns.
[[nodiscard]] std::string clipped(std::string_view text, std::size_t width);

}  // namespace dlog::cli
