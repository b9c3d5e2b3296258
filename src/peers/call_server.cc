#include <tuple>
#include <utility>

#include "peers/arrivals.h"

namespace dlog::peers {

CallServer::CallServer(Desk& desk, port::Connection& connection, NodeId from)
    : desk_(desk), connection_(connection), from_(from) {}

port::Task<void> CallServer::receive() {
    NodeMetrics& metrics = desk_.metrics.nodes[from_];
    const FrameBounds bounds{.text_bytes = kCallTextMax};
    while (!desk_.is_stopping) {
        // Who asks and does not listen is not asked any further.
        while (unsent_bytes_ > desk_.shared.config.ahead_bytes_max) co_await written_.wait();
        auto frame = co_await read_frame(&connection_, bounds);
        if (!frame) {
            desk_.note_end(from_, frame.error());
            break;
        }
        const raft::FrameKind kind = frame->head.kind;
        const bool is_call = kind == raft::FrameKind::kRequest || kind == raft::FrameKind::kNotice;
        const auto call = is_call ? raft::decode_call(kind, frame->text.view())
                                  : std::unexpected(consensus::Error::kMalformed);
        if (!call) {
            desk_.note_end(from_, FrameFault::kMalformed);
            break;
        }
        metrics.bytes_received += frame->size_bytes();
        ++metrics.frames_received;
        Buffer body = frame->text.slice_of(call->body);
        if (kind == raft::FrameKind::kNotice) {
            ++metrics.notices_received;
            desk_.handler->notified(from_, call->code, std::move(body));
        } else if (desk_.answering[from_] >= desk_.shared.config.calls_max) {
            reply(call->correlation, std::unexpected(CallError::kOverloaded));
        } else {
            desk_.ports.spawn.spawn(answer(call->correlation, call->code, std::move(body)));
        }
    }
    connection_.close();
}

port::Task<void> CallServer::answer(std::uint64_t correlation, std::uint16_t kind, Buffer body) {
    const port::Gate::Hold hold = under_way_.enter();
    ++desk_.answering[from_];
    auto result = co_await desk_.handler->answer(from_, kind, std::move(body));
    --desk_.answering[from_];
    ++desk_.metrics.nodes[from_].calls_answered;
    reply(correlation, std::move(result));
}

void CallServer::reply(std::uint64_t correlation, std::expected<Buffer, CallError> result) {
    if (result && result->size() > raft::kCallBodyMax) {
        result = std::unexpected(CallError::kTooLarge);
    }
    raft::Call call{.correlation = correlation};
    if (result) {
        call.body = result->view();
    } else {
        call.code = static_cast<std::uint16_t>(result.error());
    }
    Buffer frame = raft::encode_call(raft::FrameKind::kAnswer, call);
    unsent_bytes_ += frame.size();
    unsent_.emplace_back(std::move(frame));
    if (std::exchange(is_writing_, true)) return;
    desk_.ports.spawn.spawn(write());
}

/// Answers that are ready while others are written go out together.
port::Task<void> CallServer::write() {
    const port::Gate::Hold hold = under_way_.enter();
    while (!unsent_.empty()) {
        const std::size_t bytes = unsent_bytes_;
        const std::size_t frames = unsent_.size();
        const auto written = co_await connection_.write(std::exchange(unsent_, {}));
        unsent_bytes_ -= bytes;
        written_.notify_all();
        if (!written) break;
        NodeMetrics& metrics = desk_.metrics.nodes[from_];
        metrics.bytes_sent += bytes;
        metrics.frames_sent += frames;
    }
    // Nobody hears what is left.
    unsent_.clear();
    unsent_bytes_ = 0;
    is_writing_ = false;
    written_.notify_all();
}

port::Task<void> CallServer::finish() {
    while (under_way_.held() > 0) co_await under_way_.left().wait();
}

}  // namespace dlog::peers
