/// Bounds how many bytes a second a background job moves.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace dlog::replication {

/// Belongs to one core. What is spent is paid for by waiting afterwards; nothing is saved up.
class Throttle {
  public:
    /// A rate above 10^12 is no limit.
    explicit Throttle(double bytes_per_second) : bytes_per_second_(bytes_per_second) {}

    void spend(Instant now, std::uint64_t size_bytes) {
        if (bytes_per_second_ > 1e12) return;
        // No debt of more than an hour, whatever the rate.
        const double debt_s = std::min(static_cast<double>(size_bytes) / bytes_per_second_, 3600.0);
        paid_at_ = std::max(now, paid_at_) + Duration{static_cast<std::int64_t>(debt_s * 1e9)};
    }
    /// Nothing may be spent before this.
    [[nodiscard]] Instant paid_at() const { return paid_at_; }

  private:
    double bytes_per_second_;
    Instant paid_at_{0};
};

}  // namespace dlog::replication
