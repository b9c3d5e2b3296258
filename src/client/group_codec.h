/// The bytes in which members of a classic group tell each other what they want and what they get
/// (the protocol of consumers, ConsumerProtocolSubscription and ConsumerProtocolAssignment).
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "client/assignors.h"
#include "client/error.h"

namespace dlog::client {

[[nodiscard]] Buffer encode_subscription(const Subscription& subscription);
/// Of other members: kBadResponse when they are not what the protocol says. The ids are left empty.
[[nodiscard]] Result<Subscription> decode_subscription(ByteView bytes);

[[nodiscard]] Buffer encode_assignment(const TopicPartitions& assigned);
/// No bytes: nothing is assigned.
[[nodiscard]] Result<TopicPartitions> decode_assignment(ByteView bytes);

}  // namespace dlog::client
