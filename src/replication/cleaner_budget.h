/// What the compaction of all cores together may take: memory for keys, and bytes a second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/time.h"

namespace dlog::replication {

/// Shared by the cores of a node, behind a lock that is held for a few instructions. Whoever cleans
/// has what the others leave, so that one busy core can use all of it.
class CleanerBudget {
  public:
    /// A rate above 10^12 is no limit.
    CleanerBudget(std::size_t map_bytes, double bytes_per_second, std::uint32_t core_count);

    /// Memory that a round of cleaning has until it drops this, which it does before the budget
    /// goes.
    class Memory {
      public:
        Memory(CleanerBudget& budget, std::size_t size_bytes)
            : budget_(budget), size_bytes_(size_bytes) {}
        Memory(const Memory&) = delete;
        Memory& operator=(const Memory&) = delete;
        ~Memory() { budget_.give_back(size_bytes_); }
        [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

      private:
        CleanerBudget& budget_;
        std::size_t size_bytes_;
    };
    /// As much of `wanted_bytes` as there is. What is left is a quarter of an even share for each
    /// core that does not clean now: nobody waits for the memory of another.
    [[nodiscard]] Memory take(std::size_t wanted_bytes);

    /// `size_bytes` have been moved. Nothing more may be before the time returned: what is spent is
    /// paid for by waiting afterwards, and nothing is saved up.
    [[nodiscard]] Instant spend(Instant now, std::uint64_t size_bytes);

  private:
    void give_back(std::size_t size_bytes);

    const double bytes_per_second_;
    const std::uint32_t core_count_;
    const std::size_t reserve_bytes_;  ///< for each core that does not clean
    std::mutex mutex_;
    std::size_t free_bytes_;
    std::uint32_t rounds_ = 0;
    Instant paid_at_{0};
};

}  // namespace dlog::replication
