/// What replicas of one group say to each other. Records travel beside a message, never in it.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "consensus/raft/history.h"

namespace dlog::consensus::raft {

/// "Would you, will you vote for me?" (Raft dissertation §3.4, pre-vote §9.6).
struct VoteRequest {
    /// The term that the sender stands for.
    LeaderEpoch term;
    LogPosition log_end;
    /// A question only: nobody's term changes by it.
    bool is_pre_vote = false;
    /// The leader itself wants this election (§3.10): no one holds on to it.
    bool is_handover = false;
    bool operator==(const VoteRequest&) const = default;
};

struct VoteReply {
    /// The term that was stood for when granted, else the voter's own.
    LeaderEpoch term;
    bool is_pre_vote = false;
    bool is_granted = false;
    bool operator==(const VoteReply&) const = default;
};

/// The entries behind `previous` up to `end`: the epochs that begin there, and the records of
/// [previous.end, end.end) beside it (AppendEntries, §3.5). Without entries it is the news of what
/// is committed.
struct Append {
    LeaderEpoch term;
    LogPosition previous;
    LogPosition end;
    LogPosition commit;
    std::vector<Epoch> epochs;
    /// Does the follower hold `previous`? The answer bears the question's number; 0 asks nothing.
    std::uint64_t question = 0;
    bool operator==(const Append&) const = default;
};

struct AppendReply {
    LeaderEpoch term;
    /// False when the follower does not hold `previous`; `received` is then a hint where to try
    /// next.
    bool is_accepted = false;
    std::uint64_t question = 0;
    /// The `previous` that is answered, of a refusal.
    LogPosition refused;
    /// Up to here the follower has the leader's log, on stable storage up to `persisted`.
    LogPosition received;
    LogPosition persisted;
    /// The epoch in which the follower's node supports the leader's (see Liveness), 0 for not.
    std::uint64_t support = 0;
    bool operator==(const AppendReply&) const = default;
};

/// The entries that a follower lacks are gone from the leader's log: it is to begin anew at
/// `start`, with the snapshot of what was before, where the group has one (InstallSnapshot, §5.3).
struct Install {
    LeaderEpoch term;
    LogPosition start;
    Configuration configuration;
    bool operator==(const Install&) const = default;
};

/// "Stand for election now" (leadership transfer, §3.10).
struct TimeoutNow {
    LeaderEpoch term;
    bool operator==(const TimeoutNow&) const = default;
};

/// "I lead no longer in this term": nobody needs to hold on to the sender, whose node lives.
struct Resigned {
    LeaderEpoch term;
    bool operator==(const Resigned&) const = default;
};

using Message =
    std::variant<VoteRequest, VoteReply, Append, AppendReply, Install, TimeoutNow, Resigned>;

}  // namespace dlog::consensus::raft
