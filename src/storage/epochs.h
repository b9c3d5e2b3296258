/// Which leader epoch wrote which offsets of a partition (KIP-101).
#pragma once

#include <span>
#include <vector>

#include "base/ids.h"

namespace dlog::storage {

struct EpochStart {
    LeaderEpoch epoch;
    Offset start_offset;
    bool operator==(const EpochStart&) const = default;
};

struct EpochEnd {
    LeaderEpoch epoch = kNoEpoch;
    Offset end_offset = kNoOffset;
    bool operator==(const EpochEnd&) const = default;
};

/// Epochs and start offsets, both ascending. Owned by the partition's core.
class EpochList {
  public:
    /// Notes that `epoch` wrote at `offset`. An epoch below the last one, as damage can show it, is
    /// ignored.
    void append(LeaderEpoch epoch, Offset offset);
    /// Forgets epochs that begin at or after `end`.
    void truncate_end(Offset end);
    /// Forgets epochs that end at or before `start`; the one that covers it then begins there.
    void truncate_start(Offset start);

    /// Kafka's OffsetForLeaderEpoch: the largest epoch not above `asked` and where it ends. No
    /// epoch when `asked` is later than all; `asked` itself, ending where the first begins, when it
    /// is earlier than all.
    [[nodiscard]] EpochEnd end_of(LeaderEpoch asked, Offset log_end_offset) const;
    /// kNoEpoch when the list does not reach back that far.
    [[nodiscard]] LeaderEpoch epoch_of(Offset offset) const;
    [[nodiscard]] LeaderEpoch latest() const;
    [[nodiscard]] std::span<const EpochStart> entries() const { return entries_; }

  private:
    std::vector<EpochStart> entries_;
};

}  // namespace dlog::storage
