/// What processes have used, from /proc.
#pragma once

#include <string>

namespace dlog::load {

/// CPU seconds and memory of the broker's processes.
struct Usage {
    double cpu_seconds = 0;
    double rss_mb = 0;
    double peak_mb = 0;
};

/// The sum over a list of process ids, separated by commas.
[[nodiscard]] Usage usage_of(const std::string& pids);
[[nodiscard]] double own_cpu_seconds();

}  // namespace dlog::load
