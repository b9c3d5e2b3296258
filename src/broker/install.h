/// Bringing every core from one view of the topics to the next.
#pragma once

#include "broker/view.h"
#include "port/task.h"

namespace dlog::broker {

struct Core;

/// Opens the partitions that `next` adds, on their owners; then makes every core work with `next`;
/// then removes the partitions that are gone. `old` is null at the start. Called on the
/// controller's core.
[[nodiscard]] port::Task<void> install_view(Core& controller_core, ViewPtr old, ViewPtr next);

}  // namespace dlog::broker
