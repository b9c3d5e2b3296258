/// A group of the consumer protocol (KIP-848): its members, what each is to have and what each has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "coordination/group/assignors.h"
#include "coordination/group/classic_group.h"
#include "coordination/group/input.h"
#include "coordination/group/records.h"
#include "coordination/group/settings.h"
#include "coordination/group/timetable.h"

namespace dlog::coordination {

/// In heartbeats and records in the place of a member's epoch.
inline constexpr std::int32_t kJoiningEpoch = 0;
inline constexpr std::int32_t kLeavingEpoch = -1;
/// A static member goes, and its instance comes back before its session ends.
inline constexpr std::int32_t kStaticLeavingEpoch = -2;

/// How far a member has come on its way to the target. The numbers are those of Kafka's records.
enum class MemberState : std::int8_t {
    kStable = 0,                ///< It has what it is to have as of its epoch.
    kUnrevokedPartitions = 1,   ///< It has been told to give some up and has not said it did.
    kUnreleasedPartitions = 2,  ///< It waits for what others have not given up yet.
};

/// For each partition the epoch in which it was assigned: commits of earlier epochs are refused.
using HeldPartitions = std::map<TopicId, std::map<std::int32_t, std::int32_t>>;

/// What a member that uses the classic protocol says besides.
struct ClassicProfile {
    std::int32_t session_timeout_ms = 0;
    ClassicProtocols protocols;  ///< Not empty; the first one is what it is told to use.
    bool operator==(const ClassicProfile&) const = default;
};

struct ConsumerMember {
    /// What the member says of itself.
    struct Profile {
        std::optional<std::string> instance_id;  ///< A static member has one.
        std::optional<std::string> rack_id;
        std::string client_id;
        std::string client_host;
        std::vector<std::string> topics;  ///< Ascending, without doubles; they need not exist.
        /// Besides, all topics that this regular expression matches.
        std::optional<std::string> pattern;
        std::int32_t rebalance_timeout_ms = -1;
        std::optional<std::string> assignor;
        std::optional<ClassicProfile> classic;
        bool operator==(const Profile&) const = default;
    };
    /// Where it stands.
    struct Progress {
        std::int32_t epoch = kJoiningEpoch;
        std::int32_t previous_epoch = -1;
        MemberState state = MemberState::kStable;
        HeldPartitions assigned;
        HeldPartitions revoking;  ///< To be given up; nobody else may have them yet.
        bool operator==(const Progress&) const = default;
    };

    std::string id;
    Profile profile;
    Progress progress;
    PartitionSet target;

    Instant session_ends = kNever;
    /// Until when it has to give up what it was told to; a classic one: to join or sync.
    Instant revocation_ends = kNever;
    /// Its profile has been seen. False only while records are folded.
    bool has_profile = false;

    [[nodiscard]] bool is_classic() const { return profile.classic.has_value(); }
};

class ConsumerGroup {
  public:
    using Members = std::map<std::string, ConsumerMember, std::less<>>;

    explicit ConsumerGroup(std::string group_id) : id(std::move(group_id)) {}

    const std::string id;
    /// Grows whenever the members shall have something else than before.
    std::int32_t epoch = 0;
    /// The epoch that the targets were computed for; they are out of date when it is another one.
    std::int32_t target_epoch = 0;
    /// Of the topics that members are subscribed to, as they were when `epoch` began.
    std::uint64_t metadata_hash = 0;
    /// The Topics::version() that has been looked at.
    std::optional<std::uint64_t> topics_version;
    /// What the members' regular expressions match, as of `patterns_version` of the topics or
    /// later: names, ascending.
    std::map<std::string, std::vector<std::string>, std::less<>> patterns;
    std::optional<std::uint64_t> patterns_version;
    /// Until then other topics do not count: all would have to be matched at every change.
    Instant patterns_fixed_until;
    Timetable::Slot slot;

    /// Whether the topics have changed since, and long enough ago.
    [[nodiscard]] bool are_patterns_due(const Now& now) const {
        return patterns_version != now.topics.version() && now.instant >= patterns_fixed_until;
    }

