/// A report of `dlog top` as tables of text, which the plain output and the screen share.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cli/top_report.h"

namespace dlog::cli {

struct Column {
    std::string_view title;
    /// Pressed, it sorts by this column.
    char letter = 0;
    /// Numbers are at the right, and the largest come first.
    bool is_number = false;
};

struct Cell {
    std::string text;   ///< printable
    double number = 0;  ///< by which columns of numbers are sorted
};

struct Table {
    std::string_view name;  ///< "topics"
    std::vector<Column> columns;
    std::vector<std::vector<Cell>> rows;
};

/// Nodes, topics, groups, requests, in this order. The last has no rows without metrics.
[[nodiscard]] std::vector<Table> tables_of(const Report& report);

/// All tables below each other, as far as they have rows, with two blanks between columns.
[[nodiscard]] std::string plain_text(const std::vector<Table>& tables);

}  // namespace dlog::cli
