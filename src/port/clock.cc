#include "port/clock.h"

#include <utility>

namespace dlog::port {

Timer::~Timer() {
    if (clock_ != nullptr) clock_->disarm(*this);
}

void Clock::arm(Timer& timer, Instant deadline) {
    DLOG_ASSERT(!timer.is_armed());
    timer.clock_ = this;
    timer.deadline_ = deadline;
    timer.sequence_ = next_sequence_++;
    insert(timer);
}

void Clock::disarm(Timer& timer) {
    if (!timer.is_armed()) return;
    DLOG_ASSERT(timer.clock_ == this);
    erase(timer);
    timer.clock_ = nullptr;
}

void Clock::fire(Timer& timer) {
    DLOG_ASSERT(timer.is_armed());
    timer.clock_ = nullptr;
    timer.fired();
}

}  // namespace dlog::port
