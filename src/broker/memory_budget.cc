#include "broker/memory_budget.h"

#include <algorithm>

namespace dlog::broker {

port::Task<MemoryBudget::Hold> MemoryBudget::take(std::size_t bytes) {
    while (!is_closed_ && used_ > 0 && bytes > bytes_max_ - std::min(used_, bytes_max_)) {
        co_await freed_.wait();
    }
    if (is_closed_) co_return Hold{};
    used_ += bytes;
    co_return Hold(this, bytes);
}

void MemoryBudget::close() {
    is_closed_ = true;
    freed_.notify_all();
}

void MemoryBudget::give_back(std::size_t bytes) {
    DLOG_ASSERT(used_ >= bytes, used_, bytes);
    used_ -= bytes;
    freed_.notify_all();
}

}  // namespace dlog::broker
