/// What a start finds of a compaction that did not come to its end, and what it does about it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/checkpoint.h"
#include "storage/segment.h"

namespace dlog::storage {

/// To be done in order before recovery looks at the folder, which is then synced.
struct SwapRepairs {
    /// Files to remove: rewritten segments that were not taken over, and what a rewritten segment
    /// that was takes the place of.
    std::vector<std::string> remove;
    /// Then this file becomes the segment of its base offset.
    std::optional<SwapFileName> finish;
};

/// `names` are the folder's entries; `checkpoint` its checkpoint when it has a good one. The
/// checkpoint says whether a rewritten segment is part of the log. Without one it is: it says the
/// same as what it replaces.
[[nodiscard]] SwapRepairs plan_swap_repairs(const std::vector<std::string>& names,
                                            const LogImage* checkpoint);

/// The files that go before the swap file of `swap` takes its name: all segments' and indexes' of
/// its offsets, but the .log that it replaces itself.
[[nodiscard]] std::vector<std::string> replaced_files(const std::vector<std::string>& names,
                                                      const SwapFileName& swap);

}  // namespace dlog::storage
