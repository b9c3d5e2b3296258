#include "broker/affinity.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::broker {

void Affinity::visited(CoreId core, std::uint32_t partitions) {
    DLOG_ASSERT(core.value < visits_.size(), core, visits_.size());
    visits_[core.value] += partitions;
    total_ += partitions;
    if (total_ < kWindow) return;
    const auto most = std::ranges::max_element(visits_);
    const CoreId busiest(static_cast<std::uint32_t>(most - visits_.begin()));
    better_home_.reset();
    if (busiest != home_ && *most >= total_ - total_ / 8) better_home_ = busiest;
    std::ranges::fill(visits_, 0);
    total_ = 0;
}

}  // namespace dlog::broker
