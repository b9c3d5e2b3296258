#include "reactor/fair_line.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::reactor {

void FairLine::wait(Share& share, std::coroutine_handle<> handle) {
    DLOG_ASSERT(handle);
    share.used_until_ = std::max(share.used_until_, now_ - std::min(now_, kCreditMax));
    heap_.push_back({.start = share.used_until_,
                     .sequence = next_sequence_++,
                     .share = &share,
                     .handle = handle});
    std::push_heap(heap_.begin(), heap_.end());
}

std::coroutine_handle<> FairLine::next() {
    DLOG_ASSERT(!heap_.empty());
    std::pop_heap(heap_.begin(), heap_.end());
    const Place place = heap_.back();
    heap_.pop_back();
    DLOG_ASSERT(place.start + kCreditMax >= now_, place.start, now_);
    now_ = std::max(now_, place.start);
    place.share->since_let_through_ = 0;
    return place.handle;
}

}  // namespace dlog::reactor
