/// Reads what a node says at /metrics: Prometheus' text format, version 0.0.4.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::cli {

/// Every series with its value, by what stands before the value: `dlog_connections`,
/// `dlog_requests_total{api="Fetch"}`.
using Metrics = std::map<std::string, double, std::less<>>;

/// Lines that are no sample are left out: comments, and what another program answers.
[[nodiscard]] Metrics parse_metrics(std::string_view text);

/// By how much a counter grew. One that is lower than before began anew with its node; 0 for one
/// that was not there before, or is not there.
[[nodiscard]] double growth(const Metrics& before, const Metrics& now, std::string_view series);

/// The values of one label, such as `api`, that `name` has.
[[nodiscard]] std::vector<std::string> label_values(const Metrics& metrics, std::string_view name,
                                                    std::string_view label);

/// How many things were at most so large, between two looks.
struct Bucket {
    double limit = 0;  ///< +inf for the last
    double count = 0;  ///< those of the buckets before included

    bool operator==(const Bucket&) const = default;
};

/// What the histogram `name` with `labels`, such as `api="Fetch"`, counted between two looks,
/// ascending; all that it counted when it was not there before, empty when it is not there.
[[nodiscard]] std::vector<Bucket> histogram_growth(const Metrics& before, const Metrics& now,
                                                   std::string_view name, std::string_view labels);
/// Adds what another node counted; nothing happens when its limits are others.
void merge(std::vector<Bucket>& into, const std::vector<Bucket>& more);

/// The value that the share `q` (0 to 1) of what was counted does not exceed, supposing that a
/// bucket's values are spread evenly in it; nothing when nothing was counted. Beyond the last
/// finite limit it is that limit.
[[nodiscard]] std::optional<double> quantile(const std::vector<Bucket>& buckets, double q);

}  // namespace dlog::cli
