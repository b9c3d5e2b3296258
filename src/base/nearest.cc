#include "base/nearest.h"

#include <algorithm>
#include <vector>

namespace dlog {

int edit_distance(std::string_view a, std::string_view b) {
    // Rows of the table of distances between prefixes; a swap looks two rows back (Damerau 1964,
    // restricted form).
    std::vector<int> before_last(b.size() + 1);
    std::vector<int> last(b.size() + 1);
    std::vector<int> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before_last = last;
        last = row;
        row[0] = static_cast<int>(i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const int replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({replace, last[j] + 1, row[j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
    }
    return row[b.size()];
}

std::string_view nearest_name(std::string_view wanted, std::span<const std::string> names) {
    std::string_view best;
    int best_distance = static_cast<int>(std::max<std::size_t>(wanted.size() / 3, 1)) + 1;
    for (const std::string& name : names) {
        const int distance = edit_distance(wanted, name);
        if (distance < best_distance) {
            best_distance = distance;
            best = name;
        }
    }
    return best;
}

}  // namespace dlog
