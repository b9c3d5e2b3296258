/// A partition's replica in its Raft group: does what the group's machine decides, and tells it
/// what became of it. A partition's log is the log of its group (docs/decisions/0008).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/group.h"
#include "consensus/raft/journal.h"
#include "port/clock.h"
#include "port/ports.h"
#include "port/sync.h"
#include "port/task.h"
#include "record/run.h"
#include "replication/consensus.h"
#include "replication/partition.h"

namespace dlog::replication {

class GroupJournal;

/// How a group's messages reach other nodes: in order, or not at all.
class Outbox {
  public:
    virtual ~Outbox() = default;
    /// `records` go beside the message. Never waits; what cannot be sent is dropped, and
    /// `Replica::link_reset` tells of it.
    virtual void send(NodeId to, const consensus::raft::GroupId& group,
                      consensus::raft::Message message, std::vector<Buffer> records) = 0;
};

/// What the replicas of one core share. Outlives them.
struct GroupServices {
    const port::Ports& ports;
    NodeId self;
    consensus::raft::GroupOptions options;
    /// How long the process before this one may have promised its support to leaders.
    Duration silence;
    Outbox& outbox;
    const consensus::raft::Peers& peers;
    GroupJournal& journal;
};

/// Belongs to the partition's core.
///
/// The machine runs ahead of the disk: what it decided to change in the log waits in `changes_` and
/// is done in order, a cut before the note of the epochs behind it, and that before their records.
/// So a crash leaves a log that its journal explains.
class Replica final : public Consensus, public std::enable_shared_from_this<Replica> {
  public:
    /// The group that `partition` is in; `voters` is its configuration when the journal does not
    /// know the group yet. kStorageFailed when the journal cannot be written, kCorrupt when it does
    /// not fit the log.
    [[nodiscard]] static port::Task<Result<std::shared_ptr<Replica>>> open(
        GroupServices& services, PartitionPtr partition, consensus::Configuration voters);
    Replica(GroupServices& services, PartitionPtr partition, consensus::raft::Recovered recovered);
    Replica(const Replica&) = delete;
    Replica& operator=(const Replica&) = delete;

    [[nodiscard]] const PartitionPtr& partition() const { return partition_; }
    [[nodiscard]] const consensus::raft::Group& group() const { return group_; }

    /// From another node: `records` are those beside an Append. What is malformed is dropped.
    void received(NodeId from, consensus::raft::Message message, Buffer records);
    void peer_changed(NodeId peer);
    void link_reset(NodeId peer);
    /// A leader hands over to `to` as soon as that has all of the log.
    void hand_over(NodeId to);

    // Consensus.
    void appended() override;
    void stored() override;
    void lost() override;
    void trimmed() override;
    [[nodiscard]] bool may_serve_reads() const override;

    /// Takes part in nothing any more. The partition closes after it.
    void close();
    /// After `close`: returns when nothing is under way.
    [[nodiscard]] port::Task<void> drain();

  private:
    struct Change {
        std::variant<consensus::raft::WriteLog, consensus::raft::Install> what;
        record::BatchRun batches;
    };
    struct Event {
        consensus::raft::Input input;
        record::BatchRun received;    ///< beside an Append
        std::vector<Buffer> records;  ///< that a Load has read
    };
    class Alarm final : public port::Timer {
      public:
        explicit Alarm(Replica& replica) : replica_(replica) {}
        void fired() override;

      private:
        Replica& replica_;
    };

    void feed(consensus::raft::Input input);
    void feed(Event event);
    void perform(consensus::raft::Effects effects, Event event);
    void tell_partition();
    void set_alarm();
    static port::Task<void> propose(std::shared_ptr<Replica> self);

    static port::Task<void> persist_ballot(std::shared_ptr<Replica> self,
                                           consensus::raft::Ballot ballot);
    static port::Task<void> load(std::shared_ptr<Replica> self, consensus::raft::Load load);
    void loaded(const consensus::raft::Load& load, Offset end, std::vector<Buffer> records);

    void change(consensus::raft::WriteLog write, record::BatchRun batches);
    static port::Task<void> change_loop(std::shared_ptr<Replica> self);
    [[nodiscard]] port::Task<bool> make(consensus::raft::WriteLog write, record::BatchRun batches);
    [[nodiscard]] port::Task<bool> begin_anew(consensus::raft::Install install);
    [[nodiscard]] bool append(const consensus::raft::WriteLog& write, record::BatchRun batches);
    void start_changing();
    [[nodiscard]] consensus::raft::LogPosition applied_to(Offset end) const;
    [[nodiscard]] Offset stable_end() const;

    GroupServices& services_;
    PartitionPtr partition_;
    const consensus::raft::GroupId id_;
    consensus::raft::Group group_;
    Alarm alarm_;
    port::Gate work_;
    port::Notifier closing_;

    std::deque<Event> events_;
    bool is_stepping_ = false;
    bool is_proposing_ = false;
    bool is_closed_ = false;

    std::deque<Change> changes_;
    bool is_changing_ = false;
    /// The log as it lies in the partition, with the epochs that the journal has.
    consensus::raft::History applied_;
    /// The journal has epochs that the log does not have any more.
    bool is_journal_ahead_ = false;
    /// What the machine was told last of stable storage.
    consensus::raft::LogPosition stored_;
    /// Grows when changes that were under way are void.
    std::uint64_t life_ = 0;
};
using ReplicaPtr = std::shared_ptr<Replica>;

}  // namespace dlog::replication
