/// Which core a connection belongs on. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"

namespace dlog::broker {

/// Counts on which cores the partitions of one connection's requests lie. Every visit to another
/// core wakes two threads; a connection whose requests nearly all go to one other core is better
/// off there. Belongs to the connection.
class Affinity {
  public:
    /// Partitions that are looked at before a judgement, and afresh for the next one.
    static constexpr std::uint32_t kWindow = 64;

    Affinity(CoreId home, std::uint32_t core_count) : home_(home), visits_(core_count) {}

    /// A request has `partitions` on `core`.
    void visited(CoreId core, std::uint32_t partitions);
    /// The core where at least seven eighths of the last window lay, when that is not home.
    [[nodiscard]] std::optional<CoreId> better_home() const { return better_home_; }

  private:
    CoreId home_;
    std::uint32_t total_ = 0;
    std::vector<std::uint32_t> visits_;  ///< by core
    std::optional<CoreId> better_home_;
};

}  // namespace dlog::broker
