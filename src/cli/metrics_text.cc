#include "cli/metrics_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/assert.h"

namespace dlog::cli {

namespace {

/// A number as the format writes it: decimal, +Inf, -Inf or NaN. Nothing for NaN too.
std::optional<double> parse_number(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || std::isnan(number)) {
        return std::nullopt;
    }
    return number;
}

/// The values of the last label of the series that begin with `head`, such as `name{label="`; with
/// those of the series.
std::vector<std::pair<std::string, double>> labelled(const Metrics& metrics,
                                                     const std::string& head) {
    std::vector<std::pair<std::string, double>> found;
    for (auto at = metrics.lower_bound(head);
         at != metrics.end() && at->first.starts_with(head) && at->first.ends_with("\"}"); ++at) {
        if (at->first.size() < head.size() + 2) break;
        found.emplace_back(at->first.substr(head.size(), at->first.size() - head.size() - 2),
                           at->second);
    }
    return found;
}

}  // namespace

Metrics parse_metrics(std::string_view text) {
    Metrics metrics;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        // No label of ours holds a blank, and none of our samples has a time behind its value.
        const std::size_t blank = line.rfind(' ');
        if (line.starts_with('#') || blank == std::string_view::npos || blank == 0) continue;
        const auto value = parse_number(line.substr(blank + 1));
        if (value) metrics[std::string(line.substr(0, blank))] = *value;
    }
    return metrics;
}

double growth(const Metrics& before, const Metrics& now, std::string_view series) {
    const auto earlier = before.find(series);
    const auto later = now.find(series);
    if (earlier == before.end() || later == now.end()) return 0;
    const double grown = later->second - earlier->second;
    return grown >= 0 ? grown : later->second;
}

std::vector<std::string> label_values(const Metrics& metrics, std::string_view name,
                                      std::string_view label) {
    std::vector<std::string> values;
    const std::string head = std::string(name) + "{" + std::string(label) + "=\"";
    for (auto& [value, number] : labelled(metrics, head)) values.push_back(value);
    return values;
}

std::vector<Bucket> histogram_growth(const Metrics& before, const Metrics& now,
                                     std::string_view name, std::string_view labels) {
    const std::string head = std::string(name) + "_bucket{" + std::string(labels) + ",le=\"";
    std::vector<Bucket> buckets;
    std::vector<double> earlier;
    bool began_anew = false;
    for (const auto& [limit_text, count] : labelled(now, head)) {
        const auto limit = parse_number(limit_text);
        if (!limit) continue;
        const auto found = before.find(head + limit_text + "\"}");
        buckets.push_back({*limit, count});
        earlier.push_back(found == before.end() ? 0 : found->second);
        began_anew = began_anew || count < earlier.back();
    }
    for (std::size_t i = 0; i < buckets.size() && !began_anew; ++i) buckets[i].count -= earlier[i];
    std::ranges::sort(buckets, {}, &Bucket::limit);
    return buckets;
}

void merge(std::vector<Bucket>& into, const std::vector<Bucket>& more) {
    if (into.empty()) {
        into = more;
        return;
    }
    if (!std::ranges::equal(into, more, {}, &Bucket::limit, &Bucket::limit)) return;
    for (std::size_t i = 0; i < into.size(); ++i) into[i].count += more[i].count;
}

std::optional<double> quantile(const std::vector<Bucket>& buckets, double q) {
    DLOG_ASSERT(q >= 0 && q <= 1, q);
    if (buckets.empty() || buckets.back().count <= 0) return std::nullopt;
    const double rank = q * buckets.back().count;
    Bucket below;
    for (const Bucket& bucket : buckets) {
        if (bucket.count < rank || bucket.count <= below.count) {
            if (std::isfinite(bucket.limit)) below = bucket;
            continue;
        }
        if (!std::isfinite(bucket.limit)) return below.limit;
        const double share = (rank - below.count) / (bucket.count - below.count);
        return below.limit + (bucket.limit - below.limit) * share;
    }
    return below.limit;
}

}  // namespace dlog::cli
