/// Text in columns.
#pragma once

#include <string>
#include <vector>

namespace dlog::cli {

/// The rows with every column but the last padded to its widest cell, two blanks between columns,
/// two before the first. All rows have as many cells.
[[nodiscard]] std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace dlog::cli
