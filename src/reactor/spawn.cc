#include "reactor/spawn.h"

#include <utility>

namespace dlog::reactor {

void CoreSpawn::post(CoreId core, std::coroutine_handle<> handle) {
    DLOG_ASSERT(core.value < loops_.size(), core, loops_.size());
    loops_[core.value]->post(handle);
}

port::Task<void> CoreSpawn::offload(std::move_only_function<void()> work) {
    co_await BlockingCall(*loops_[core_.value], &compute_pool_, [&work] {
        work();
        return true;
    });
}

}  // namespace dlog::reactor
