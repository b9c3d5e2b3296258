/// Any bytes as a message, a pulse, the text of each kind of frame, and a journal: what is refused
/// is refused, and what is taken comes back the same when it is written again.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "consensus/raft/frame.h"
#include "consensus/raft/journal.h"
#include "consensus/raft/wire.h"

using namespace dlog;
using namespace dlog::consensus::raft;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    if (const auto message = decode_message(bytes)) {
        protocol::Writer writer;
        encode_message(writer, *message);
        const auto again = decode_message(writer.view());
        DLOG_ASSERT(again.has_value() && *again == *message);
    }
    if (const auto pulse = decode_pulse(bytes)) {
        protocol::Writer writer;
        encode_pulse(writer, *pulse);
        DLOG_ASSERT(decode_pulse(writer.view()) == *pulse);
    }
    if (const auto envelopes = decode_envelopes(bytes, 0)) {
        const Buffer frame = encode_envelopes(*envelopes);
        DLOG_ASSERT(decode_envelopes(frame.view().subspan(kFrameHeadBytes), 0) == *envelopes);
    }
    if (const auto greeting = decode_greeting(bytes)) {
        const Buffer frame = encode_greeting(*greeting);
        DLOG_ASSERT(decode_greeting(frame.view().subspan(kFrameHeadBytes)) == *greeting);
    }
    for (const FrameKind kind : {FrameKind::kRequest, FrameKind::kNotice}) {
        if (const auto call = decode_call(kind, bytes)) {
            const Buffer frame = encode_call(kind, *call);
            DLOG_ASSERT(std::ranges::equal(frame.view().subspan(kFrameHeadBytes), bytes));
        }
    }
    if (const auto image = read_journal(bytes)) {
        DLOG_ASSERT(image->size_bytes <= size, image->size_bytes, size);
        const Buffer anew = begin_journal(image->groups);
        const auto again = read_journal(anew.view());
        DLOG_ASSERT(again.has_value() && again->groups == image->groups);
        for (const auto& [id, state] : image->groups) {
            const Offset end = state.epochs.back().start + 10;
            const auto history = recover_history(state, state.epochs.front().start, end);
            if (history) DLOG_ASSERT(history->end().end == end, end);
        }
    }
    return 0;
}
