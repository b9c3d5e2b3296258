/// What this room keeps on one core, and what all cores share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/frame.h"
#include "consensus/raft/liveness.h"
#include "peers/calls.h"
#include "peers/config.h"
#include "peers/frame_stream.h"
#include "peers/handler.h"
#include "peers/link.h"
#include "peers/links.h"
#include "peers/metrics.h"
#include "peers/outbox.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/spawn.h"
#include "port/sync.h"

namespace dlog::peers {

class Pulses;

inline constexpr CoreId kPulseCore{0};
inline constexpr FrameBounds kGreetingBounds{.text_bytes = 4096};
inline constexpr FrameBounds kPulseBounds{.text_bytes = 4096};
inline constexpr std::uint32_t kCallTextMax = raft::kCallBodyMax + 16;

/// What an incoming connection is: there is one of each at most.
struct SeatId {
    NodeId node;
    raft::Purpose purpose = raft::Purpose::kMessages;
    /// Of the other node.
    CoreId core;
    auto operator<=>(const SeatId&) const = default;
};
/// Who has the seat: a connection of one of our cores.
struct Guest {
    CoreId at;
    std::uint64_t number = 0;
    std::uint64_t incarnation = 0;
};

struct Shared {
    Config config;
    const Owners* owners = nullptr;
    std::vector<Desk*> desks;
    // From here on core 0's own.
    Pulses* pulses = nullptr;
    std::map<SeatId, Guest> seats;
    port::Notifier seats_changed;
};

/// All that goes from one core to one node but the pulses.
class Route final : private Outbox::Listener {
  public:
    Route(Desk& desk, NodeId to);

    Outbox outbox;
    Calls calls;

    /// Sends what waits, and says what was dropped.
    void flush();
    void hear();
    void reset(std::uint64_t incarnation);
    void close();

  private:
    void link_reset() override;
    Desk& desk_;
    NodeId to_;
    Link messages_link_;
    Link calls_link_;
};

/// Touched on its own core only, except `ports.spawn`, through which a coroutine finds home, and
/// `strangers`.
struct Desk {
    Desk(const port::Ports& core_ports, Shared& node);
    Desk(const Desk&) = delete;
    Desk& operator=(const Desk&) = delete;

    [[nodiscard]] CoreId id() const { return ports.spawn.core(); }
    [[nodiscard]] raft::Greeting greeting_to(NodeId node, raft::Purpose purpose, CoreId core) const;
    /// Null for a node that is none of the cluster's.
    [[nodiscard]] Route* route_to(NodeId node);
    /// Everything that is queued in this turn leaves at its end.
    void flush_soon();
    /// The pulses' core says this.
    void learn(NodeId node, const raft::PeerState& state, bool is_change);
    /// Logs, once in a while, that a connection between nodes went wrong.
    void complain(std::string_view what, NodeId node, std::string_view address,
                  std::string_view reason);
    /// A connection that `from` had opened has ended; what came on it may have been bad.
    void note_end(NodeId from, FrameFault fault);
    /// Nothing new begins and all connections close; then the gate empties.
    void close();

    port::Ports ports;
    Shared& shared;
    Handler* handler = nullptr;
    raft::Peers peers;
    Metrics metrics;
    Links links{*this};
    std::map<NodeId, std::unique_ptr<Route>> routes;

    /// Of connections that came in, to close them.
    std::map<std::uint64_t, port::Connection*> guests;
    std::uint64_t next_guest = 1;
    port::ListenerPtr listener;
    /// Who has come and is not seated yet.
    std::atomic<std::size_t> strangers{0};
    /// Calls of each node that are being answered.
    std::map<NodeId, std::size_t> answering;

    port::Gate gate;
    /// Signalled once, when the stop begins.
    port::Notifier stopping;
    bool is_open = false;
    bool is_stopping = false;

  private:
    static port::Task<void> flush(Desk* self);
    bool is_flush_due_ = false;
    Instant next_complaint_;
    std::uint64_t complaints_ = 0;
};

}  // namespace dlog::peers
