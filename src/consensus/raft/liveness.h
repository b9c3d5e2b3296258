/// Which nodes live, told by one pulse a pair of nodes, whatever the number of groups they share.
///
/// A node that hears another supports it: it takes part in no election against a leader there until
/// `support` has passed without a pulse. Pulses that come back tell the other for how long it may
/// count on that, so that its leaders serve reads without asking (leases, Raft dissertation
/// §6.4.1). Support is numbered: it ends once and for all when pulses stay away, or when either
/// process is a new one, and what a follower promised under one number is void under the next.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace dlog::consensus::raft {

struct LivenessOptions {
    Duration pulse_interval = milliseconds(60);
    /// Without a pulse for so long, a node counts as lost: the budget for detection.
    Duration support = milliseconds(300);
    /// Clocks of two nodes run apart by at most one in so many.
    std::int64_t clock_drift_divisor = 20;
};

/// One message each way every `pulse_interval`.
struct Pulse {
    /// The sender's process; grows with each start of the node and is never 0.
    std::uint64_t incarnation = 0;
    /// The receiver's process as the sender knows it; 0 when it has heard nothing yet.
    std::uint64_t to_incarnation = 0;
    /// The number of the sender's support of the receiver, 0 when it does not support it.
    std::uint64_t support = 0;
    /// How long that support lasts from the pulse which `echo` names.
    Duration support_for;
    /// The sender's clock, and the receiver's as of its latest pulse that the sender has.
    Instant sent_at;
    Instant echo;
    bool operator==(const Pulse&) const = default;
};

/// What a node knows of another: what leaders and followers go by.
struct PeerState {
    std::uint64_t incarnation = 0;
    /// The number of our support of it, never 0, and whether it stands.
    std::uint64_t support = 1;
    bool is_supported = false;
    /// The number of its support of us, and until when it stands by our clock.
    std::uint64_t granted = 0;
    Instant granted_until;
    bool operator==(const PeerState&) const = default;
};

/// The other nodes as one core sees them. A core never ends a support by itself: whoever runs
/// Liveness does, and then tells every core, so that no core votes against what is still promised.
class Peers {
  public:
    [[nodiscard]] const PeerState& of(NodeId node) const;
    void set(NodeId node, const PeerState& state) { states_[node] = state; }

  private:
    std::map<NodeId, PeerState> states_;
};

/// The machine of one node.
class Liveness {
  public:
    struct Outgoing {
        NodeId to;
        Pulse pulse;
    };
    struct Effects {
        std::vector<Outgoing> pulses;
        /// Whose support, granted or given, began, ended or got another number.
        std::vector<NodeId> changed;
    };

    Liveness(std::uint64_t incarnation, LivenessOptions options);

    /// The nodes to keep in touch with; those that are new get a pulse at the next tick.
    void set_nodes(std::span<const NodeId> nodes);
    /// Time has passed: sends what is due, gives up who is silent.
    [[nodiscard]] Effects tick(Instant now);
    [[nodiscard]] Effects received(Instant now, NodeId from, const Pulse& pulse);
    /// A process has said that it is `from`, on a connection that is not the pulses'. When it is a
    /// new one all that was known of the one before ends here; it is not supported before its first
    /// pulse.
    [[nodiscard]] Effects met(NodeId from, std::uint64_t incarnation);
    [[nodiscard]] Instant next_deadline() const;
    [[nodiscard]] const Peers& peers() const { return peers_; }

  private:
    struct Contact {
        Instant next_pulse;
        Instant heard_at;
        Instant echo;
    };

    static void begin_anew(Contact& contact, PeerState& state, std::uint64_t incarnation);
    [[nodiscard]] Pulse pulse_for(const Contact& contact, const PeerState& state,
                                  Instant now) const;

    std::uint64_t incarnation_;
    LivenessOptions options_;
    std::map<NodeId, Contact> contacts_;
    Peers peers_;
};

}  // namespace dlog::consensus::raft
