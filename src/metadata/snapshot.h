/// The state as the shortest history that leads to it, with which a metadata log may begin.
#pragma once

#include <vector>

#include "metadata/records.h"
#include "metadata/state.h"

namespace dlog::metadata {

/// Folded into an empty State, the records give one that equals `state` in all that can be asked of
/// it.
[[nodiscard]] std::vector<Record> snapshot_records(const State& state);

}  // namespace dlog::metadata
