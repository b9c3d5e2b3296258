/// The sets of operations that responses name as allowed. This node has no access rules yet, so
/// everything is.
#pragma once

#include <cstdint>

namespace dlog::broker {

// Bits are the numbers of Kafka's AclOperation.
inline constexpr std::int32_t kTopicOperations =
    (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 8) | (1 << 10) | (1 << 11);
/// Read, delete, describe, describe and alter configurations.
inline constexpr std::int32_t kGroupOperations =
    (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11);
inline constexpr std::int32_t kClusterOperations =
    (1 << 5) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10) | (1 << 11) | (1 << 12);
/// Not asked for.
inline constexpr std::int32_t kNoOperations = INT32_MIN;

}  // namespace dlog::broker
