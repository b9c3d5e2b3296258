/// Leading: sending the log, committing, leases, handing over, changing voters (Raft dissertation
/// §3.5, §3.6.2, §3.10, §4.3, §6.4).
#include <algorithm>

#include "consensus/quorum/quorums.h"
#include "consensus/raft/group_step.h"

namespace dlog::consensus::raft {

Instant Group::lease_until(const Peers& peers) const {
    const auto promised = [&](NodeId node) {
        if (node == self_) return kNever;
        const auto follower = followers_.find(node);
        if (follower == followers_.end() || follower->second.support() == 0) return Instant{};
        const PeerState& peer = peers.of(node);
        return peer.granted == follower->second.support() ? peer.granted_until : Instant{};
    };
    const auto of_set = [&](const Voters& voters) {
        // Where all have to hold an entry nothing is committed without this node.
        const bool takes_all = voters.write_quorum == voters.members.size();
        if (takes_all && voters.find(self_) != nullptr) return kNever;
        return reached_by_quorum(voters, promised);
    };
    const Configuration& configuration = history_.configuration();
    const Instant until = of_set(configuration.voters);
    return configuration.is_joint() ? std::min(until, of_set(configuration.outgoing)) : until;
}

bool Group::may_serve_reads(Instant now, const Peers& peers) const {
    return role_ == Role::kLeader && !is_handover_sent_ && commit_.term == ballot_.term &&
           now < lease_until(peers);
}

void Group::check_support(Step& step) {
    if (role_ != Role::kLeader) return;
    // Those who have just elected it need the time to say that they follow.
    if (step.now < leader_since_ + options_.flow.retry || step.now < lease_until(step.peers))
        return;
    resign(step, ballot_.term);
}

void Group::resign(Step& step, LeaderEpoch term) {
    DLOG_ASSERT(role_ == Role::kLeader, ballot_.term, term);
    for (const auto& [node, follower] : followers_) step.send(node, Resigned{.term = ballot_.term});
    become_follower(step, term, {});
}

void Group::set_followers(LogPosition next) {
    std::vector<NodeId> nodes = history_.configuration().nodes();
    nodes.insert(nodes.end(), learners_.begin(), learners_.end());
    std::erase_if(followers_, [&](const auto& follower) {
        return std::ranges::find(nodes, follower.first) == nodes.end();
    });
    for (const NodeId node : nodes) {
        if (node != self_) followers_.try_emplace(node, next);
    }
}

void Group::send_append(Step& step, NodeId node, LogPosition end, std::uint64_t bytes) {
    Progress& follower = followers_.at(node);
    const LogPosition previous = follower.next();
    const bool is_question = follower.state() == Progress::State::kProbe;
    Append append{.term = ballot_.term,
                  .previous = previous,
                  .end = end,
                  .commit = commit_,
                  .epochs = history_.epochs_between(previous, end),
                  .question = is_question ? follower.next_question() : 0};
    follower.sent(append, bytes, step.now + options_.flow.retry);
    step.send(node, std::move(append));
}

void Group::send_to(Step& step, NodeId node) {
    Progress& follower = followers_.at(node);
    if (!follower.may_send(options_.flow)) return;
    const LogPosition next = follower.next();
    if (!history_.contains(next)) {
        DLOG_ASSERT(next < history_.start(), next.term, next.end);
        follower.installing(history_.start(), step.now + options_.flow.retry * 10);
        const Configuration& configuration = history_.epochs().front().configuration;
        step.send(node, Install{.term = ballot_.term,
                                .start = history_.start(),
                                .configuration = configuration});
        return;
    }
    const LogPosition end = history_.end();
    if (follower.state() == Progress::State::kProbe) {
        send_append(step, node, next, 0);
    } else if (next.end < end.end) {
        follower.load();
        step.effects.loads.push_back({.to = node,
                                      .term = ballot_.term,
                                      .from = next,
                                      .until = end.end,
                                      .bytes = options_.flow.message_bytes});
    } else if (next < end || follower.commit_sent() < commit_) {
        send_append(step, node, end, 0);
    }
}

void Group::probe_again(Step& step, NodeId node) {
    Progress& follower = followers_.at(node);
    follower.probe(std::max(follower.match(), history_.start()));
    send_to(step, node);
}

void Group::send_to_all(Step& step) {
    for (const auto& [node, follower] : followers_) send_to(step, node);
}

void Group::on(Step& step, const Proposed& proposed) {
    DLOG_ASSERT(role_ == Role::kLeader, ballot_.term, proposed.end);
    history_.extend(proposed.end);
    send_to_all(step);
}

void Group::on(Step& step, const Loaded& loaded) {
    const auto at = followers_.find(loaded.to);
    if (role_ != Role::kLeader || loaded.term != ballot_.term || at == followers_.end()) return;
    Progress& follower = at->second;
    if (follower.loading() != loaded.from) return;
    follower.loaded();
    DLOG_ASSERT(loaded.from.end < loaded.end && loaded.end <= history_.end().end, loaded.end);
    // Meanwhile the follower may have said that it has them, or the log's start may have moved.
    if (follower.next() == loaded.from && history_.contains(loaded.from)) {
        send_append(step, loaded.to, history_.position_at(loaded.end), loaded.bytes);
    }
    send_to(step, loaded.to);
}

void Group::receive(Step& step, NodeId from, const AppendReply& reply) {
    if (reply.term > ballot_.term) {
        if (role_ == Role::kLeader) resign(step, reply.term);
        return;
    }
    if (role_ != Role::kLeader || reply.term < ballot_.term) {
        return step.send(from, Resigned{.term = reply.term});
    }
    const auto at = followers_.find(from);
    if (at == followers_.end()) return;
    Progress& follower = at->second;
    if (reply.is_accepted) {
        // What this log does not go through no follower of this term can have.
        if (!history_.contains(reply.received) || reply.persisted > reply.received) return;
        follower.accepted(reply, step.now + options_.flow.retry);
        advance_commit(step);
        if (role_ != Role::kLeader) return;
        go_on_with_handover(step);
    } else {
        const LogPosition next =
            reply.received < history_.start() ? reply.received : history_.nearest(reply.received);
        if (!follower.is_answer(reply)) {
            follower.forget_news();
            return send_to(step, from);
        }
        if (next >= reply.refused) return;
        const bool is_probe = follower.state() == Progress::State::kProbe;
        if (is_probe && next < follower.match()) step.effects.forgetful = from;
        follower.refused(next);
    }
    send_to(step, from);
}

void Group::advance_commit(Step& step) {
    const auto held = [&](NodeId node) {
        if (node == self_) return persisted_;
        const auto follower = followers_.find(node);
        return follower == followers_.end() ? LogPosition{} : follower->second.match();
    };
    const LogPosition reached = reached_by_quorum(history_.configuration(), held);
    // Entries of earlier terms count only with one of this term behind them (§3.6.2).
    if (reached.term != ballot_.term || reached <= commit_) return;
    commit_ = reached;
    send_to_all(step);
    finish_change(step);
}

void Group::finish_change(Step& step) {
    const Configuration& configuration = history_.configuration();
    if (!configuration.is_joint() || commit_.term != ballot_.term || handover_to_) return;
    if (configuration.voters.find(self_) != nullptr) {
        change_ = Configuration{.voters = configuration.voters, .outgoing = {}};
        return stand(step, true);
    }
    // Who leaves does not end the change: one that stays does.
    const auto most =
        std::ranges::max_element(configuration.voters.members, {},
                                 [&](const Voter& v) { return followers_.at(v.node).match(); });
    on(step, HandOver{.to = most->node});
}

void Group::on(Step& step, const HandOver& handover) {
    const bool is_possible = accepts_proposals() && handover.to != self_ &&
                             history_.configuration().find(handover.to) != nullptr;
    if (!is_possible) return;
    handover_to_ = handover.to;
    handover_deadline_ = step.now + options_.handover;
    go_on_with_handover(step);
}

void Group::go_on_with_handover(Step& step) {
    if (!handover_to_ || is_handover_sent_) return;
    if (followers_.at(*handover_to_).match() != history_.end()) return;
    is_handover_sent_ = true;
    step.send(*handover_to_, TimeoutNow{.term = ballot_.term});
}

void Group::on(Step& step, const ChangeVoters& change) {
    const Configuration& configuration = history_.configuration();
    if (!accepts_proposals() || configuration.is_joint()) return;
    Configuration joint = joint_configuration(configuration, change.nodes, change.write_quorum);
    if (joint.voters == configuration.voters) return;
    change_ = std::move(joint);
    stand(step, true);
}

void Group::on(Step& step, const SetLearners& learners) {
    learners_ = learners.nodes;
    if (role_ != Role::kLeader) return;
    set_followers(history_.end());
    send_to_all(step);
}

}  // namespace dlog::consensus::raft
