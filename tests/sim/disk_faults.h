/// The faults that a run inflicts on a node's host between spans of quiet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "history.h"
#include "sim/world.h"

namespace dlog::simtest {

/// A batch as it lies in a segment file.
struct BatchAt {
    std::uint64_t position = 0;
    std::uint64_t size_bytes = 0;
    std::int64_t first_offset = 0;
    std::int64_t last_offset = 0;
};
/// The batches of a segment's bytes, up to the first that is none.
[[nodiscard]] std::vector<BatchAt> batches_of(const std::vector<std::uint8_t>& segment);

/// Flips one bit in a batch of a sealed segment of the partition in `folder`, below the recovery
/// point of its checkpoint, and says which batch; size 0 when there is none. Behind that point a
/// damaged batch looks like one that a power loss tore before it was acknowledged.
[[nodiscard]] BatchAt flip_in_sealed_segment(sim::Host& host, Random& random,
                                             std::string_view folder);

/// A canary: takes a batch behind the recovery point out of the partition's newest segment, and
/// moves what follows it to its place and offsets, so that the log looks whole. False when there
/// are too few batches.
bool cut_out_batch(sim::Host& host, Random& random, std::string_view folder);

/// Turns on one random fault of the disk: stalled, full, failing writes, failing syncs, slow,
/// and says which. `sim::World::heal` ends it.
std::string_view inflict_disk_fault(sim::World& world, sim::Host& host, Random& random);

}  // namespace dlog::simtest
