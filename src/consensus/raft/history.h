/// The shape of a replica's log: which leader epoch wrote which offsets. The entries themselves are
/// someone else's; all of Raft's rules about them need no more than this.
#pragma once

#include <compare>
#include <cstddef>
#include <span>
#include <vector>

#include "base/ids.h"
#include "consensus/quorum/configuration.h"

namespace dlog::consensus::raft {

/// Where a log ends, or a prefix of one: after all records below `end`, of which the last entry is
/// one of `term`. A term is Kafka's leader epoch. The order is the one that elections compare logs
/// by (Raft dissertation §3.6.1). The start of an epoch takes no offset and still moves the end:
/// from (3, 100) to (4, 100).
struct LogPosition {
    LeaderEpoch term = kNoEpoch;
    Offset end;
    auto operator<=>(const LogPosition&) const = default;
};

/// An epoch's first entry, of zero width. It carries the configuration that counts from there on,
/// so that voters change by a leader's going into a new epoch and by nothing else.
struct Epoch {
    LeaderEpoch term = kNoEpoch;
    Offset start;
    Configuration configuration;
    bool operator==(const Epoch&) const = default;
};

/// The epochs of a log, ascending in term and start, of which the first covers the log's start.
/// Two logs that hold the same position are the same up to it (log matching, §3.5).
class History {
  public:
    /// An empty log: `first` is what all logs of the group have in common before their first entry.
    explicit History(Epoch first);
    /// What was on stable storage; false of is_valid when it contradicts itself.
    History(std::vector<Epoch> epochs, Offset start, Offset end);
    [[nodiscard]] static bool is_valid(std::span<const Epoch> epochs, Offset start, Offset end);

    [[nodiscard]] LogPosition start() const { return {epochs_.front().term, start_}; }
    [[nodiscard]] LogPosition end() const { return {epochs_.back().term, end_}; }
    [[nodiscard]] std::span<const Epoch> epochs() const { return epochs_; }
    /// The latest configuration counts, committed or not (§4.1).
    [[nodiscard]] const Configuration& configuration() const {
        return epochs_.back().configuration;
    }

    /// True when the log went through `position`.
    [[nodiscard]] bool contains(LogPosition position) const;
    /// The greatest position of this log at which a log that holds `other` can still be the same:
    /// in the largest epoch not above other's, and there not behind it. The log's start when other
    /// is before it.
    [[nodiscard]] LogPosition nearest(LogPosition other) const;
    /// The epochs that begin behind `from` and up to `to`; both are contained.
    [[nodiscard]] std::vector<Epoch> epochs_between(LogPosition from, LogPosition to) const;
    /// The greatest contained position with at most `end` as its end.
    [[nodiscard]] LogPosition position_at(Offset end) const;

    /// The log grew to `end` in its last epoch.
    void extend(Offset end);
    void begin_epoch(Epoch epoch);
    /// Forgets what is behind `position`, which is contained.
    void truncate(LogPosition position);
    /// The log begins at `start` from now on, which is not behind its end.
    void trim(Offset start);

  private:
    [[nodiscard]] Offset end_of(std::size_t index) const;

    std::vector<Epoch> epochs_;
    Offset start_;
    Offset end_;
};

}  // namespace dlog::consensus::raft
