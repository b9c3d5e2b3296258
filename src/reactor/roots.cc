#include "reactor/roots.h"

#include <exception>
#include <utility>

#include "base/assert.h"
#include "port/teardown.h"

namespace dlog::reactor {

/// The coroutine under each spawned task.
struct Root {
    struct promise_type : port::detail::WaitLink {
        promise_type(Roots* owner, port::Task<void>&) : roots(owner) { roots->add(*this); }
        ~promise_type() { roots->remove(*this); }
        Root get_return_object() {
            return Root{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
        Roots* roots;
    };
    std::coroutine_handle<promise_type> handle;
};

namespace {

Root run_root(Roots*, port::Task<void> task) {
    co_await std::move(task);
}

}  // namespace

Roots::~Roots() {
    DLOG_ASSERT(ring_.is_alone());
}

std::coroutine_handle<> Roots::start(port::Task<void> task) {
    DLOG_ASSERT(task.is_valid());
    return run_root(this, std::move(task)).handle;
}

void Roots::destroy_all() {
    DLOG_ASSERT(port::Teardown::is_under_way());
    for (;;) {
        Root::promise_type* newest = nullptr;
        {
            const std::lock_guard lock(mutex_);
            if (ring_.is_alone()) return;
            newest = static_cast<Root::promise_type*>(ring_.previous);
        }
        std::coroutine_handle<Root::promise_type>::from_promise(*newest).destroy();
    }
}

void Roots::add(port::detail::WaitLink& link) {
    const std::lock_guard lock(mutex_);
    link.insert_before(ring_);
}

void Roots::remove(port::detail::WaitLink& link) {
    const std::lock_guard lock(mutex_);
    link.unlink();
}

}  // namespace dlog::reactor
