#include "consensus/raft/frame.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/result.h"
#include "codec/crc32c.h"
#include "consensus/messages/raft_messages.h"
#include "consensus/raft/wire.h"
#include "consensus/raft/wire_epochs.h"
#include "protocol/record_variant.h"

namespace dlog::consensus::raft {

namespace {

constexpr std::uint32_t kMagic = 0x50474c44;  // "DLGP"
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kCrcAt = 16;
constexpr std::size_t kCallHeadBytes = 10;
constexpr std::int32_t kGreetingCoreMax = 1'023;

constexpr bool is_call(FrameKind kind) {
    return kind >= FrameKind::kRequest && kind <= FrameKind::kNotice;
}

Buffer frame(FrameKind kind, ByteView text, std::uint64_t records_bytes) {
    DLOG_ASSERT(text.size() <= kFrameTextMax, text.size());
    DLOG_ASSERT(records_bytes <= kFrameRecordsMax, records_bytes);
    Buffer bytes = Buffer::allocate(kFrameHeadBytes + text.size());
    std::uint8_t* head = bytes.mutable_data();
    store_little_endian(head, kMagic);
    head[4] = kVersion;
    head[5] = static_cast<std::uint8_t>(kind);
    store_little_endian(head + 6, std::uint16_t{0});
    store_little_endian(head + 8, static_cast<std::uint32_t>(text.size()));
    store_little_endian(head + 12, static_cast<std::uint32_t>(records_bytes));
    const std::uint32_t crc = codec::crc32c(bytes.view().first(kCrcAt));
    store_little_endian(head + kCrcAt, codec::extend_crc32c(crc, text));
    std::ranges::copy(text, head + kFrameHeadBytes);
    return bytes;
}

}  // namespace

Buffer encode_greeting(const Greeting& greeting) {
    GreetingRecord record;
    record.cluster_id = greeting.cluster_id;
    record.from = greeting.from.value;
    record.to = greeting.to.value;
    record.incarnation = static_cast<std::int64_t>(greeting.incarnation);
    record.purpose = static_cast<std::int8_t>(greeting.purpose);
    record.core = static_cast<std::int32_t>(greeting.core.value);
    protocol::Writer writer;
    const auto written =
        protocol::write_record(writer, std::variant<GreetingRecord>(std::move(record)));
    DLOG_ASSERT(written.has_value());
    return frame(FrameKind::kGreeting, writer.view(), 0);
}

Buffer encode_pulse_frame(const Pulse& pulse) {
    protocol::Writer writer;
    encode_pulse(writer, pulse);
    return frame(FrameKind::kPulse, writer.view(), 0);
}

Buffer encode_envelopes(std::span<const Envelope> envelopes) {
    protocol::Writer text;
    std::uint64_t records_bytes = 0;
    for (const Envelope& envelope : envelopes) {
        protocol::Writer message;
        encode_message(message, envelope.message);
        text.write(envelope.group.topic);
        text.write(envelope.group.partition.value);
        text.write(envelope.records_bytes);
        text.bytes(message.view(), true);
        records_bytes += envelope.records_bytes;
    }
    return frame(FrameKind::kMessages, text.view(), records_bytes);
}

Buffer encode_call(FrameKind kind, const Call& call) {
    DLOG_ASSERT(is_call(kind), kind);
    DLOG_ASSERT(call.body.size() <= kCallBodyMax, call.body.size());
    std::vector<std::uint8_t> text(kCallHeadBytes);
    store_little_endian(text.data(), call.correlation);
    store_little_endian(text.data() + 8, call.code);
    text.insert(text.end(), call.body.begin(), call.body.end());
    return frame(kind, text, 0);
}

Result<FrameHead> decode_frame_head(ByteView head) {
    DLOG_ASSERT(head.size() == kFrameHeadBytes, head.size());
    const std::uint8_t* at = head.data();
    if (load_little_endian<std::uint32_t>(at) != kMagic) return std::unexpected(Error::kMalformed);
    if (at[4] != kVersion) return std::unexpected(Error::kUnsupportedVersion);
    const FrameHead decoded{.kind = static_cast<FrameKind>(at[5]),
                            .text_bytes = load_little_endian<std::uint32_t>(at + 8),
                            .records_bytes = load_little_endian<std::uint32_t>(at + 12),
                            .crc = load_little_endian<std::uint32_t>(at + kCrcAt)};
    const bool is_kind = at[5] >= static_cast<std::uint8_t>(FrameKind::kGreeting) &&
                         at[5] <= static_cast<std::uint8_t>(FrameKind::kNotice);
    const bool is_in_bounds = decoded.text_bytes <= kFrameTextMax &&
                              decoded.records_bytes <= kFrameRecordsMax &&
                              (decoded.records_bytes == 0 || decoded.kind == FrameKind::kMessages);
    if (!is_kind || !is_in_bounds || load_little_endian<std::uint16_t>(at + 6) != 0) {
        return std::unexpected(Error::kMalformed);
    }
    return decoded;
}

bool is_intact(ByteView head, ByteView text) {
    DLOG_ASSERT(head.size() == kFrameHeadBytes, head.size());
    const std::uint32_t crc = codec::crc32c(head.first(kCrcAt));
    return codec::extend_crc32c(crc, text) ==
           load_little_endian<std::uint32_t>(head.data() + kCrcAt);
}

Result<Greeting> decode_greeting(ByteView text) {
    DLOG_TRY_ASSIGN(const auto record, read_wire<std::variant<GreetingRecord>>(text));
    const GreetingRecord& wire = std::get<GreetingRecord>(record);
    const bool is_in_bounds = wire.incarnation > 0 && wire.from >= 0 && wire.to >= 0 &&
                              wire.purpose >= static_cast<std::int8_t>(Purpose::kMessages) &&
                              wire.purpose <= static_cast<std::int8_t>(Purpose::kPulses) &&
                              wire.core >= 0 && wire.core <= kGreetingCoreMax;
    if (!is_in_bounds) return std::unexpected(Error::kMalformed);
    return Greeting{.cluster_id = wire.cluster_id,
                    .from = NodeId(wire.from),
                    .to = NodeId(wire.to),
                    .incarnation = static_cast<std::uint64_t>(wire.incarnation),
                    .purpose = static_cast<Purpose>(wire.purpose),
                    .core = CoreId(static_cast<std::uint32_t>(wire.core))};
}

Result<std::vector<Envelope>> decode_envelopes(ByteView text, std::uint32_t records_bytes) {
    protocol::Reader reader(text);
    std::vector<Envelope> envelopes;
    std::uint64_t total = 0;
    while (reader.ok() && reader.remaining() > 0) {
        Envelope envelope;
        std::int32_t partition = 0;
        protocol::Bytes message;
        reader.read(envelope.group.topic);
        reader.read(partition);
        reader.read(envelope.records_bytes);
        reader.bytes(message, true);
        if (!reader.ok()) break;
        DLOG_TRY_ASSIGN(envelope.message, decode_message(message));
        envelope.group.partition = PartitionId(partition);
        const bool has_records = envelope.records_bytes != 0;
        if (has_records && !std::holds_alternative<Append>(envelope.message)) {
            return std::unexpected(Error::kMalformed);
        }
        total += envelope.records_bytes;
        envelopes.push_back(std::move(envelope));
    }
    if (!reader.ok() || total != records_bytes) return std::unexpected(Error::kMalformed);
    return envelopes;
}

Result<Call> decode_call(FrameKind kind, ByteView text) {
    DLOG_ASSERT(is_call(kind), kind);
    if (text.size() < kCallHeadBytes || text.size() - kCallHeadBytes > kCallBodyMax) {
        return std::unexpected(Error::kMalformed);
    }
    const Call call{.correlation = load_little_endian<std::uint64_t>(text.data()),
                    .code = load_little_endian<std::uint16_t>(text.data() + 8),
                    .body = text.subspan(kCallHeadBytes)};
    // A notice has no answer, whatever is answered has a number.
    if ((call.correlation == 0) != (kind == FrameKind::kNotice)) {
        return std::unexpected(Error::kMalformed);
    }
    return call;
}

}  // namespace dlog::consensus::raft
