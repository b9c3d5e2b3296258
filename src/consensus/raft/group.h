/// One replica of one Raft group, as a machine: whatever happens to it is an input, time is an
/// argument, and what it wants done comes back as effects (Ongaro, "Consensus: Bridging Theory and
/// Practice", 2014, cited by section).
///
/// The log's records lie elsewhere: the machine knows their positions only. A partition's log is
/// the log of its group: a term is Kafka's leader epoch, an index is an offset, what is committed
/// ends at the high watermark.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "consensus/quorum/configuration.h"
#include "consensus/raft/history.h"
#include "consensus/raft/liveness.h"
#include "consensus/raft/message.h"
#include "consensus/raft/progress.h"

namespace dlog::consensus::raft {

struct GroupOptions {
    /// Who has lost its leader stands within this time, at random, and who has not won tries again
    /// after once to twice `election_retry`: together the budget for an election.
    Duration election_stagger = milliseconds(80);
    Duration election_retry = milliseconds(150);
    /// How long a leader waits for the one it hands over to.
    Duration handover = milliseconds(500);
    FlowLimits flow;
};

/// The term and the vote in it; on stable storage before anyone hears of it (§3.8).
struct Ballot {
    LeaderEpoch term = kNoEpoch;
    std::optional<NodeId> vote;
    bool operator==(const Ballot&) const = default;
};

enum class Role : std::uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

// ---------------------------------------------------------------------------------------- inputs

/// The deadline has come.
struct Tick {};
/// Liveness reports a change of this peer.
struct PeerChanged {
    NodeId peer;
};
/// What was sent to the peer may be lost.
struct LinkReset {
    NodeId peer;
};
struct Received {
    NodeId from;
    Message message;
};
/// The ballot that was to be written is on stable storage.
struct BallotPersisted {
    Ballot ballot;
};
/// So is the log up to here, its epochs included.
struct Persisted {
    LogPosition position;
};
/// The leader's own log grew to here. Only while accepts_proposals().
struct Proposed {
    Offset end;
};
/// The records that a Load asked for have been read, whole batches of them, up to `end`.
struct Loaded {
    NodeId to;
    /// As the Load had it.
    LeaderEpoch term;
    LogPosition from;
    Offset end;
    std::uint64_t bytes = 0;
};
/// The log begins anew as an Install said, on stable storage.
struct Installed {
    LogPosition start;
};
/// The log was cut off behind `end`, unasked: what had been written there could not be kept. The
/// changes that were not done yet are void with it. A leader resigns.
struct Lost {
    LogPosition end;
};
/// The log's start moved.
struct Trimmed {
    Offset start;
};
/// The leader is to hand over to this voter.
struct HandOver {
    NodeId to;
};
/// The leader is to bring these voters in; write_quorum 0 for the majority.
struct ChangeVoters {
    std::vector<NodeId> nodes;
    std::size_t write_quorum = 0;
};
/// Who gets the log without a vote (§4.2.1).
struct SetLearners {
    std::vector<NodeId> nodes;
};

using Input =
    std::variant<Tick, PeerChanged, LinkReset, Received, BallotPersisted, Persisted, Proposed,
                 Loaded, Installed, Lost, Trimmed, HandOver, ChangeVoters, SetLearners>;

// --------------------------------------------------------------------------------------- effects

/// Changes the log: cuts it off behind `keep`, then adds `epochs`, then the records of
/// [from, end.end), which came beside the message of this step. Answered by Persisted, of this or
/// of a later one.
struct WriteLog {
    LogPosition keep;
    std::vector<Epoch> epochs;
    Offset from;
    LogPosition end;
    bool operator==(const WriteLog&) const = default;
};
/// Reads records for a follower: whole batches from `from`, at least one and then as many as
/// `bytes` hold, not beyond `until`. Answered by Loaded.
struct Load {
    NodeId to;
    LeaderEpoch term;
    LogPosition from;
    Offset until;
    std::uint64_t bytes = 0;
    bool operator==(const Load&) const = default;
};
/// The records of [previous.end, end.end) go beside an Append: what the Loaded of this step had
/// read.
struct Outgoing {
    NodeId to;
    Message message;
};

struct Effects {
    std::optional<Ballot> ballot;
    std::optional<WriteLog> write;
    std::optional<Install> install;
    std::vector<Load> loads;
    std::vector<Outgoing> messages;
    /// The follower had said of more that it was on stable storage.
    std::optional<NodeId> forgetful;
};

/// What a group had on stable storage.
struct Recovered {
    Ballot ballot;
    History history;
    /// A position known to be committed, at least the log's start.
    LogPosition commit;
    Instant started_at;
    /// Until when the process before this one may have promised its support (Liveness).
    Instant silent_until;
};

/// Owned by the partition's core. Invariants: commit <= the log's end; a leader never truncates;
/// what is committed is never truncated; a vote leaves only after its ballot is on stable storage.
/// What is known to be committed grows, but for Lost: then it has to come from the others again.
class Group {
  public:
    Group(NodeId self, GroupOptions options, Recovered recovered, Random random);

