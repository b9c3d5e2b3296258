/// The shell around the coordinator of one partition of __consumer_offsets: it folds the
/// partition's log, writes what the coordinator decides, and holds its replies until that is safe.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "coordination/group/coordinator.h"
#include "port/clock.h"
#include "port/sync.h"
#include "port/task.h"
#include "protocol/error_code.h"
#include "replication/partition.h"

namespace dlog::broker {

struct Core;

inline constexpr std::string_view kOffsetsTopicName = "__consumer_offsets";

/// What the coordinator replied, or why there is none that could.
using GroupAnswer = std::expected<coordination::Reply, protocol::ErrorCode>;

/// Lives on the core that owns the partition. A write is under way at a time; what is decided
/// meanwhile goes into the next. When one fails, everyone who waits is refused and the coordinator
/// is folded anew from what the log kept.
class GroupShard : public std::enable_shared_from_this<GroupShard> {
  public:
    GroupShard(Core& core, TopicId topic, PartitionId partition, port::Gate& work);
    GroupShard(const GroupShard&) = delete;
    GroupShard& operator=(const GroupShard&) = delete;

    /// Begins to fold the log; until that is done everyone is told to come again.
    void start();
    /// Refuses everyone who waits and all who come. What is being written goes on.
    void stop();

    /// What `input` refers to lives until the answer is there.
    [[nodiscard]] port::Task<GroupAnswer> ask(coordination::Input input);
    /// The core's view is a new one, in which `deleted` topics are gone.
    void topics_changed(const std::vector<std::string>& deleted);

    [[nodiscard]] coordination::GroupCounts counts() const;

  private:
    enum class Phase : std::uint8_t { kLoading, kServing, kUnavailable, kStopped };
    struct Waiter {
        GroupAnswer answer = std::unexpected(protocol::ErrorCode::kNone);
        bool is_answered = false;
        port::Notifier answered;
    };
    struct Alarm final : port::Timer {
        explicit Alarm(GroupShard& owner) : shard(owner) {}
        void fired() override { shard.tick(); }
        GroupShard& shard;
    };

    static port::Task<void> load(std::shared_ptr<GroupShard> self);
    [[nodiscard]] port::Task<std::expected<void, std::string>> fold_log();
    static port::Task<void> write_decided(std::shared_ptr<GroupShard> self);
    /// Takes out what is to be written next: whole decisions, not much in all.
    [[nodiscard]] std::vector<coordination::Effects> next_decisions();
    /// One batch, or several for a decision that is larger than a batch may be.
    [[nodiscard]] port::Task<protocol::ErrorCode> write(
        const std::vector<coordination::Effects>* decisions);
    [[nodiscard]] coordination::GroupSettings settings() const;

    void tick();
    void step(const coordination::Input& input);
    void take(coordination::Effects effects);
    void send(std::vector<coordination::Reply> replies);
    void fail(protocol::ErrorCode code);
    void refuse_all(protocol::ErrorCode code);
    void set_alarm(Instant wake_at);

    Core& core_;
    TopicId topic_;
    PartitionId partition_;
    port::Gate& work_;
    Phase phase_ = Phase::kLoading;
    std::unique_ptr<coordination::Coordinator> coordinator_;
    replication::PartitionPtr log_;
    /// In order of ticket, so that a stop ends them in the same order on every run.
    std::map<coordination::Ticket, Waiter*> waiters_;
    coordination::Ticket next_ticket_ = 1;
    /// Not yet being written.
    std::deque<coordination::Effects> decided_;
    bool is_writing_ = false;
    Alarm alarm_;
    port::Notifier stopped_;
};

}  // namespace dlog::broker
