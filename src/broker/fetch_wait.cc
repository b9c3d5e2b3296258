#include "broker/fetch_wait.h"

#include <deque>
#include <utility>

#include "base/assert.h"
#include "broker/core.h"
#include "replication/partition.h"

namespace dlog::broker {

namespace {

/// Something moved; `moved` is signalled once.
struct Alarm {
    port::Notifier moved;
    bool has_moved = false;

    void raise() {
        if (has_moved) return;
        has_moved = true;
        moved.notify_all();
    }
};

/// Raises its alarm when the notifier that it listens to is signalled.
class Trigger final : public port::Notifier::Listener {
  public:
    explicit Trigger(Alarm& alarm) : alarm_(alarm) {}

  private:
    void notified() override { alarm_.raise(); }
    Alarm& alarm_;
};

/// Listens to `partitions` on their own core. Raises the alarm at once when one has moved already.
void listen(Core& owner, std::span<const WatchedPartition> partitions, Alarm& alarm,
            std::deque<Trigger>& triggers) {
    for (const WatchedPartition& watched : partitions) {
        const auto partition = owner.shard.find(watched.topic, PartitionId(watched.partition));
        if (partition == nullptr) continue;
        if (partition->high_watermark() != watched.high_watermark ||
            partition->log_start_offset() != watched.log_start_offset) {
            return alarm.raise();
        }
        partition->progress().add(triggers.emplace_back(alarm));
    }
    if (owner.is_stopping) return alarm.raise();
    owner.stopping.add(triggers.emplace_back(alarm));
}

/// Waits on another core and reports back. `alarm` lives on `home`, `id` names this watch for
/// `cancel_watch`.
port::Task<void> watch_elsewhere(Core* home, Core* owner, std::vector<WatchedPartition> partitions,
                                 Instant deadline, std::shared_ptr<Alarm> alarm, std::uint64_t id) {
    co_await port::hop(home->ports.spawn, owner->id());
    {
        Alarm here;
        std::deque<Trigger> triggers;
        listen(*owner, partitions, here, triggers);
        owner->fetch_watches.emplace(id, &here.moved);
        if (!here.has_moved) co_await here.moved.wait_until(owner->ports.clock, deadline);
        owner->fetch_watches.erase(id);
    }
    co_await port::hop(owner->ports.spawn, home->id());
    alarm->raise();
}

port::Task<void> cancel_watch(Core* home, Core* owner, std::uint64_t id) {
    co_await port::hop(home->ports.spawn, owner->id());
    const auto found = owner->fetch_watches.find(id);
    if (found != owner->fetch_watches.end()) found->second->notify_all();
}

}  // namespace

port::Task<void> wait_for_progress(Core& core, std::span<const WatchedPartition> partitions,
                                   Instant deadline) {
    // Shared with the watches on other cores, which may end after this.
    const auto alarm = std::make_shared<Alarm>();
    std::deque<Trigger> triggers;
    std::vector<std::pair<Core*, std::uint64_t>> elsewhere;
    std::span<const WatchedPartition> own;
    for (std::size_t begin = 0; begin < partitions.size();) {
        std::size_t end = begin + 1;
        const CoreId owner = partitions[begin].owner;
        while (end < partitions.size() && partitions[end].owner == owner) ++end;
        const auto share = partitions.subspan(begin, end - begin);
        begin = end;
        if (owner == core.id()) {
            own = share;
            continue;
        }
        const std::uint64_t id = (std::uint64_t{core.id().value} << 48) | core.next_fetch_watch++;
        Core* const other = &core.other(owner);
        elsewhere.emplace_back(other, id);
        core.ports.spawn.spawn(
            watch_elsewhere(&core, other, {share.begin(), share.end()}, deadline, alarm, id));
    }
    listen(core, own, *alarm, triggers);
    if (!alarm->has_moved) co_await alarm->moved.wait_until(core.ports.clock, deadline);
    for (const auto& [other, id] : elsewhere) {
        core.ports.spawn.spawn(cancel_watch(&core, other, id));
    }
}

}  // namespace dlog::broker
