/// One simulated core: its clock, its mailbox, its entropy, and the coroutines that were started on
/// it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "port/spawn.h"
#include "port/sync.h"
#include "sim/loop.h"
#include "sim/options.h"

namespace dlog::sim {

[[nodiscard]] Duration draw(Random& random, const Latency& latency);
[[nodiscard]] bool happens(Random& random, Rate rate);

/// All coroutines of a host that were given to `Spawn::spawn` and have not ended, in the order in
/// which they were started.
class Roots {
  public:
    Roots() = default;
    Roots(const Roots&) = delete;
    Roots& operator=(const Roots&) = delete;
    ~Roots() { DLOG_ASSERT(count_ == 0, count_); }

    /// Runs `task` until it first suspends, and owns it from then on.
    void start(port::Task<void> task);
    /// Destroys every frame where it stands, the youngest first: what a coroutine started may refer
    /// to what its starter holds.
    void destroy_all();
    [[nodiscard]] std::uint64_t count() const { return count_; }

  private:
    struct Root;
    static Root run(Roots& roots, port::Task<void> task);
    port::detail::WaitLink frames_;
    std::uint64_t count_ = 0;
};

class SimClock final : public port::Clock {
  public:
    SimClock(Loop& loop, Place& place, const CoreOptions& options, const Duration& wall_skew)
        : loop_(loop),
          place_(place),
          options_(options),
          wall_skew_(wall_skew),
          random_(loop.random().fork()) {}
    ~SimClock() override;
    [[nodiscard]] Instant now() const override { return loop_.now(); }
    [[nodiscard]] Timestamp wall_now() const override;

  private:
    void insert(port::Timer& timer) override;
    void erase(port::Timer& timer) override;
    void await_first();
    void run_first();

    Loop& loop_;
    Place& place_;
    const CoreOptions& options_;
    const Duration& wall_skew_;
    Random random_;
    std::map<std::pair<Instant, std::uint64_t>, port::Timer*> armed_;
    EventId wake_;  // the event that runs the first of them
};

/// The virtual wall clock starts here.
inline constexpr Timestamp kEpoch{1'767'225'600'000};  // 2026-01-01

class SimSpawn final : public port::Spawn {
  public:
    SimSpawn(Loop& loop, std::vector<Place>& places, CoreId core, Roots& roots,
             const CoreOptions& options)
        : loop_(loop),
          places_(places),
          core_(core),
          roots_(roots),
          options_(options),
          random_(loop.random().fork()),
          last_delivery_(places.size()) {}
    [[nodiscard]] CoreId core() const override { return core_; }
    [[nodiscard]] std::uint32_t core_count() const override {
        return static_cast<std::uint32_t>(places_.size());
    }
    void spawn(port::Task<void> task) override;
    void post(CoreId core, std::coroutine_handle<> handle) override;
    port::Task<void> offload(std::move_only_function<void()> work) override;

  private:
    Loop& loop_;
    std::vector<Place>& places_;
    CoreId core_;
    Roots& roots_;
    const CoreOptions& options_;
    Random random_;
    std::vector<Instant> last_delivery_;
};

class SimEntropy final : public port::Entropy {
  public:
    SimEntropy(Loop& loop, const Place& place)
        : loop_(loop), place_(place), random_(loop.random().fork()) {}
    [[nodiscard]] std::uint64_t next() override;

  private:
    Loop& loop_;
    const Place& place_;
    Random random_;
};

}  // namespace dlog::sim
