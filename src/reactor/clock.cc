#include "reactor/clock.h"

#include <time.h>

#include <algorithm>

#include "base/assert.h"

namespace dlog::reactor {

namespace {

constexpr std::size_t kFanOut = 4;

std::int64_t read_clock_ns(clockid_t id) {
    timespec time{};
    const int status = ::clock_gettime(id, &time);
    DLOG_ASSERT(status == 0, status);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Timestamp CoreClock::wall_now() const {
    return Timestamp{read_clock_ns(CLOCK_REALTIME) / 1'000'000};
}

Instant CoreClock::exact_now() const {
    return Instant{read_clock_ns(CLOCK_MONOTONIC)};
}

void CoreClock::refresh() {
    now_ = exact_now();
}

void CoreClock::fire_due() {
    // At most as many as are armed now: one that arms itself again for the past cannot keep the
    // loop here.
    for (std::size_t left = heap_.size(); left > 0 && !heap_.empty(); --left) {
        if (heap_.front().deadline > now_) return;
        port::Timer& timer = *heap_.front().timer;
        erase(timer);
        fire(timer);
    }
}

Instant CoreClock::next_deadline() const {
    return heap_.empty() ? kNever : heap_.front().deadline;
}

void CoreClock::insert(port::Timer& timer) {
    heap_.emplace_back();
    sift_up(heap_.size() - 1, Entry{timer.deadline(), sequence_of(timer), &timer});
}

void CoreClock::erase(port::Timer& timer) {
    const std::size_t slot = slot_of(timer);
    DLOG_ASSERT(slot < heap_.size() && heap_[slot].timer == &timer, slot, heap_.size());
    const Entry last = heap_.back();
    heap_.pop_back();
    if (last.timer == &timer) return;
    if (slot > 0 && last.is_before(heap_[(slot - 1) / kFanOut])) {
        sift_up(slot, last);
    } else {
        sift_down(slot, last);
    }
}

void CoreClock::place(std::size_t slot, const Entry& entry) {
    heap_[slot] = entry;
    slot_of(*entry.timer) = slot;
}

void CoreClock::sift_up(std::size_t slot, const Entry& entry) {
    while (slot > 0) {
        const std::size_t parent = (slot - 1) / kFanOut;
        if (!entry.is_before(heap_[parent])) break;
        place(slot, heap_[parent]);
        slot = parent;
    }
    place(slot, entry);
}

void CoreClock::sift_down(std::size_t slot, const Entry& entry) {
    for (;;) {
        const std::size_t first = slot * kFanOut + 1;
        if (first >= heap_.size()) break;
        const std::size_t end = std::min(first + kFanOut, heap_.size());
        std::size_t least = first;
        for (std::size_t child = first + 1; child < end; ++child) {
            if (heap_[child].is_before(heap_[least])) least = child;
        }
        if (!heap_[least].is_before(entry)) break;
        place(slot, heap_[least]);
        slot = least;
    }
    place(slot, entry);
}

}  // namespace dlog::reactor
