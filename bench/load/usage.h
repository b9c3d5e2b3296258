/// What is measured: what processes have used, from /proc, and how long answers took.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

/// Of the monotonic clock.
[[nodiscard]] std::int64_t now_ns();
/// In milliseconds, of latencies in ascending order; 0 when there are none.
[[nodiscard]] double quantile_ms(const std::vector<std::int64_t>& sorted_ns, double quantile);

}  // namespace dlog::load
