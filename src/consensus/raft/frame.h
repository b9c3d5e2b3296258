/// What travels between two nodes: a greeting, then frames of many groups' messages, each with the
/// records that go beside it, or pulses, or calls and their answers
/// (docs/formats/between-nodes.md).
///
/// Little-endian:
///
///     at  width
///     0   4      "DLGP"
///     4   1      version of the frame, 1
///     5   1      kind
///     6   2      0
///     8   4      length of the text
///     12  4      length of the records, which follow the text
///     16  4      CRC-32C of the bytes 0 to 15 and the text; batches have checksums of their own
///     20         text, then records
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/error.h"
#include "consensus/raft/journal.h"
#include "consensus/raft/liveness.h"
#include "consensus/raft/message.h"

namespace dlog::consensus::raft {

inline constexpr std::size_t kFrameHeadBytes = 20;
inline constexpr std::uint32_t kFrameTextMax = 16 << 20;
inline constexpr std::uint32_t kFrameRecordsMax = 64 << 20;
/// What a call, its answer or a notice may say.
inline constexpr std::uint32_t kCallBodyMax = 8 << 20;

enum class FrameKind : std::uint8_t {
    kGreeting = 1,  ///< the first of each side
    kPulse = 2,
    kMessages = 3,
    kRequest = 4,
    kAnswer = 5,
    kNotice = 6,
};

/// What a connection is for. Kinds that must not wait for each other have connections of their own.
enum class Purpose : std::uint8_t {
    kMessages = 0,
    kCalls = 1,
    kPulses = 2,
};

/// Who speaks. A node answers only to nodes of its own cluster. Who opened the connection says what
/// it is for and which of its cores sends on it; who answers says the same.
struct Greeting {
    std::string cluster_id;
    NodeId from;
    NodeId to;
    std::uint64_t incarnation = 0;
    Purpose purpose = Purpose::kMessages;
    CoreId core;
    bool operator==(const Greeting&) const = default;
};

/// A group's message, and how many bytes of records go beside it.
struct Envelope {
    GroupId group;
    Message message;
    std::uint32_t records_bytes = 0;
    bool operator==(const Envelope&) const = default;
};

/// A request, an answer or a notice. `code` is what is asked for, or how it went: 0 well.
/// `correlation` tells which request is answered; 0 in a notice.
struct Call {
    std::uint64_t correlation = 0;
    std::uint16_t code = 0;
    ByteView body;
};

struct FrameHead {
    FrameKind kind = FrameKind::kGreeting;
    std::uint32_t text_bytes = 0;
    std::uint32_t records_bytes = 0;
    std::uint32_t crc = 0;
    bool operator==(const FrameHead&) const = default;
};

/// Head and text; the records follow, in the order of the envelopes.
[[nodiscard]] Buffer encode_greeting(const Greeting& greeting);
[[nodiscard]] Buffer encode_pulse_frame(const Pulse& pulse);
[[nodiscard]] Buffer encode_envelopes(std::span<const Envelope> envelopes);
/// `kind` is one of the three that are calls; the body has at most kCallBodyMax bytes.
[[nodiscard]] Buffer encode_call(FrameKind kind, const Call& call);

/// `head` has kFrameHeadBytes. kMalformed also for lengths above the bounds; kUnsupportedVersion
/// for a frame of a newer program.
[[nodiscard]] Result<FrameHead> decode_frame_head(ByteView head);
/// Whether head and text arrived as they were sent.
[[nodiscard]] bool is_intact(ByteView head, ByteView text);

[[nodiscard]] Result<Greeting> decode_greeting(ByteView text);
/// The records of all envelopes are `records_bytes` together.
[[nodiscard]] Result<std::vector<Envelope>> decode_envelopes(ByteView text,
                                                             std::uint32_t records_bytes);
/// The body lies within `text`.
[[nodiscard]] Result<Call> decode_call(FrameKind kind, ByteView text);

}  // namespace dlog::consensus::raft
