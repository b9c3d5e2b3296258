/// Keeps the pulse with all other nodes: the driver of raft::Liveness.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/liveness.h"
#include "peers/cargo.h"
#include "peers/link.h"
#include "peers/metrics.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::peers {

namespace raft = consensus::raft;

struct Desk;

/// Lives on core 0. One step of the machine at a time: what it changed is known to every core
/// before anything that follows from it is sent, so that no core goes by what this node no longer
/// promises, nor hears a new process before it knows of it. Pulses have connections of their own:
/// they wait for nothing that is large.
class Pulses {
  public:
    explicit Pulses(Desk& home);
    Pulses(const Pulses&) = delete;
    Pulses& operator=(const Pulses&) = delete;

    /// Beats until `close`.
    [[nodiscard]] port::Task<void> run();
    void close();

    /// These two return when all cores know what changed.
    [[nodiscard]] port::Task<void> received(NodeId from, raft::Pulse pulse);
    [[nodiscard]] port::Task<void> met(NodeId from, std::uint64_t incarnation);

    /// The process of `node` that all cores know of.
    [[nodiscard]] std::uint64_t incarnation_of(NodeId node) const {
        return beats_.at(node)->incarnation;
    }
    /// Fills in the age of the latest pulse of each node.
    void measure(Metrics& metrics) const;

  private:
    /// The newest pulse is the only one that counts.
    class Next final : public Cargo {
      public:
        explicit Next(NodeMetrics& metrics) : metrics_(metrics) {}
        void set(const raft::Pulse& pulse) { pulse_ = pulse; }
        [[nodiscard]] bool is_empty() const override { return !pulse_; }
        [[nodiscard]] Load take() override;
        void drop() override { pulse_.reset(); }
        void stop() override { pulse_.reset(); }
        [[nodiscard]] bool came(Frame) override { return false; }

      private:
        NodeMetrics& metrics_;
        std::optional<raft::Pulse> pulse_;
    };
    struct Beat {
        Beat(Desk& home, NodeId to);
        Next next;
        Link link;
        std::optional<Instant> heard_at;
        /// As all cores know it.
        std::uint64_t incarnation = 0;
    };
    /// Cores that have not heard yet.
    struct Telling {
        std::uint32_t left = 0;
        port::Notifier done;
    };

    [[nodiscard]] port::Task<void> begin_step();
    void end_step();
    [[nodiscard]] port::Task<void> apply(raft::Liveness::Effects effects);
    [[nodiscard]] port::Task<void> announce(NodeId node);
    void log_change(NodeId node);
    static port::Task<void> tell(Desk* home, Desk* desk, NodeId node, raft::PeerState state,
                                 Telling* telling);

    Desk& home_;
    raft::Liveness liveness_;
    std::map<NodeId, std::unique_ptr<Beat>> beats_;
    /// As the log has it.
    std::map<NodeId, bool> is_heard_;
    bool is_stepping_ = false;
    bool is_closed_ = false;
    port::Notifier stepped_;
    port::Notifier closed_;
};

}  // namespace dlog::peers
