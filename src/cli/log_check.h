/// `dlog log check`: verifies a data folder while no node uses it.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace dlog::cli {

/// One thing that is wrong, or worth knowing.
struct CheckFinding {
    std::string file;
    std::uint64_t position = 0;
    std::string text;
    /// False for what a restart puts right without loss, such as a torn tail that was never
    /// acknowledged.
    bool is_damage = true;
};

struct CheckReport {
    std::vector<CheckFinding> findings;
    std::uint64_t partitions = 0;
    std::uint64_t segments = 0;
    std::uint64_t batches = 0;
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;

    [[nodiscard]] bool has_damage() const;
};

/// A line for each finding and one for the sum; with `is_quiet` only lines of damage.
[[nodiscard]] std::string check_text(const CheckReport& report, bool is_quiet);
/// One JSON object and a newline; with `is_quiet` its findings are those of damage.
[[nodiscard]] std::string check_json(const CheckReport& report, bool is_quiet);

/// Reads everything below `folder`, as the next start will find it: where a compaction was
/// interrupted that is what storage/swap.h makes of it. The error says why it could not begin.
[[nodiscard]] std::expected<CheckReport, std::string> check_folder(const std::string& folder);

}  // namespace dlog::cli
