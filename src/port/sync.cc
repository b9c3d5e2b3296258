#include "port/sync.h"

#include "port/teardown.h"

namespace dlog::port {

Notifier::~Notifier() {
    DLOG_ASSERT(waiters_.is_alone() || Teardown::is_under_way());
    while (!waiters_.is_alone()) waiters_.next->unlink();
}

Notifier::Waiter Notifier::wait() {
    return Waiter(*this, nullptr, kNever);
}

Notifier::Waiter Notifier::wait_until(Clock& clock, Instant deadline) {
    return Waiter(*this, &clock, deadline);
}

void Notifier::Waiter::await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    owner_.add(*this);
    if (clock_ != nullptr && wanted_ != kNever) clock_->arm(*this, wanted_);
}

void Notifier::Waiter::fired() {
    stop_listening();
    was_notified_ = false;
    handle_.resume();
}

void Notifier::Waiter::notified() {
    if (clock_ != nullptr) clock_->disarm(*this);
    was_notified_ = true;
    handle_.resume();
}

void Notifier::add(Listener& listener) {
    DLOG_ASSERT(!listener.is_listening());
    listener.insert_before(waiters_);
}

void Notifier::notify_all() {
    if (waiters_.is_alone() || Teardown::is_under_way()) return;
    // Those who wait now move to a list of this call's own: a called listener may wait here
    // again, destroy another one or this very Notifier.
    detail::WaitLink woken;
    woken.insert_before(waiters_);
    waiters_.unlink();
    while (!woken.is_alone()) {
        auto* const listener = static_cast<Listener*>(woken.next);
        listener->unlink();
        listener->notified();
    }
}

void Gate::release() {
    DLOG_ASSERT(held_ > 0);
    --held_;
    if (held_ == 0) left_.notify_all();
}

}  // namespace dlog::port
