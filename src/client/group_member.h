/// A consumer's membership of a group: joins, is given partitions, says that it lives, leaves. By
/// the classic protocol, in which the members' leader decides, or by the new one (KIP-848), in
/// which the broker does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "client/assignors.h"
#include "client/cluster.h"
#include "client/groups.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::client {

enum class GroupProtocol : std::uint8_t { kClassic, kConsumer };

/// What a member of a classic group offers. Members agree on one; only when all of theirs are
/// cooperative do partitions that stay go on being read through a rebalance.
enum class OfferedAssignors : std::uint8_t {
    kRange,
    kCooperativeSticky,
    kRangeOrCooperativeSticky,  ///< Java's default: a group moves from one to the other by turns.
};

struct GroupMemberConfig {
    std::string group;
    /// Makes it a static member (KIP-345), which keeps its partitions through a restart.
    std::optional<std::string> instance_id;
    GroupProtocol protocol = GroupProtocol::kClassic;
    OfferedAssignors assignors = OfferedAssignors::kRangeOrCooperativeSticky;
    /// Of the classic protocol; in the new one the broker says both.
    Duration session_timeout = seconds(45);
    Duration heartbeat_interval = seconds(3);
    /// One that is not polled for so long gives its partitions up.
    Duration poll_interval_max = seconds(300);
};

/// Whom a member tells. The member waits for each of the coroutines; heartbeats go on meanwhile.
class GroupListener {
  public:
    /// These are given up when it returns; until then they are this member's, and commits count.
    virtual port::Task<void> revoked(TopicPartitions partitions) = 0;
    /// These are somebody else's already.
    virtual port::Task<void> lost(TopicPartitions partitions) = 0;
    /// A rebalance is over: these came in addition, possibly none.
    virtual port::Task<void> assigned(TopicPartitions added) = 0;
    /// The group refuses this member. It tries again, unless another has taken its instance id.
    virtual void failed(Error error) = 0;
    [[nodiscard]] virtual Instant last_poll() const = 0;

  protected:
    ~GroupListener() = default;
};

/// Belongs to one core. `start` it once; `co_await close()` or `leave()` before it is destroyed,
/// when no coroutine of the listener waits any more.
class GroupMember {
  public:
    GroupMember(Cluster& cluster, GroupMemberConfig config, GroupListener& listener);
    GroupMember(const GroupMember&) = delete;
    GroupMember& operator=(const GroupMember&) = delete;

    void start();
    /// In place of what was subscribed before. With none it waits.
    void subscribe(std::vector<std::string> topics);
    /// The same with all topics whose whole names match `pattern`, one that check_pattern allows.
    /// In the classic protocol this member looks for them when it joins and whenever metadata is
    /// as old as it may be, and leaves out internal ones; in the new one the broker looks.
    void subscribe_pattern(std::string pattern);
    /// Something happened that it may be waiting for: a poll after a long pause.
    void wake_up() { changed_.notify_all(); }

    [[nodiscard]] port::Task<Result<void>> commit(std::vector<CommittedOffset> offsets,
                                                  Instant deadline);
    /// Ends what is under way and tells the group, except as a classic static member, whose
    /// partitions wait for its return.
    [[nodiscard]] port::Task<Result<void>> leave(Instant deadline);
    /// Ends without telling the group, which finds out after the session's timeout.
    [[nodiscard]] port::Task<void> close();

    [[nodiscard]] const TopicPartitions& owned() const { return owned_; }
    /// The generation, or the member's epoch; -1 outside the group.
    [[nodiscard]] std::int32_t generation() const { return generation_; }
    [[nodiscard]] const std::string& id() const { return member_id_; }

  private:
    /// What an answer's error means for the membership.
    enum class Verdict : std::uint8_t { kFine, kRejoin, kLost, kAgain, kRefused };

    static port::Task<void> run(GroupMember* self, port::Gate::Hold hold);
    static port::Task<void> beat(GroupMember* self, port::Gate::Hold hold);
    void end();
    void subscribe_anew();
    [[nodiscard]] bool has_pattern() const { return pattern_ && !pattern_->empty(); }
    [[nodiscard]] bool is_subscribed() const { return has_pattern() || !topics_.empty(); }
    [[nodiscard]] bool is_classic() const { return config_.protocol == GroupProtocol::kClassic; }
    [[nodiscard]] bool comes_back() const { return is_classic() && config_.instance_id; }
    [[nodiscard]] bool is_late() const;
    [[nodiscard]] Verdict judge(const Error& error);
    [[nodiscard]] port::Task<Result<ConnectionPtr>> connect();
    void lose();
    port::Task<void> tell_of_loss();
    port::Task<void> take(TopicPartitions assigned);
    port::Task<Result<void>> say_goodbye(Instant deadline);

    // The classic protocol.
    [[nodiscard]] bool is_cooperative() const {
        return config_.assignors == OfferedAssignors::kCooperativeSticky;
    }
    port::Task<void> join();
    port::Task<Result<TopicPartitions>> join_and_sync();
    template <class Joined>
    port::Task<Result<Assignments>> decide(Joined joined);
    port::Task<Result<PartitionCounts>> count_partitions(std::vector<std::string> topics);
    port::Task<void> look_for_new_partitions();
    port::Task<Result<void>> match_topics();
    port::Task<void> look_for_new_topics();
    port::Task<Result<void>> heartbeat();

    // The new protocol.
    port::Task<Result<void>> consumer_heartbeat();
    template <class Topics>
    port::Task<bool> learn_target(Topics topics);

    Cluster& cluster_;
    const GroupMemberConfig config_;
    GroupListener& listener_;
    /// In the classic protocol with a pattern: what that matched at `matched_at_`.
    std::vector<std::string> topics_;
    /// Empty: no longer, which the broker has to be told; none: never.
    std::optional<std::string> pattern_;
    Instant matched_at_;
    std::string member_id_;
    std::int32_t generation_ = -1;
    TopicPartitions owned_;
    ConnectionPtr coordinator_;  ///< its own: a JoinGroup holds up what is behind it
    Instant last_heard_;
    Duration heartbeat_interval_;
    bool must_join_ = true;
    bool is_joining_ = false;  ///< no heartbeats
    bool is_lost_ = false;
    bool is_fenced_ = false;
    bool is_ending_ = false;
    Backoff backoff_;
    /// What the leader decided upon.
    std::optional<PartitionCounts> counts_;
    std::vector<std::string> counted_topics_;
    /// What the broker wants it to own, and whether it has to be told at once what it does own.
    TopicPartitions target_;
    bool must_beat_ = false;
    bool is_all_said_ = false;
    port::Notifier changed_;
    port::Gate gate_;
};

}  // namespace dlog::client
