/// Waiting for news of many partitions on many cores: the long poll of a Fetch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::broker {

struct Core;

/// A partition and how far the fetch has seen it.
struct WatchedPartition {
    TopicId topic;
    std::int32_t partition = 0;
    CoreId owner;
    Offset high_watermark;
    Offset log_start_offset;
};

/// Returns when one of `partitions` (grouped by owner) has moved since it was seen, when the node
/// stops, or at the deadline; whichever comes first. Called on `core`; whatever it left on other
/// cores ends by itself soon after.
[[nodiscard]] port::Task<void> wait_for_progress(Core& core,
                                                 std::span<const WatchedPartition> partitions,
                                                 Instant deadline);

}  // namespace dlog::broker
