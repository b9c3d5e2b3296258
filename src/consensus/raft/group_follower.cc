/// Following: taking the leader's entries (Raft dissertation §3.5, §3.6).
#include <algorithm>

#include "consensus/raft/group_step.h"

namespace dlog::consensus::raft {

namespace {

/// A message is from outside: its parts have to fit each other.
bool is_well_formed(const Append& append) {
    LogPosition at = append.previous;
    for (const Epoch& epoch : append.epochs) {
        if (epoch.term <= at.term || epoch.start < at.end) return false;
        if (!consensus::is_valid(epoch.configuration)) return false;
        at = {epoch.term, epoch.start};
    }
    return append.end.term == at.term && at.end <= append.end.end && append.end.term <= append.term;
}

}  // namespace

bool Group::follow(Step& step, NodeId from, LeaderEpoch term) {
    if (term < ballot_.term) {
        step.send(from, AppendReply{.term = ballot_.term});
        return false;
    }
    // Two leaders of one term cannot be (§3.4): one of the two messages is not Raft's.
    if (term == ballot_.term && leader_ && *leader_ != from) return false;
    if (term == ballot_.term && role_ == Role::kLeader) return false;
    const bool is_known = term == ballot_.term && leader_ == from;
    if (!is_known || role_ != Role::kFollower) become_follower(step, term, from);
    return !is_installing_;
}

void Group::answer(Step& step, std::uint64_t question) {
    DLOG_ASSERT(leader_ && *leader_ != self_, self_);
    const PeerState& leader = step.peers.of(*leader_);
    step.send(*leader_, AppendReply{.term = ballot_.term,
                                    .is_accepted = true,
                                    .question = question,
                                    .received = verified_,
                                    .persisted = std::min(persisted_, verified_),
                                    .support = leader.is_supported ? leader.support : 0});
}

void Group::refuse(Step& step, const Append& append) {
    DLOG_ASSERT(leader_ && !history_.contains(append.previous), append.previous.end);
    step.send(*leader_, AppendReply{.term = ballot_.term,
                                    .question = append.question,
                                    .refused = append.previous,
                                    .received = history_.nearest(append.previous)});
}

void Group::receive(Step& step, NodeId from, const Append& append) {
    if (!is_well_formed(append) || !follow(step, from, append.term)) return;
    // What is committed here is in every leader's log (§3.6.3).
    if (append.previous > commit_ && !history_.contains(append.previous)) {
        return refuse(step, append);
    }
    const bool is_news = append.end > commit_ && !history_.contains(append.end);
    if (is_news) {
        take_entries(step, append);
    }
    verified_ = std::max({verified_, commit_, std::min(append.end, history_.end())});
    const LogPosition commit = std::min(append.commit, verified_);
    if (commit > commit_ && history_.contains(commit)) commit_ = commit;
    const bool is_asked = append.question != 0 || append.previous != append.end;
    if (!is_news && is_asked) answer(step, append.question);
}

void Group::take_entries(Step& step, const Append& append) {
    // The greatest position that both logs go through.
    LogPosition keep = std::max(append.previous, commit_);
    LogPosition at = append.previous;
    for (std::size_t i = 0; i <= append.epochs.size(); ++i) {
        const bool is_last = i == append.epochs.size();
        const Offset end = is_last ? append.end.end : append.epochs[i].start;
        if (history_.contains(at)) keep = std::max(keep, history_.nearest({at.term, end}));
        if (!is_last) at = {append.epochs[i].term, append.epochs[i].start};
    }
    DLOG_ASSERT(commit_ <= keep && history_.contains(keep), commit_.end, keep.end);
    history_.truncate(keep);
    persisted_ = std::min(persisted_, keep);
    verified_ = std::min(verified_, keep);
    WriteLog write{.keep = keep, .epochs = {}, .from = keep.end, .end = append.end};
    for (const Epoch& epoch : append.epochs) {
        if (epoch.term <= keep.term) continue;
        history_.extend(epoch.start);
        history_.begin_epoch(epoch);
        write.epochs.push_back(epoch);
    }
    history_.extend(append.end.end);
    DLOG_ASSERT(history_.end() == append.end, history_.end().end, append.end.end);
    step.write(std::move(write));
}

void Group::receive(Step& step, NodeId from, const Install& install) {
    if (!consensus::is_valid(install.configuration) || !follow(step, from, install.term)) return;
    // A late one, of what has come since: to begin anew would undo what was answered for.
    if (install.start <= commit_ || history_.contains(install.start)) return answer(step);
    history_ = History(Epoch{.term = install.start.term,
                             .start = install.start.end,
                             .configuration = install.configuration});
    persisted_ = {};
    commit_ = verified_ = history_.start();
    is_installing_ = true;
    step.effects.install = install;
}

}  // namespace dlog::consensus::raft
