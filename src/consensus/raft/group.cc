#include "consensus/raft/group.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "consensus/raft/group_step.h"

namespace dlog::consensus::raft {

Group::Group(NodeId self, GroupOptions options, Recovered recovered, Random random)
    : self_(self),
      options_(options),
      random_(random),
      ballot_(recovered.ballot),
      history_(std::move(recovered.history)),
      persisted_(history_.end()),
      commit_(recovered.commit),
      silent_until_(recovered.silent_until),
      verified_(recovered.commit) {
    DLOG_ASSERT(history_.start() <= commit_ && history_.contains(commit_), commit_.term,
                commit_.end);
    // A term is known by the ballot or by the entries that it left.
    if (ballot_.term < history_.end().term) ballot_ = {.term = history_.end().term, .vote = {}};
    const bool is_alone = history_.configuration().nodes().size() == 1;
    set_election_deadline(recovered.started_at, is_alone ? Duration{} : options_.election_stagger);
}

Effects Group::step(Instant now, const Peers& peers, const Input& input) {
    Step step{.now = now, .peers = peers, .effects = {}};
    const LogPosition commit = commit_;
    std::visit([&](const auto& one) { on(step, one); }, input);
    const bool may_go_back = std::holds_alternative<Lost>(input);
    DLOG_ASSERT(commit <= commit_ || may_go_back, commit.end, commit_.end);
    DLOG_ASSERT(commit_ <= history_.end(), commit_.end, history_.end().end);
    DLOG_ASSERT(role_ != Role::kLeader || history_.end().term == ballot_.term, ballot_.term);
    return std::move(step.effects);
}

Instant Group::next_deadline() const {
    if (role_ != Role::kLeader) return election_deadline_;
    Instant next = handover_deadline_;
    for (const auto& [node, follower] : followers_) next = std::min(next, follower.deadline());
    return next;
}

void Group::on(Step& step, const Tick& /*tick*/) {
    if (role_ != Role::kLeader) {
        if (!is_voter()) election_deadline_ = kNever;
        if (election_deadline_ <= step.now) ask_for_pre_votes(step);
        return;
    }
    for (auto& [node, follower] : followers_) {
        if (follower.deadline() <= step.now) probe_again(step, node);
    }
    if (handover_deadline_ <= step.now) {
        // The other may stand at any time from now on: only a new term makes that void.
        const bool may_stand = is_handover_sent_;
        handover_to_.reset();
        handover_deadline_ = kNever;
        if (may_stand) return stand(step, true);
        finish_change(step);
    }
    check_support(step);
}

void Group::on(Step& step, const PeerChanged& changed) {
    if (role_ == Role::kLeader) {
        const auto follower = followers_.find(changed.peer);
        if (follower != followers_.end() &&
            follower->second.support() != step.peers.of(changed.peer).granted) {
            on(step, LinkReset{.peer = changed.peer});
        }
        check_support(step);
        return;
    }
    const PeerState& peer = step.peers.of(changed.peer);
    if (leader_ != changed.peer) return;
    if (peer.is_supported && leader_incarnation_ == 0) {
        leader_incarnation_ = peer.incarnation;
        election_deadline_ = kNever;
    }
    if (peer.is_supported && peer.incarnation == leader_incarnation_) return;
    leader_.reset();
    set_election_deadline(step.now, options_.election_stagger);
}

void Group::on(Step& step, const LinkReset& reset) {
    const auto follower = followers_.find(reset.peer);
    if (role_ != Role::kLeader || follower == followers_.end()) return;
    if (follower->second.state() != Progress::State::kInstall) probe_again(step, reset.peer);
}

void Group::on(Step& step, const Received& received) {
    if (received.from == self_) return;
    std::visit([&](const auto& message) { receive(step, received.from, message); },
               received.message);
}

void Group::on(Step& step, const BallotPersisted& persisted) {
    if (persisted.ballot != ballot_ || is_ballot_persisted_) return;
    is_ballot_persisted_ = true;
    DLOG_ASSERT(ballot_.vote.has_value(), ballot_.term);
    if (*ballot_.vote != self_) {
        step.send(*ballot_.vote, VoteReply{.term = ballot_.term, .is_granted = true});
        return;
    }
    if (role_ != Role::kCandidate) return;
    const VoteRequest request{
        .term = ballot_.term, .log_end = history_.end(), .is_handover = is_handover_};
    for (const NodeId node : history_.configuration().nodes()) {
        if (node != self_) step.send(node, request);
    }
    granted_.push_back(self_);
    count_votes(step);
}

void Group::on(Step& step, const Persisted& persisted) {
    // Of what was cut off meanwhile.
    if (!history_.contains(persisted.position)) return;
    persisted_ = std::max(persisted_, persisted.position);
    if (role_ == Role::kLeader) {
        advance_commit(step);
    } else if (leader_) {
        answer(step);
    }
}

void Group::on(Step& step, const Installed& installed) {
    if (!is_installing_ || installed.start != history_.start()) return;
    is_installing_ = false;
    persisted_ = std::max(persisted_, installed.start);
    if (leader_) answer(step);
}

void Group::on(Step& step, const Lost& lost) {
    DLOG_ASSERT(history_.contains(lost.end), lost.end.term, lost.end.end);
    DLOG_ASSERT(!is_installing_);
    // Whoever voted for it, or would, did so for a log that is no more.
    if (role_ == Role::kLeader) {
        resign(step, ballot_.term);
    } else if (role_ != Role::kFollower) {
        become_follower(step, ballot_.term, {});
    }
    history_.truncate(lost.end);
    persisted_ = std::min(persisted_, lost.end);
    verified_ = std::min(verified_, lost.end);
    commit_ = std::min(commit_, lost.end);
}

void Group::on(Step& /*step*/, const Trimmed& trimmed) {
    DLOG_ASSERT(trimmed.start <= commit_.end, trimmed.start, commit_.end);
    history_.trim(std::max(trimmed.start, history_.start().end));
}

}  // namespace dlog::consensus::raft
