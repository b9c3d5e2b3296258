/// What a node keeps of its groups on stable storage beside their logs: ballots, and epochs, which
/// take no room in a log. One file for all groups of a core, so that a thousand groups that elect
/// at once share one flush.
///
/// The bytes: docs/formats/group-journal.md. A file begins as a whole; then notes are appended,
/// each with its checksum and with how much of the file was on stable storage before it. The first
/// note that is not whole ends the file, unless it was there when the file began or a later one
/// knows better.
#pragma once

#include <cstdint>
#include <map>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/error.h"
#include "consensus/raft/group.h"
#include "consensus/raft/history.h"

namespace dlog::consensus::raft {

struct GroupId {
    TopicId topic;
    PartitionId partition;
    auto operator<=>(const GroupId&) const = default;
};

/// What the journal knows of one group. The epochs may reach beyond the log's end, of which the
/// last records were not on stable storage.
struct GroupState {
    Ballot ballot;
    std::vector<Epoch> epochs;
    bool operator==(const GroupState&) const = default;
};

struct BallotNote {
    GroupId group;
    Ballot ballot;
    bool operator==(const BallotNote&) const = default;
};
/// The log was cut off behind `keep`; then these epochs began.
struct EpochsNote {
    GroupId group;
    LogPosition keep;
    std::vector<Epoch> epochs;
    bool operator==(const EpochsNote&) const = default;
};
/// What came before of this group counts no more: a new replica, one that began anew.
struct GroupNote {
    GroupId group;
    GroupState state;
    bool operator==(const GroupNote&) const = default;
};
struct RemovedNote {
    GroupId group;
    bool operator==(const RemovedNote&) const = default;
};
using Note = std::variant<BallotNote, EpochsNote, GroupNote, RemovedNote>;

using Groups = std::map<GroupId, GroupState>;

/// False when the note does not follow from what is known: epochs that do not continue the group's,
/// a ballot of an earlier term, a group that is not there.
[[nodiscard]] bool fold(Groups& groups, const Note& note);

/// A new file that says what `groups` does; to be on stable storage before it gets its name.
[[nodiscard]] Buffer begin_journal(const Groups& groups);
/// A note as it is appended to a file whose first `synced_bytes` bytes are on stable storage.
[[nodiscard]] Buffer encode_note(const Note& note, std::uint64_t synced_bytes);

struct JournalImage {
    Groups groups;
    /// Where the file is to be cut off before it is appended to: what is behind was never synced.
    std::uint64_t size_bytes = 0;
};
/// kDamaged when a byte of what the file began with, or below what a later note knew to be on
/// stable storage, is not as it was written; what a loss of power left behind that ends the file
/// without an error.
[[nodiscard]] Result<JournalImage> read_journal(ByteView file);

/// The history of a group whose log lies on [start, end): epochs that begin behind the log's end
/// were never acknowledged and are dropped. kDamaged when the journal knows no epoch for the log's
/// start.
[[nodiscard]] Result<History> recover_history(const GroupState& state, Offset start, Offset end);

}  // namespace dlog::consensus::raft
