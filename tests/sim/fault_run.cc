#include "fault_run.h"

#include <algorithm>

#include "base/assert.h"
#include "disk_faults.h"

namespace dlog::simtest {

namespace {

constexpr Duration kConvergeLimit = seconds(900);
/// A planted bug may keep the nodes from it for ever.
constexpr Duration kConvergeLimitOfCanary = seconds(60);
constexpr Duration kInFlight = milliseconds(50);

sim::Options world_options(const RunOptions& options) {
    sim::Options world;
    world.is_traced = options.is_traced;
    return world;
}

}  // namespace

FaultRun::FaultRun(const RunOptions& options, Level& level)
    : level_(level),
      canary_(options.canary),
      converge_limit_(canary_ == Canary::kNone ? kConvergeLimit : kConvergeLimitOfCanary),
      world_(options.seed, world_options(options)),
      stage_(level.set_up(world_, options)) {
    DLOG_ASSERT(!stage_.nodes.empty());
    for (sim::Host* node : stage_.nodes) node->disk().is_traced = options.is_traced;
}

RunResult FaultRun::run() {
    level_.start();
    world_.on_event([this] { level_.check(); });
    const std::uint64_t rounds = 3 + level_.random.below(6);
    for (std::uint64_t round = 0; round < rounds && level_.history.failures().empty(); ++round) {
        world_.run_for(
            milliseconds(level_.random.between(level_.quiet_least.ms(), level_.quiet_most.ms())));
        disturb();
    }
    converge();
    RunResult result;
    result.hash = world_.hash();
    result.effects = world_.effects();
    result.failures = level_.history.failures();
    if (!result.failures.empty()) result.last_lines = world_.last_lines(20);
    result.acknowledged_records = level_.history.acknowledged_records();
    result.seen_records = level_.history.seen_records();
    result.corrupt_refusals = level_.history.corrupt_refusals();
    result.crashes = crashes_;
    return result;
}

sim::Host& FaultRun::any_node() {
    return *stage_.nodes[level_.random.below(stage_.nodes.size())];
}

/// Between the node's own lines, so that a trace shows what it reacts to.
void FaultRun::tell(sim::Host& host, std::string_view what) {
    host.log().info(what);
}

bool FaultRun::all_ready() {
    return std::ranges::all_of(stage_.nodes,
                               [](sim::Host* node) { return program(*node).is_ready(); });
}

// --- Faults

void FaultRun::disturb() {
    sim::Host& node = any_node();
    switch (level_.random.below(12)) {
        case 0:
        case 1:
        case 2:
        case 3:
            restart_after(node, Death::kPowerLoss);
            break;
        case 4:
        case 5:
            restart_after(node, Death::kKill);
            break;
        case 6:
            heal();
            stop_cleanly(node);
            break;
        case 7:
            heal();
            break;
        case 8:
        case 9:
            if (stage_.others.size() + stage_.nodes.size() > 1) {
                inflict_network_fault(node);
                break;
            }
            [[fallthrough]];
        default:
            tell(node, inflict_disk_fault(world_, node, level_.random));
            if (node.disk().options.sync_error.one_in > 0) {
                level_.history.set_unsynced_at_risk(true);
            }
            break;
    }
}

void FaultRun::turn_off(sim::Host& node, Death death) {
    ++crashes_;
    level_.node_ends(program(node));
    const bool is_power_loss = death == Death::kPowerLoss;
    tell(node, is_power_loss ? "FAULT: the power goes" : "FAULT: the process is killed");
    if (is_power_loss) {
        world_.crash(node);
    } else {
        world_.kill(node);
    }
    level_.history.node_died();
    // At rest: what was read before would still be right in the system's cache.
    if (is_power_loss && level_.random.chance(1, 3)) flip(node);
    if (is_power_loss && canary_ == Canary::kLosesMiddle) lose_middle(node);
    world_.run_for(milliseconds(level_.random.between(0, level_.off_most.ms())));
}

void FaultRun::restart_after(sim::Host& node, Death death) {
    turn_off(node, death);
    if (death == Death::kPowerLoss) lose_unsynced();
    world_.restart(node);
}

/// What is on its way to the clients still reaches them, and later where the way is blocked.
void FaultRun::lose_unsynced() {
    if (!stage_.others.empty()) world_.run_for(kInFlight);
    level_.history.unsynced_lost();
    if (are_answers_blocked_) level_.history.set_unsynced_at_risk(true);
}

void FaultRun::flip(sim::Host& node) {
    const auto [folder, log] = level_.any_partition(node);
    if (folder.empty()) return;
    const BatchAt batch = flip_in_sealed_segment(node, level_.random, folder);
    if (batch.size_bytes == 0) return;
    node.log().info("FAULT: a bit flips", {{"folder", folder},
                                           {"from_offset", batch.first_offset},
                                           {"to_offset", batch.last_offset}});
    level_.history.damaged(log, batch.first_offset, batch.last_offset);
}

void FaultRun::lose_middle(sim::Host& node) {
    const auto [folder, log] = level_.any_partition(node);
    if (folder.empty() || !level_.history.is_cached(log)) return;
    if (cut_out_batch(node, level_.random, folder)) tell(node, "CANARY: a batch is cut out");
}

void FaultRun::stop_cleanly(sim::Host& node) {
    NodeProgram& running = program(node);
    if (!running.is_ready()) return;
    tell(node, "FAULT: a clean stop");
    running.stop_soon();
    if (!world_.run_until([&running] { return running.has_stopped(); }, converge_limit_)) {
        level_.history.fail("a clean stop did not end");
    }
    level_.node_ends(running);
    world_.kill(node);
    world_.restart(node);
}

void FaultRun::inflict_network_fault(sim::Host& node) {
    std::vector<sim::Host*> peers = stage_.others;
    for (sim::Host* other : stage_.nodes) {
        if (other != &node) peers.push_back(other);
    }
    sim::Host& peer = *peers[level_.random.below(peers.size())];
    switch (level_.random.below(4)) {
        case 0:
            tell(node, "FAULT: a connection is reset");
            (void)world_.network().reset_one();
            break;
        case 1:
            tell(node, "FAULT: connections are reset now and then");
            world_.options().net.reset = {
                static_cast<std::uint32_t>(level_.random.between(20, 400))};
            break;
        case 2:
            block(node, peer);
            are_answers_blocked_ = true;
            break;
        default:
            block(peer, node);
            break;
    }
}

void FaultRun::block(sim::Host& from, sim::Host& to) {
    tell(from, "FAULT: what it sends does not get to " + to.name());
    world_.network().set_blocked(from.number(), to.number(), true);
}

void FaultRun::heal() {
    tell(*stage_.nodes.front(), "FAULT: all faults end");
    world_.heal();
    are_answers_blocked_ = false;
    for (sim::Host* node : stage_.nodes) node->disk().options.sync = sim::DiskOptions().sync;
}

// --- The end

void FaultRun::read_all_whole() {
    if (!world_.run_until([this] { return all_ready(); }, converge_limit_)) {
        level_.history.fail("the healed nodes did not start");
        return;
    }
    level_.begin_readings();
    if (!world_.run_until([this] { return level_.are_readings_done(); }, converge_limit_)) {
        level_.history.fail("the last reading did not end");
    }
}

void FaultRun::converge() {
    heal();
    level_.stop_writing();
    const auto is_quiet = [this] { return all_ready() && level_.is_quiet(); };
    if (!world_.run_until(is_quiet, converge_limit_)) {
        level_.history.fail("the healed nodes did not acknowledge everything");
        return;
    }
    // From here on flush.ms keeps its promise: the last loss of power takes nothing.
    world_.run_for(level_.flush_most);
    level_.history.set_unsynced_at_risk(false);
    read_all_whole();
    for (sim::Host* node : stage_.nodes) turn_off(*node, Death::kPowerLoss);
    for (sim::Host* node : stage_.nodes) world_.restart(*node);
    read_all_whole();
    for (sim::Host* node : stage_.nodes) stop_cleanly(*node);
    read_all_whole();
}

}  // namespace dlog::simtest
