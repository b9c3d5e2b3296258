#include "peers/calls.h"

#include <utility>
#include <vector>

#include "base/assert.h"
#include "consensus/raft/frame.h"

namespace dlog::peers {

namespace raft = consensus::raft;

namespace {

CallError error_of(std::uint16_t code) {
    const bool is_known = code >= static_cast<std::uint16_t>(CallError::kUnreachable) &&
                          code <= static_cast<std::uint16_t>(CallError::kStopping);
    return is_known ? static_cast<CallError>(code) : CallError::kRefused;
}

}  // namespace

port::Task<Calls::Result> Calls::Pending::wait(Instant deadline) {
    while (!result_) {
        const bool in_time = co_await done_.wait_until(owner_.clock_, deadline);
        if (!in_time && !result_) result_ = std::unexpected(CallError::kTimedOut);
    }
    if (!*result_) ++owner_.metrics_.calls_failed;
    co_return *std::move(result_);
}

std::optional<CallError> Calls::refusal(const Buffer& body) const {
    if (body.size() > raft::kCallBodyMax) return CallError::kTooLarge;
    const bool is_full = pending_.size() >= limits_.calls ||
                         (!queue_.empty() && size_bytes_ + body.size() > limits_.queue_bytes);
    if (is_full) return CallError::kOverloaded;
    return std::nullopt;
}

std::uint64_t Calls::request(std::uint16_t kind, const Buffer& body) {
    DLOG_ASSERT(!refusal(body));
    const std::uint64_t number = next_number_++;
    queue_.push_back(
        {.number = number,
         .frame = raft::encode_call(raft::FrameKind::kRequest,
                                    {.correlation = number, .code = kind, .body = body.view()})});
    size_bytes_ += queue_.back().frame.size();
    ++metrics_.calls_sent;
    return number;
}

void Calls::notice(std::uint16_t kind, const Buffer& body) {
    DLOG_ASSERT(body.size() <= raft::kCallBodyMax, body.size());
    if (!queue_.empty() && size_bytes_ + body.size() > limits_.queue_bytes) {
        ++metrics_.notices_dropped;
        return;
    }
    queue_.push_back({.frame = raft::encode_call(raft::FrameKind::kNotice,
                                                 {.code = kind, .body = body.view()})});
    size_bytes_ += queue_.back().frame.size();
}

Cargo::Load Calls::take() {
    Load load;
    std::size_t bytes = 0;
    while (!queue_.empty() && bytes < limits_.write_bytes) {
        Entry entry = std::move(queue_.front());
        queue_.pop_front();
        size_bytes_ -= entry.frame.size();
        if (entry.number != 0) {
            const auto at = pending_.find(entry.number);
            // Nobody waits for it any more.
            if (at == pending_.end()) continue;
            at->second->is_sent_ = true;
        } else {
            ++metrics_.notices_sent;
        }
        bytes += entry.frame.size();
        ++load.frames;
        load.parts.emplace_back(std::move(entry.frame));
    }
    return load;
}

void Calls::drop() {
    clear();
    fail_all(std::nullopt);
}

void Calls::stop() {
    clear();
    fail_all(CallError::kStopping);
}

void Calls::clear() {
    for (const Entry& entry : queue_) metrics_.notices_dropped += entry.number == 0 ? 1 : 0;
    queue_.clear();
    size_bytes_ = 0;
}

void Calls::fail_all(std::optional<CallError> error) {
    // What is resumed may begin new calls, which are not meant.
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, pending] : pending_) numbers.push_back(number);
    for (const std::uint64_t number : numbers) {
        const auto at = pending_.find(number);
        if (at == pending_.end() || at->second->result_) continue;
        Pending& pending = *at->second;
        const CallError plain = pending.is_sent_ ? CallError::kLost : CallError::kUnreachable;
        pending.result_ = std::unexpected(error.value_or(plain));
        pending.done_.notify_all();
    }
}

bool Calls::came(Frame frame) {
    if (frame.head.kind != raft::FrameKind::kAnswer) return false;
    const auto answer = raft::decode_call(frame.head.kind, frame.text.view());
    if (!answer) return false;
    const auto at = pending_.find(answer->correlation);
    // Too late.
    if (at == pending_.end() || at->second->result_) return true;
    Pending& pending = *at->second;
    if (answer->code == 0) {
        pending.result_ = frame.text.slice_of(answer->body);
    } else {
        pending.result_ = std::unexpected(error_of(answer->code));
    }
    pending.done_.notify_all();
    return true;
}

}  // namespace dlog::peers
