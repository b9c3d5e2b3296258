/// The real Spawn of one core.
#pragma once

#include <functional>
#include <vector>

#include "port/spawn.h"
#include "reactor/loop.h"
#include "reactor/roots.h"

namespace dlog::reactor {

class CoreSpawn final : public port::Spawn {
  public:
    /// `loops` are all loops of the node, by core; the vector and they outlive this.
    CoreSpawn(CoreId core, const std::vector<Loop*>& loops, WorkerPool& compute_pool)
        : core_(core), loops_(loops), compute_pool_(compute_pool) {}

    [[nodiscard]] CoreId core() const override { return core_; }
    [[nodiscard]] std::uint32_t core_count() const override {
        return static_cast<std::uint32_t>(loops_.size());
    }
    void spawn(port::Task<void> task) override { roots_.start(std::move(task)).resume(); }
    void post(CoreId core, std::coroutine_handle<> handle) override;
    port::Task<void> offload(std::move_only_function<void()> work) override;

    [[nodiscard]] Roots& roots() { return roots_; }

  private:
    const CoreId core_;
    const std::vector<Loop*>& loops_;
    WorkerPool& compute_pool_;
    Roots roots_;
};

}  // namespace dlog::reactor
