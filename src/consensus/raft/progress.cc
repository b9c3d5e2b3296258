#include "consensus/raft/progress.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::consensus::raft {

bool Progress::may_send(const FlowLimits& limits) const {
    if (loading_) return false;
    if (state_ == State::kProbe) return !is_awaiting_;
    return state_ == State::kReplicate && in_flight_.size() < limits.window_messages &&
           in_flight_bytes_ < limits.window_bytes;
}

void Progress::sent(const Append& append, std::uint64_t bytes, Instant deadline) {
    DLOG_ASSERT(append.previous == next_, append.previous.end, next_.end);
    commit_sent_ = std::max(commit_sent_, std::min(append.commit, append.end));
    if (append.question != 0) {
        DLOG_ASSERT(append.question == next_question(), append.question, question_);
        question_ = append.question;
        is_awaiting_ = true;
    }
    if (append.end != next_) {
        DLOG_ASSERT(state_ == State::kReplicate);
        next_ = append.end;
        in_flight_.push_back({.end = append.end, .bytes = bytes});
        in_flight_bytes_ += bytes;
    }
    if (deadline_ == kNever && (is_awaiting_ || !in_flight_.empty())) deadline_ = deadline;
}

bool Progress::is_answer(const AppendReply& refusal) const {
    if (state_ == State::kProbe) return is_awaiting_ && refusal.question == question_;
    return state_ == State::kReplicate && refusal.refused > match_;
}

void Progress::installing(LogPosition start, Instant deadline) {
    state_ = State::kInstall;
    next_ = start;
    deadline_ = deadline;
}

void Progress::accepted(const AppendReply& reply, Instant deadline) {
    match_ = std::max(match_, reply.persisted);
    support_ = reply.support;
    is_awaiting_ = false;
    if (state_ == State::kReplicate) {
        next_ = std::max(next_, reply.received);
    } else {
        state_ = State::kReplicate;
        next_ = reply.received;
        while (!in_flight_.empty() && in_flight_.back().end > next_) land(in_flight_.back(), false);
    }
    while (!in_flight_.empty() && in_flight_.front().end <= match_) land(in_flight_.front(), true);
    deadline_ = in_flight_.empty() ? kNever : deadline;
}

void Progress::land(const InFlight& message, bool is_first) {
    DLOG_ASSERT(message.bytes <= in_flight_bytes_, message.bytes, in_flight_bytes_);
    in_flight_bytes_ -= message.bytes;
    if (is_first) {
        in_flight_.pop_front();
    } else {
        in_flight_.pop_back();
    }
}

void Progress::refused(LogPosition next) {
    // Only a follower that lost what it had said was on stable storage asks for less than that.
    if (state_ == State::kProbe) match_ = std::min(match_, next);
    probe(std::max(match_, next));
}

void Progress::probe(LogPosition next) {
    state_ = State::kProbe;
    is_awaiting_ = false;
    loading_.reset();
    next_ = next;
    deadline_ = kNever;
    commit_sent_ = {};
}

}  // namespace dlog::consensus::raft
