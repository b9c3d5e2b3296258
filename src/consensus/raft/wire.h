/// Messages and pulses as bytes. The structs on the wire are generated from
/// schema/raft_messages.kafka.
#pragma once

#include "base/bytes.h"
#include "consensus/error.h"
#include "consensus/raft/liveness.h"
#include "consensus/raft/message.h"
#include "protocol/writer.h"

namespace dlog::consensus::raft {

void encode_message(protocol::Writer& writer, const Message& message);
/// All of `bytes`. What decodes is within the bounds that a Group relies on: terms and offsets are
/// not negative but for the start of a log, configurations are valid.
[[nodiscard]] Result<Message> decode_message(ByteView bytes);

void encode_pulse(protocol::Writer& writer, const Pulse& pulse);
[[nodiscard]] Result<Pulse> decode_pulse(ByteView bytes);

}  // namespace dlog::consensus::raft
