#include "cli/table.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::cli {

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
    if (rows.empty()) return {};
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (const std::vector<std::string>& row : rows) {
        DLOG_ASSERT(row.size() == widths.size(), row.size(), widths.size());
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const std::vector<std::string>& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            out += "  " + row[i];
            if (i + 1 < row.size()) out.append(widths[i] - row[i].size(), ' ');
        }
        out += '\n';
    }
    return out;
}

}  // namespace dlog::cli
