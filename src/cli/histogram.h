/// Counts whole numbers in buckets that grow with the numbers, so that percentiles of any spread
/// cost little memory and no sorting.
#pragma once

#include <cstdint>
#include <vector>

namespace dlog::cli {

/// Numbers below 128 are kept as they are; larger ones with seven bits after their first, which
/// makes every answer at most 1/128 too large and never too small.
class Histogram {
  public:
    Histogram();

    /// Negative numbers count as 0.
    void add(std::int64_t value);
    /// Adds everything that `other` has counted.
    void merge(const Histogram& other);
    void clear();

    [[nodiscard]] std::uint64_t count() const { return count_; }
    /// Exact; 0 when nothing was counted.
    [[nodiscard]] std::int64_t max() const { return max_; }
    /// The least bucket's greatest number that `percent` (0 to 100) of the numbers do not exceed;
    /// 0 when nothing was counted.
    [[nodiscard]] std::int64_t percentile(double percent) const;
    /// 0 when nothing was counted.
    [[nodiscard]] double mean() const;

  private:
    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    double sum_ = 0;
    std::int64_t max_ = 0;
};

}  // namespace dlog::cli
