/// What is asked of each leader about offsets of its partitions.
#pragma once

#include <cstdint>
#include <map>

#include "base/ids.h"
#include "base/time.h"
#include "client/cluster.h"
#include "protocol/messages/list_offsets.h"

namespace dlog::client {

using OffsetRequests = std::map<NodeId, protocol::ListOffsetsRequest>;

/// Adds a partition of `topic` to what its leader is asked, unless it has none. Those of one topic
/// come one after the other.
void ask_for_offset(OffsetRequests& requests, const TopicInfo& topic, std::int32_t partition,
                    Timestamp time);

}  // namespace dlog::client
