/// What classic members of type "consumer" put into the opaque bytes of JoinGroup and SyncGroup.
#pragma once

#include <optional>

#include "base/buffer.h"
#include "base/bytes.h"
#include "coordination/group/input.h"
#include "protocol/messages/consumer_protocol.h"

namespace dlog::coordination {

inline constexpr std::string_view kEmbeddedProtocolType = "consumer";

// Later versions only add to the end and are read as the newest known. None when the bytes make no
// sense.
[[nodiscard]] std::optional<protocol::ConsumerProtocolSubscription> decode_subscription(
    ByteView bytes);
/// No bytes are an assignment of nothing.
[[nodiscard]] std::optional<protocol::ConsumerProtocolAssignment> decode_assignment(ByteView bytes);
/// In the version of the subscription that it answers.
[[nodiscard]] Buffer encode_assignment(const protocol::ConsumerProtocolAssignment& assignment,
                                       ByteView subscription);

}  // namespace dlog::coordination
