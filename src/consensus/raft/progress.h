/// What a leader knows of one follower, and what it may send it (flow control, Raft dissertation
/// §10.2.2).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/history.h"
#include "consensus/raft/message.h"

namespace dlog::consensus::raft {

struct FlowLimits {
    /// Record bytes of one message, and of all that a follower has not answered yet.
    std::uint64_t message_bytes = std::uint64_t{1} << 20;
    std::uint64_t window_bytes = std::uint64_t{8} << 20;
    /// Messages that a follower has not answered yet.
    std::size_t window_messages = 64;
    /// After so long without an answer what was sent counts as lost.
    Duration retry = milliseconds(1'000);
};

class Progress {
  public:
    enum class State : std::uint8_t {
        kProbe,      ///< looking for where the logs are the same, one question at a time
        kReplicate,  ///< sending ahead of the answers
        kInstall,    ///< what it lacks is gone: it begins anew, which takes its time
    };

    Progress() = default;
    explicit Progress(LogPosition next) : next_(next) {}

    [[nodiscard]] State state() const { return state_; }
    /// What the follower has on stable storage, as it said itself.
    [[nodiscard]] LogPosition match() const { return match_; }
    /// What to send from.
    [[nodiscard]] LogPosition next() const { return next_; }
    /// The number of the support under which the follower follows in this term; 0 for none.
    [[nodiscard]] std::uint64_t support() const { return support_; }
    /// The number of the next question.
    [[nodiscard]] std::uint64_t next_question() const { return question_ + 1; }
    /// True when a refusal is of what was sent last, and not one that took its time.
    [[nodiscard]] bool is_answer(const AppendReply& refusal) const;
    [[nodiscard]] LogPosition commit_sent() const { return commit_sent_; }

    /// False while an answer, or records from the log, have to come first.
    [[nodiscard]] bool may_send(const FlowLimits& limits) const;
    /// Where the records begin that are being read for it.
    [[nodiscard]] std::optional<LogPosition> loading() const { return loading_; }
    /// When to give up waiting for an answer; kNever when none is owed.
    [[nodiscard]] Instant deadline() const { return deadline_; }

    void load() { loading_ = next_; }
    void loaded() { loading_.reset(); }
    void sent(const Append& append, std::uint64_t bytes, Instant deadline);
    void installing(LogPosition start, Instant deadline);
    /// The follower agrees.
    void accepted(const AppendReply& reply, Instant deadline);
    /// It does not: asks again at `next`.
    void refused(LogPosition next);
    /// News of what is committed came before what it is about, and was lost on the follower.
    void forget_news() { commit_sent_ = {}; }
    /// What was sent may be lost: finds out from what is known.
    void probe(LogPosition next);

  private:
    struct InFlight {
        LogPosition end;
        std::uint64_t bytes;
    };

    void land(const InFlight& message, bool is_first);

    State state_ = State::kProbe;
    std::optional<LogPosition> loading_;
    /// The number of the latest question, and whether its answer is awaited.
    std::uint64_t question_ = 0;
    bool is_awaiting_ = false;
    std::uint64_t support_ = 0;
    LogPosition match_;
    LogPosition next_;
    LogPosition commit_sent_;
    Instant deadline_ = kNever;
    std::deque<InFlight> in_flight_;
    std::uint64_t in_flight_bytes_ = 0;
};

}  // namespace dlog::consensus::raft
