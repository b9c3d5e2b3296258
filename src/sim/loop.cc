#include "sim/loop.h"

#include <utility>

#include "base/assert.h"
#include "port/teardown.h"

namespace dlog::sim {

EventId Loop::schedule(Instant at, Place* place, Action action) {
    const EventId id{.time = at < now_ ? now_ : at, .sequence = next_sequence_++};
    events_.emplace(id, Event{place, place != nullptr ? place->life : 0, std::move(action)});
    return id;
}

bool Loop::cancel(EventId id) {
    return events_.erase(id) != 0;
}

void Loop::step() {
    DLOG_ASSERT(!events_.empty() && !is_stepping_);
    auto node = events_.extract(events_.begin());
    const EventId id = node.key();
    Event& event = node.mapped();
    DLOG_ASSERT(id.time >= now_, id.time.ns, now_.ns);
    now_ = id.time;
    if (event.place != nullptr && event.life != event.place->life) return;
    const std::uint64_t where =
        event.place != nullptr
            ? (static_cast<std::uint64_t>(event.place->host + 1) << 16 | event.place->core)
            : 0;
    effects_.fold(Effect::kEvent, static_cast<std::uint64_t>(now_.ns), where);
    is_stepping_ = true;
    {
        const Running running(*this, event.place);
        event.action();
    }
    is_stepping_ = false;
}

void Loop::advance(Instant until) {
    DLOG_ASSERT(events_.empty() || next_time() >= until, until.ns);
    if (until > now_) now_ = until;
}

void Loop::assert_may_use(const Place& place) const {
    if (current_ == nullptr) return;
    // A core's ports belong to that core alone: this is a data race in the real program.
    DLOG_ASSERT(current_ == &place, current_->host, current_->core, place.host, place.core);
}

Pause::~Pause() {
    if (event_.is_set()) loop_.cancel(event_);
}

void Pause::await_suspend(std::coroutine_handle<> handle) {
    event_ = loop_.schedule(until_, &place_, [this, handle] {
        event_ = EventId{};
        handle.resume();
    });
}

Doorbell::~Doorbell() {
    DLOG_ASSERT(waiter_ == nullptr || port::Teardown::is_under_way());
    if (waiter_ != nullptr) waiter_->leave();
}

void Doorbell::ring() {
    if (waiter_ == nullptr || waiter_->event_.is_set()) return;
    Wait* const waiter = waiter_;
    waiter->event_ = waiter->loop_.schedule(waiter->loop_.now(), &waiter->place_, [waiter] {
        const std::coroutine_handle<> handle = waiter->handle_;
        waiter->event_ = EventId{};
        waiter->leave();
        handle.resume();
    });
}

Doorbell::Wait::~Wait() {
    leave();
}

void Doorbell::Wait::leave() {
    if (event_.is_set()) loop_.cancel(event_);
    event_ = EventId{};
    if (bell_ != nullptr && bell_->waiter_ == this) bell_->waiter_ = nullptr;
    bell_ = nullptr;
}

void Doorbell::Wait::await_suspend(std::coroutine_handle<> handle) {
    DLOG_ASSERT(bell_->waiter_ == nullptr);
    bell_->waiter_ = this;
    handle_ = handle;
}

}  // namespace dlog::sim
