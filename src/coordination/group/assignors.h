/// Who shall read which partition: the server's assignors (KIP-848).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace dlog::coordination {

/// Partitions by topic. The numbers of a topic ascend, without doubles; no topic is without any.
using PartitionSet = std::map<TopicId, std::vector<std::int32_t>>;

struct AssignorTopic {
    TopicId id;
    std::int32_t partition_count = 0;
};
struct AssignorMember {
    std::string_view id;
    std::optional<std::string_view> instance_id;
    /// What it is subscribed to: indexes into the topics, ascending, without doubles.
    std::vector<std::uint32_t> topics;
    /// What it is to have so far. Anything may stand in it. Never null.
    const PartitionSet* current = nullptr;
};

/// One entry a member, in the order of `members`. Each partition of each topic that has subscribers
/// is given to one of them. The same arguments give the same result.
using Assignor = std::vector<PartitionSet>(std::span<const AssignorTopic> topics,
                                           std::span<const AssignorMember> members);

/// Shares out evenly, and moves no more than that takes. When all members are subscribed to the
/// same topics their shares differ by one at most, and the fewest possible partitions move.
/// Otherwise no partition could be moved alone to a member with at least two fewer, unless the
/// search for such moves is given up after a number of rounds, as Kafka does.
Assignor assign_uniformly;
/// Of each topic a range of numbers to each subscriber, in an order of the members that topics
/// share: static members by instance id, then the others by member id. So topics with as many
/// partitions and the same subscribers are shared out alike.
Assignor assign_ranges;

/// Null when there is none of this name.
[[nodiscard]] Assignor* find_assignor(std::string_view name);

}  // namespace dlog::coordination
