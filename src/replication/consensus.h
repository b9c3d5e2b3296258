/// What decides which part of a partition's log is committed, where several nodes hold it. The
/// partition tells it what became of the log; it tells the partition what is committed and who
/// leads. Raft stands behind it (replica.h); nothing here is Raft's alone.
#pragma once

#include <cstdint>
#include <optional>

#include "base/ids.h"

namespace dlog::replication {

/// Who leads, as this replica knows.
struct Leadership {
    LeaderEpoch epoch = kNoEpoch;
    std::optional<NodeId> leader;
    bool is_here = false;          ///< This replica leads, and knows all that is committed.
    bool accepts_appends = false;  ///< False also of a leader that hands over.
    bool operator==(const Leadership&) const = default;
};

/// Called on the partition's core, at any moment: it takes note and acts later.
class Consensus {
  public:
    virtual ~Consensus() = default;
    /// The leader's log grew.
    virtual void appended() = 0;
    /// More of the log may be counted on: it is on stable storage, or written under write.caching.
    virtual void stored() = 0;
    /// The log was cut off at its new end: what lay behind could not be written.
    virtual void lost() = 0;
    /// The log's start moved.
    virtual void trimmed() = 0;
    /// False when what was read may be out of date: another may have taken over.
    [[nodiscard]] virtual bool may_serve_reads() const = 0;
};

}  // namespace dlog::replication
