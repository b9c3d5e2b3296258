/// A simulated world: hosts with their disks, the network between them, one clock, one seed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "port/ports.h"
#include "sim/core.h"
#include "sim/disk.h"
#include "sim/log.h"
#include "sim/loop.h"
#include "sim/net.h"
#include "sim/options.h"

namespace dlog::sim {

/// What runs on a host from its boot to its crash. After a crash its coroutines are destroyed
/// first, then this object.
class Program {
  public:
    virtual ~Program() = default;
};

class Host;
using Boot = std::function<std::unique_ptr<Program>(Host&)>;

/// One machine. Its disk outlives crashes; its cores, mailboxes and program do not.
class Host {
  public:
    Host(Loop& loop, Network& network, Options& options, std::uint32_t number, std::string name,
         std::uint32_t cores);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host();

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::uint32_t number() const { return number_; }
    [[nodiscard]] std::uint32_t core_count() const {
        return static_cast<std::uint32_t>(places_.size());
    }
    [[nodiscard]] port::Ports& ports(CoreId core = CoreId(0)) { return cores_[core.value]->ports; }
    [[nodiscard]] HostDisk& disk() { return disk_; }
    [[nodiscard]] HostLog& log() { return log_; }
    [[nodiscard]] bool is_up() const { return is_up_; }
    /// Counts boots; 1 in the first life.
    [[nodiscard]] std::uint64_t life() const { return places_[0].life; }
    /// Coroutines that were spawned and have not ended.
    [[nodiscard]] std::uint64_t running_coroutines() const { return roots_.count(); }
    void set_wall_skew(Duration skew) { wall_skew_ = skew; }

    /// Makes the host's program; called again by every `World::restart`.
    void boot(Boot boot);
    [[nodiscard]] Program* program() { return program_.get(); }

  private:
    friend class World;
    struct Core {
        Core(Host& host, Loop& loop, Network& network, Options& options, CoreId core);
        SimClock clock;
        SimDisk disk;
        SimNet net;
        SimSpawn spawn;
        SimEntropy entropy;
        port::Ports ports;
    };
    enum class Death : std::uint8_t { kPowerLoss, kProcess };
    void die(Death death);
    void come_up();

    Loop& loop_;
    Network& network_;
    std::uint32_t number_;
    std::string name_;
    Duration wall_skew_;
    std::vector<Place> places_;
    HostDisk disk_;
    HostLog log_;
    Roots roots_;
    std::vector<std::unique_ptr<Core>> cores_;
    Boot boot_;
    std::unique_ptr<Program> program_;
    bool is_up_ = true;
};

/// The world runs only inside `run_until` and `run_for`, on the calling thread.
class World {
  public:
    explicit World(std::uint64_t seed, Options options = {});
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    /// Destroys what still runs. Whatever the coroutines refer to must still be there.
    ~World();

    Host& add_host(std::string name, std::uint32_t cores = 1);
    [[nodiscard]] Instant now() const { return loop_.now(); }
    [[nodiscard]] std::uint64_t seed() const { return seed_; }
    /// Everything that has happened so far, in one number.
    [[nodiscard]] std::uint64_t hash() { return loop_.effects().value(); }
    [[nodiscard]] std::uint64_t effects() { return loop_.effects().count(); }
    [[nodiscard]] Loop& loop() { return loop_; }
    [[nodiscard]] Network& network() { return network_; }
    /// What may change while the world runs; a disk's own are in `Host::disk().options`.
    [[nodiscard]] Options& options() { return options_; }
    /// For a test's own choices; they belong to the seed like all others.
    [[nodiscard]] Random& random() { return random_; }

    /// Runs until `is_done` holds, which is asked before every event. False when `limit` of virtual
    /// time passed first, or when nothing is left that could happen.
    bool run_until(const std::function<bool()>& is_done, Duration limit);
    void run_for(Duration span);
    /// Called after every event, for checkers. May be empty.
    void on_event(std::function<void()> check) { on_event_ = std::move(check); }

    /// Power loss: the host's coroutines and program go, its disk keeps what the fault model says.
    /// Called from within an event, it takes effect at the event's end.
    void crash(Host& host);
    /// kill -9: like a crash, but the system lives on: nothing written is lost, peers hear of it.
    void kill(Host& host);
    /// Starts a crashed or killed host again, with the program it had.
    void restart(Host& host);
    /// Ends all faults: rates are zero, links open, disks unstalled, with `capacity_bytes` each.
    void heal(std::uint64_t capacity_bytes = 1ULL << 40);

    /// The hosts' last log lines in order of time, for a failure's report.
    [[nodiscard]] std::string last_lines(std::size_t count) const;

  private:
    struct Dying {
        Host* host;
        Host::Death death;
    };
    void die(Host& host, Host::Death death);
    void bury();

    std::uint64_t seed_;
    Options options_;
    Loop loop_;
    Random random_;
    Network network_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<Dying> dying_;
    std::function<void()> on_event_;
};

}  // namespace dlog::sim
