/// The driver of a run: rounds of quiet and one fault each on one of the nodes' hosts, then the end
/// of all faults and what must hold after it. What the nodes are and who works with them is a
/// level.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "history.h"
#include "run.h"
#include "sim/world.h"

namespace dlog::simtest {

/// What the driver asks of the program that a node's host runs.
class NodeProgram : public sim::Program {
  public:
    [[nodiscard]] virtual bool is_ready() const = 0;
    virtual void stop_soon() = 0;
    [[nodiscard]] virtual bool has_stopped() const = 0;
};

/// The hosts of a run. Faults choose one of the nodes, or a link between a node and any other host.
struct Stage {
    std::vector<sim::Host*> nodes;
    std::vector<sim::Host*> others;
};

/// The nodes of a run with all who use them, and what the run knows of them. It outlives the world,
/// whose coroutines refer to it.
class Level {
  public:
    explicit Level(std::uint64_t seed) : random(seed) {}
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    virtual ~Level() = default;

    Random random;
    History history;

    /// How long it is quiet between two faults, and how long a node is off.
    Duration quiet_least = milliseconds(5);
    Duration quiet_most = milliseconds(600);
    Duration off_most = milliseconds(50);
    /// What was acknowledged from memory is on the disk after so long without faults.
    Duration flush_most;

    /// Adds the hosts and boots the nodes.
    virtual Stage set_up(sim::World& world, const RunOptions& options) = 0;
    /// Whoever uses the nodes begins.
    virtual void start() {}
    /// They write no more, but see to it that what they wrote is acknowledged.
    virtual void stop_writing() = 0;
    /// All that was written is acknowledged.
    [[nodiscard]] virtual bool is_quiet() const = 0;
    /// After every event.
    virtual void check() {}
    /// Everything is read whole and checked, on nodes that are ready.
    virtual void begin_readings() = 0;
    [[nodiscard]] virtual bool are_readings_done() const = 0;

    /// The node's program ends: what only it knows is lost.
    virtual void node_ends(NodeProgram& /*node*/) {}
    /// The folder of one of the node's partitions, and its log; an empty folder where there is
    /// none.
    virtual std::pair<std::string, LogId> any_partition(sim::Host& node) = 0;
};

class FaultRun {
  public:
    FaultRun(const RunOptions& options, Level& level);
    RunResult run();

  private:
    enum class Death : std::uint8_t { kPowerLoss, kKill };

    [[nodiscard]] static NodeProgram& program(sim::Host& node) {
        return static_cast<NodeProgram&>(*node.program());
    }
    [[nodiscard]] sim::Host& any_node();
    void tell(sim::Host& host, std::string_view what);
    [[nodiscard]] bool all_ready();

    // Faults
    void disturb();
    void restart_after(sim::Host& node, Death death);
    void turn_off(sim::Host& node, Death death);
    void lose_unsynced();
    void flip(sim::Host& node);
    void lose_middle(sim::Host& node);
    void stop_cleanly(sim::Host& node);
    void inflict_network_fault(sim::Host& node);
    void block(sim::Host& from, sim::Host& to);
    void heal();

    // The end
    void converge();
    void read_all_whole();

    Level& level_;
    Canary canary_;
    Duration converge_limit_;
    sim::World world_;
    Stage stage_;
    std::uint64_t crashes_ = 0;
    bool are_answers_blocked_ = false;
};

}  // namespace dlog::simtest
