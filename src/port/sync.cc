#include "port/sync.h"

namespace dlog::port {

Notifier::Waiter Notifier::wait() {
    return Waiter(*this, nullptr, kNever);
}

Notifier::Waiter Notifier::wait_until(Clock& clock, Instant deadline) {
    return Waiter(*this, &clock, deadline);
}

void Notifier::Waiter::await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    previous_ = owner_.last_;
    if (owner_.last_ != nullptr) owner_.last_->next_ = this;
    owner_.last_ = this;
    if (owner_.first_ == nullptr) owner_.first_ = this;
    if (clock_ != nullptr && wanted_ != kNever) clock_->arm(*this, wanted_);
}

void Notifier::Waiter::fired() {
    owner_.unlink(*this);
    was_notified_ = false;
    handle_.resume();
}

void Notifier::unlink(Waiter& waiter) {
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.previous_ = nullptr;
    waiter.next_ = nullptr;
}

void Notifier::notify_all() {
    // A resumed coroutine may wait here again, or its timer may resume another waiter: each round
    // takes the first of those who were waiting when the call came, which stay in front of any
    // newcomer.
    Waiter* const newest = last_;
    while (first_ != nullptr) {
        Waiter* const waiter = first_;
        const bool is_newest = waiter == newest;
        unlink(*waiter);
        if (waiter->clock_ != nullptr) waiter->clock_->disarm(*waiter);
        waiter->was_notified_ = true;
        waiter->handle_.resume();
        if (is_newest) break;
    }
}

void Gate::release() {
    DLOG_ASSERT(held_ > 0);
    --held_;
    if (held_ == 0) left_.notify_all();
}

}  // namespace dlog::port
