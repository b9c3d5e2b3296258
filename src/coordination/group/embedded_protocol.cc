#include "coordination/group/embedded_protocol.h"

#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace dlog::coordination {

namespace {

template <class Message>
std::optional<Message> decode(ByteView bytes) {
    protocol::Reader reader(bytes);
    std::int16_t version = 0;
    reader.read(version);
    if (!reader.ok() || version < 0) return std::nullopt;
    auto decoded = Message::decode(reader, std::min(version, Message::kHighestVersion));
    if (!decoded) return std::nullopt;
    return *std::move(decoded);
}

}  // namespace

std::optional<protocol::ConsumerProtocolSubscription> decode_subscription(ByteView bytes) {
    return decode<protocol::ConsumerProtocolSubscription>(bytes);
}

std::optional<protocol::ConsumerProtocolAssignment> decode_assignment(ByteView bytes) {
    if (bytes.empty()) return protocol::ConsumerProtocolAssignment{};
    return decode<protocol::ConsumerProtocolAssignment>(bytes);
}

Buffer encode_assignment(const protocol::ConsumerProtocolAssignment& assignment,
                         ByteView subscription) {
    std::int16_t version = 0;
    protocol::Reader reader(subscription);
    reader.read(version);
    version = std::clamp<std::int16_t>(reader.ok() ? version : std::int16_t{0}, 0,
                                       protocol::ConsumerProtocolAssignment::kHighestVersion);
    protocol::Writer writer;
    writer.write(version);
    const auto encoded = assignment.encode(writer, version);
    // Names of topics are short, and the versions have the same fields.
    DLOG_ASSERT(encoded.has_value(), version);
    return writer.take();
}

}  // namespace dlog::coordination