    [[nodiscard]] Effects step(Instant now, const Peers& peers, const Input& input);
    /// When to step with a Tick; kNever for a group at rest, which costs nothing.
    [[nodiscard]] Instant next_deadline() const;

    [[nodiscard]] Role role() const { return role_; }
    [[nodiscard]] LeaderEpoch term() const { return ballot_.term; }
    [[nodiscard]] const Ballot& ballot() const { return ballot_; }
    [[nodiscard]] std::optional<NodeId> leader() const { return leader_; }
    [[nodiscard]] const History& history() const { return history_; }
    [[nodiscard]] LogPosition commit() const { return commit_; }
    [[nodiscard]] LogPosition persisted() const { return persisted_; }
    [[nodiscard]] const std::map<NodeId, Progress>& followers() const { return followers_; }
    /// True for a leader that is to stay one.
    [[nodiscard]] bool accepts_proposals() const { return role_ == Role::kLeader && !handover_to_; }
    /// True when no other leader can have committed anything: what is read now up to commit() is
    /// the latest there is (§6.4, §6.4.1).
    [[nodiscard]] bool may_serve_reads(Instant now, const Peers& peers) const;

  private:
    struct Step;

    void on(Step& step, const Tick& tick);
    void on(Step& step, const PeerChanged& changed);
    void on(Step& step, const LinkReset& reset);
    void on(Step& step, const Received& received);
    void on(Step& step, const BallotPersisted& persisted);
    void on(Step& step, const Persisted& persisted);
    void on(Step& step, const Proposed& proposed);
    void on(Step& step, const Loaded& loaded);
    void on(Step& step, const Installed& installed);
    void on(Step& step, const Lost& lost);
    void on(Step& step, const Trimmed& trimmed);
    void on(Step& step, const HandOver& handover);
    void on(Step& step, const ChangeVoters& change);
    void on(Step& step, const SetLearners& learners);

    void receive(Step& step, NodeId from, const VoteRequest& request);
    void receive(Step& step, NodeId from, const VoteReply& reply);
    void receive(Step& step, NodeId from, const Append& append);
    void receive(Step& step, NodeId from, const AppendReply& reply);
    void receive(Step& step, NodeId from, const Install& install);
    void receive(Step& step, NodeId from, const TimeoutNow& now);
    void receive(Step& step, NodeId from, const Resigned& resigned);

    // group_election.cc
    [[nodiscard]] bool is_voter() const { return history_.configuration().find(self_) != nullptr; }
    [[nodiscard]] bool holds_on_to_leader(const Step& step) const;
    [[nodiscard]] LeaderEpoch next_term() const;
    void become_follower(Step& step, LeaderEpoch term, std::optional<NodeId> leader);
    void ask_for_pre_votes(Step& step);
    void stand(Step& step, bool is_handover);
    void count_votes(Step& step);
    void become_leader(Step& step);
    void set_election_deadline(Instant now, Duration within);
    void set_retry_deadline(Instant now);

    // group_leader.cc
    [[nodiscard]] Instant lease_until(const Peers& peers) const;
    void set_followers(LogPosition next);
    void send_to(Step& step, NodeId node);
    void probe_again(Step& step, NodeId node);
    void send_to_all(Step& step);
    void send_append(Step& step, NodeId node, LogPosition end, std::uint64_t bytes);
    void advance_commit(Step& step);
    void finish_change(Step& step);
    void go_on_with_handover(Step& step);
    void check_support(Step& step);
    void resign(Step& step, LeaderEpoch term);

    // group_follower.cc
    [[nodiscard]] bool follow(Step& step, NodeId from, LeaderEpoch term);
    void take_entries(Step& step, const Append& append);
    void answer(Step& step, std::uint64_t question = 0);
    void refuse(Step& step, const Append& append);

    NodeId self_;
    GroupOptions options_;
    Random random_;

    Ballot ballot_;
    bool is_ballot_persisted_ = true;
    Role role_ = Role::kFollower;
    std::optional<NodeId> leader_;
    History history_;
    LogPosition persisted_;
    LogPosition commit_;
    Instant silent_until_;
    /// The process of the leader's that is followed.
    std::uint64_t leader_incarnation_ = 0;
    Instant election_deadline_ = kNever;

    // A follower's: up to where its log is the leader's, as the leader's messages showed.
    LogPosition verified_;
    bool is_installing_ = false;

    // A candidate's.
    std::vector<NodeId> granted_;
    std::vector<NodeId> refused_;
    bool is_handover_ = false;
    std::optional<Configuration> change_;

    // A leader's.
    Instant leader_since_;
    std::map<NodeId, Progress> followers_;
    std::vector<NodeId> learners_;
    std::optional<NodeId> handover_to_;
    bool is_handover_sent_ = false;
    Instant handover_deadline_ = kNever;
};

}  // namespace dlog::consensus::raft
