/// Who of a group's consumers reads which partitions, as the group's leader decides it. The names
/// and the rules are those of Kafka's Java client and librdkafka, so that groups may be mixed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::client {

using TopicPartitions = std::map<std::string, std::vector<std::int32_t>>;

/// What a consumer says of itself when it joins (ConsumerProtocolSubscription).
struct Subscription {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::vector<std::string> topics;
    /// What it holds, and the generation that gave it that; -1 when it did not say.
    TopicPartitions owned;
    std::int32_t generation = -1;
};

/// By topic; a topic that is not there is missing.
using PartitionCounts = std::map<std::string, std::int32_t>;
/// By member id; every member is in it.
using Assignments = std::map<std::string, TopicPartitions>;

inline constexpr std::string_view kRangeName = "range";
inline constexpr std::string_view kCooperativeStickyName = "cooperative-sticky";

/// Topic by topic, the partitions in even runs over its subscribers in the order of their instance
/// ids, then of their member ids.
[[nodiscard]] Assignments assign_range(std::vector<Subscription> members,
                                       const PartitionCounts& counts);

/// As even as the subscriptions allow while as many partitions as possible stay where they are.
/// A partition that another member holds still is given to nobody: that member gives it up and
/// joins again, and the next round hands it out (KIP-429).
[[nodiscard]] Assignments assign_cooperative_sticky(const std::vector<Subscription>& members,
                                                    const PartitionCounts& counts);

/// The partitions of `all` that are not in `some`.
[[nodiscard]] TopicPartitions without(const TopicPartitions& all, const TopicPartitions& some);

}  // namespace dlog::client
