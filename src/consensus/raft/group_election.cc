/// Standing for election and voting (Raft dissertation §3.4, §3.6.1, §9.6).
#include <algorithm>

#include "consensus/quorum/quorums.h"
#include "consensus/raft/group_step.h"

namespace dlog::consensus::raft {

bool Group::holds_on_to_leader(const Step& step) const {
    if (role_ == Role::kLeader) return step.now < lease_until(step.peers);
    return leader_ && step.peers.of(*leader_).is_supported;
}

LeaderEpoch Group::next_term() const {
    const Configuration& configuration = history_.configuration();
    const Voter* self = configuration.find(self_);
    DLOG_ASSERT(self != nullptr, self_);
    LeaderEpoch term = ballot_.term + 1;
    const bool is_shared = configuration.voters.may_elect_apart() ||
                           (configuration.is_joint() && configuration.outgoing.may_elect_apart());
    if (!is_shared) return term;
    const std::int32_t ahead = (self->slot - term.value % kSlots + kSlots) % kSlots;
    return term + ahead;
}

void Group::set_election_deadline(Instant now, Duration within) {
    if (!is_voter()) {
        election_deadline_ = kNever;
        return;
    }
    const Duration wait{random_.between(0, within.ns)};
    election_deadline_ = std::max(now, silent_until_) + wait;
}

void Group::set_retry_deadline(Instant now) {
    const Duration wait{random_.between(0, options_.election_retry.ns)};
    election_deadline_ = now + options_.election_retry + wait;
}

void Group::become_follower(Step& step, LeaderEpoch term, std::optional<NodeId> leader) {
    DLOG_ASSERT(ballot_.term <= term, ballot_.term, term);
    if (ballot_.term < term) {
        // A term without a vote need not be on stable storage: what it was good for is in the log.
        ballot_ = {.term = term, .vote = {}};
        is_ballot_persisted_ = true;
    }
    role_ = Role::kFollower;
    leader_ = leader;
    verified_ = commit_;
    followers_.clear();
    handover_to_.reset();
    is_handover_sent_ = false;
    handover_deadline_ = kNever;
    change_.reset();
    leader_incarnation_ = 0;
    if (leader && step.peers.of(*leader).is_supported) {
        leader_incarnation_ = step.peers.of(*leader).incarnation;
        election_deadline_ = kNever;
    } else {
        set_election_deadline(step.now, options_.election_retry * 2);
    }
}

void Group::ask_for_pre_votes(Step& step) {
    role_ = Role::kPreCandidate;
    leader_.reset();
    granted_.assign({self_});
    refused_.clear();
    set_retry_deadline(step.now);
    const VoteRequest request{.term = next_term(), .log_end = history_.end(), .is_pre_vote = true};
    for (const NodeId node : history_.configuration().nodes()) {
        if (node != self_) step.send(node, request);
    }
    count_votes(step);
}

void Group::stand(Step& step, bool is_handover) {
    const std::optional<Configuration> change = change_;
    become_follower(step, next_term(), {});
    change_ = change;
    role_ = Role::kCandidate;
    is_handover_ = is_handover;
    ballot_.vote = self_;
    is_ballot_persisted_ = false;
    DLOG_ASSERT(!step.effects.ballot, ballot_.term);
    step.effects.ballot = ballot_;
    granted_.clear();
    refused_.clear();
    set_retry_deadline(step.now);
}

void Group::count_votes(Step& step) {
    const Verdict verdict = tally(history_.configuration(), granted_, refused_);
    if (verdict != Verdict::kWon) return;
    if (role_ == Role::kPreCandidate) {
        stand(step, false);
    } else {
        become_leader(step);
    }
}

void Group::become_leader(Step& step) {
    DLOG_ASSERT(role_ == Role::kCandidate && is_ballot_persisted_, ballot_.term);
    role_ = Role::kLeader;
    leader_ = self_;
    leader_since_ = step.now;
    is_handover_sent_ = false;
    const LogPosition before = history_.end();
    history_.begin_epoch({.term = ballot_.term,
                          .start = before.end,
                          .configuration = change_ ? *change_ : history_.configuration()});
    change_.reset();
    step.write({.keep = before,
                .epochs = {history_.epochs().back()},
                .from = before.end,
                .end = history_.end()});
    followers_.clear();
    set_followers(before);
    send_to_all(step);
}

void Group::receive(Step& step, NodeId from, const VoteRequest& request) {
    const bool is_behind = request.term < ballot_.term || request.log_end < history_.end() ||
                           (request.is_pre_vote && request.term == ballot_.term);
    const bool is_bound =
        step.now < silent_until_ || (!request.is_handover && holds_on_to_leader(step));
    // Is it still there? It says so, or that it is not.
    if (is_bound && leader_ && leader_ != self_) answer(step);
    if (request.is_pre_vote) {
        const bool is_granted = !is_behind && !is_bound;
        step.send(from, VoteReply{.term = is_granted ? request.term : ballot_.term,
                                  .is_pre_vote = true,
                                  .is_granted = is_granted});
        return;
    }
    if (!is_bound && ballot_.term < request.term) become_follower(step, request.term, {});
    const bool is_free = !ballot_.vote || *ballot_.vote == from;
    if (is_behind || is_bound || ballot_.term != request.term || !is_free || leader_) {
        step.send(from, VoteReply{.term = ballot_.term});
        return;
    }
    if (ballot_.vote && is_ballot_persisted_) {
        step.send(from, VoteReply{.term = ballot_.term, .is_granted = true});
        return;
    }
    if (ballot_.vote) return;
    ballot_.vote = from;
    is_ballot_persisted_ = false;
    step.effects.ballot = ballot_;
    set_election_deadline(step.now, options_.election_retry * 2);
}

void Group::receive(Step& step, NodeId from, const VoteReply& reply) {
    const bool is_asking = role_ == Role::kPreCandidate || role_ == Role::kCandidate;
    if (!reply.is_granted && reply.term > ballot_.term && is_asking) {
        become_follower(step, reply.term, {});
        return;
    }
    const bool is_mine = reply.is_pre_vote ? role_ == Role::kPreCandidate &&
                                                 (!reply.is_granted || reply.term == next_term())
                                           : role_ == Role::kCandidate && is_ballot_persisted_ &&
                                                 (!reply.is_granted || reply.term == ballot_.term);
    if (!is_mine) return;
    std::vector<NodeId>& side = reply.is_granted ? granted_ : refused_;
    if (std::ranges::find(side, from) == side.end()) side.push_back(from);
    count_votes(step);
}

void Group::receive(Step& step, NodeId from, const TimeoutNow& now) {
    if (now.term != ballot_.term || leader_ != from || role_ != Role::kFollower) return;
    if (is_voter() && step.now >= silent_until_) stand(step, true);
}

void Group::receive(Step& step, NodeId from, const Resigned& resigned) {
    if (resigned.term != ballot_.term || leader_ != from) return;
    leader_.reset();
    set_election_deadline(step.now, options_.election_stagger);
}

}  // namespace dlog::consensus::raft
