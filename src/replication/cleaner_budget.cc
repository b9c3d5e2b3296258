#include "replication/cleaner_budget.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::replication {

CleanerBudget::CleanerBudget(std::size_t map_bytes, double bytes_per_second,
                             std::uint32_t core_count)
    : bytes_per_second_(bytes_per_second),
      core_count_(core_count),
      reserve_bytes_(map_bytes / core_count / 4),
      free_bytes_(map_bytes) {
    DLOG_ASSERT(core_count > 0 && bytes_per_second > 0, core_count);
}

CleanerBudget::Memory CleanerBudget::take(std::size_t wanted_bytes) {
    const std::lock_guard lock(mutex_);
    ++rounds_;
    const std::size_t kept = reserve_bytes_ * (core_count_ - std::min(core_count_, rounds_));
    const std::size_t size_bytes =
        std::min(wanted_bytes, free_bytes_ - std::min(free_bytes_, kept));
    free_bytes_ -= size_bytes;
    return {*this, size_bytes};
}

void CleanerBudget::give_back(std::size_t size_bytes) {
    const std::lock_guard lock(mutex_);
    DLOG_ASSERT(rounds_ > 0);
    --rounds_;
    free_bytes_ += size_bytes;
}

Instant CleanerBudget::spend(Instant now, std::uint64_t size_bytes) {
    if (bytes_per_second_ > 1e12) return now;
    // No debt of more than an hour, whatever the rate.
    const double debt_s = std::min(static_cast<double>(size_bytes) / bytes_per_second_, 3600.0);
    const std::lock_guard lock(mutex_);
    paid_at_ = std::max(now, paid_at_) + Duration{static_cast<std::int64_t>(debt_s * 1e9)};
    return paid_at_;
}

}  // namespace dlog::replication