    [[nodiscard]] const Members& members() const { return members_; }
    [[nodiscard]] Members& members() { return members_; }
    [[nodiscard]] ConsumerMember* find(std::string_view member_id);
    [[nodiscard]] ConsumerMember* static_member(std::string_view instance_id);
    /// The one of this id, or a new one.
    ConsumerMember& get(const std::string& member_id);
    void remove(const std::string& member_id);
    /// Goes on under another id, which no member has.
    ConsumerMember& rename(ConsumerMember& member, const std::string& new_id);
    void set_profile(ConsumerMember& member, ConsumerMember::Profile profile);
    void set_progress(ConsumerMember& member, ConsumerMember::Progress progress);
    [[nodiscard]] std::size_t classic_count() const { return classic_count_; }
    /// Whether all classic members but this one, which may be null, support one of the protocols.
    [[nodiscard]] bool has_common_protocol(const ClassicProtocols& protocols,
                                           const ConsumerMember* except) const;
    /// Nobody has it, nor still has to give it up.
    [[nodiscard]] bool is_free(TopicId topic, std::int32_t partition) const {
        return !holders_.contains({topic, partition});
    }

    /// "Empty", "Assigning", "Reconciling" or "Stable", as Kafka names them.
    [[nodiscard]] std::string_view state() const;
    [[nodiscard]] bool is_reconciled(const ConsumerMember& member) const {
        return member.progress.state == MemberState::kStable &&
               member.progress.epoch == target_epoch;
    }
    /// All topics that it wants, by name or by pattern, ascending. They need not exist.
    [[nodiscard]] std::vector<std::string_view> topics_of(const ConsumerMember& member) const;
    /// Of these topics those that members are subscribed to.
    [[nodiscard]] std::vector<bool> subscribed(const std::vector<std::string_view>& topics) const;

    [[nodiscard]] GroupRecord epoch_record() const;
    [[nodiscard]] GroupRecord target_epoch_record(Timestamp now) const;
    [[nodiscard]] GroupRecord profile_record(const ConsumerMember& member) const;
    [[nodiscard]] GroupRecord target_record(const ConsumerMember& member) const;
    [[nodiscard]] GroupRecord progress_record(const ConsumerMember& member) const;
    /// One of `patterns`.
    [[nodiscard]] GroupRecord pattern_record(const std::string& pattern, const Now& now,
                                             const GroupSettings& settings) const;
    void add_tombstones(const std::string& member_id, Effects& effects) const;
    /// Of the whole group, which has no members.
    void add_tombstones(Effects& effects) const;

  private:
    struct Partition {
        TopicId topic;
        std::int32_t number = 0;
        bool operator==(const Partition&) const = default;
    };
    struct PartitionHash {
        std::size_t operator()(const Partition& partition) const {
            return IdHash()(partition.topic) ^
                   mix_bits(static_cast<std::uint64_t>(partition.number));
        }
    };
    void count(const HeldPartitions& partitions, int change);

    Members members_;
    std::map<std::string, std::string, std::less<>> static_members_;
    /// By how many members each is held. More than one: the records were damaged.
    std::unordered_map<Partition, int, PartitionHash> holders_;
    std::size_t classic_count_ = 0;
};

// What records say, as far as it makes sense.
[[nodiscard]] ConsumerMember::Profile profile_from_record(ConsumerGroupMemberMetadataValue&& value);
[[nodiscard]] ConsumerMember::Progress progress_from_record(
    const ConsumerGroupCurrentMemberAssignmentValue& value);
[[nodiscard]] PartitionSet target_from_record(
    const ConsumerGroupTargetAssignmentMemberValue& value);

/// Clients and Kafka's records have an empty one where there is none.
[[nodiscard]] std::optional<std::string> without_empty(std::optional<std::string> text);

/// Sorted, each once.
[[nodiscard]] std::vector<std::string> topic_list(std::vector<std::string> names);

}  // namespace dlog::coordination
