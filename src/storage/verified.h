/// Which stretches of the segment files are known to be intact, which are known to be damaged, and
/// where in them batches begin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "storage/index.h"
#include "storage/segment.h"

namespace dlog::storage {

/// Every range of a file is checked by CRC once in a process's life, then served unseen. Owned by
/// the partition's core. Memory grows with the number of separate stretches, not with their sizes.
class VerifiedRanges {
  public:
    [[nodiscard]] bool is_verified(Offset segment, std::uint64_t begin, std::uint64_t end) const;
    /// Where the verified stretch around `begin` ends; `begin` when it is not verified.
    [[nodiscard]] std::uint64_t verified_end(Offset segment, std::uint64_t begin) const;
    void mark_verified(Offset segment, std::uint64_t begin, std::uint64_t end);

    /// False when it was known.
    bool note_damage(const Damage& damage);
    /// The damage that covers `offset`.
    [[nodiscard]] const Damage* damage_at(Offset offset) const;
    /// The last damage of `segment` that ends at or before `offset`.
    [[nodiscard]] const Damage* damage_before(Offset segment, Offset offset) const;
    [[nodiscard]] const std::vector<Damage>& damages() const { return damages_; }

    /// Remembers that the batch with `entry.offset` begins at `entry.position`, so that a reader
    /// that goes on there needs no search. A few are kept.
    void note_boundary(Offset segment, IndexEntry entry);
    [[nodiscard]] std::optional<IndexEntry> find_boundary(Offset segment, Offset offset) const;

    /// The segment is gone, or everything in it from `position` on will be written anew.
    void forget(Offset segment, std::uint64_t position);

  private:
    struct Boundary {
        Offset segment = kNoOffset;
        IndexEntry entry;
    };
    static constexpr std::size_t kBoundariesMax = 16;

    /// segment -> begin -> end, not touching each other.
    std::map<Offset, std::map<std::uint64_t, std::uint64_t>> ranges_;
    std::vector<Damage> damages_;  ///< by first offset
    std::vector<Boundary> boundaries_;
    std::size_t next_boundary_ = 0;
};

}  // namespace dlog::storage
