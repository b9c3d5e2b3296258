#include "reactor/mailbox.h"

#include <utility>

namespace dlog::reactor {

bool Mailbox::push(std::coroutine_handle<> handle) {
    const std::lock_guard lock(mutex_);
    handles_.push_back(handle);
    return std::exchange(is_asleep_, false);
}

bool Mailbox::push_all(std::span<const std::coroutine_handle<>> handles) {
    const std::lock_guard lock(mutex_);
    handles_.insert(handles_.end(), handles.begin(), handles.end());
    return std::exchange(is_asleep_, false);
}

bool Mailbox::poke() {
    const std::lock_guard lock(mutex_);
    is_poked_ = true;
    return std::exchange(is_asleep_, false);
}

bool Mailbox::take(std::vector<std::coroutine_handle<>>& into, bool may_sleep) {
    const std::lock_guard lock(mutex_);
    if (handles_.empty()) {
        const bool is_poked = std::exchange(is_poked_, false);
        is_asleep_ = may_sleep && !is_poked;
        return is_asleep_;
    }
    is_poked_ = false;
    is_asleep_ = false;
    if (into.empty()) {
        into.swap(handles_);
    } else {
        into.insert(into.end(), handles_.begin(), handles_.end());
        handles_.clear();
    }
    return false;
}

bool Mailbox::is_empty() {
    const std::lock_guard lock(mutex_);
    return handles_.empty();
}

void Mailbox::clear() {
    const std::lock_guard lock(mutex_);
    handles_.clear();
}

}  // namespace dlog::reactor
