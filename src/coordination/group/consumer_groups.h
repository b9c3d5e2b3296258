/// All groups of the consumer protocol, and what requests and time do to them.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "coordination/group/consumer_group.h"
#include "coordination/group/input.h"
#include "coordination/group/step.h"
#include "coordination/group/timetable.h"
#include "protocol/messages/consumer_protocol.h"

namespace dlog::coordination {

/// What a member says that it holds.
using OwnedPartitions = std::vector<protocol::ConsumerGroupHeartbeatRequest::TopicPartitions>;

struct Refusal {
    protocol::ErrorCode code = protocol::ErrorCode::kNone;
    std::string message;
};

/// KIP-848. Each heartbeat may change what its member wants, brings the targets of all up to date
/// and leads its own member one step towards its target: first it gives up what others are to have,
/// then it gets what they have given up. A group is in Kafka's state Dead when it is not here.
class ConsumerGroups {
  public:
    using Groups =
        std::unordered_map<std::string, std::unique_ptr<ConsumerGroup>, TextHash, std::equal_to<>>;

    explicit ConsumerGroups(Timetable& timetable) : timetable_(timetable) {}

    [[nodiscard]] ConsumerGroup* find(std::string_view group_id);
    [[nodiscard]] const Groups& groups() const { return groups_; }
    /// Nobody is in it.
    void erase(ConsumerGroup& group);

    /// Folds in a record of this type; `fields` are those of its key. Others are passed over.
    [[nodiscard]] std::expected<void, std::string> replay(std::int16_t type, ByteView fields,
                                                          bool is_tombstone, ByteView value);
    /// The sessions of all members begin now.
    void begin_sessions(Step& step);
    void begin_sessions(Step& step, ConsumerGroup& group);

    /// What is wrong with the request itself, whatever group it is about.
    [[nodiscard]] static std::optional<Refusal> check(
        const GroupSettings& settings, const protocol::ConsumerGroupHeartbeatRequest& request);
    /// The request has been checked, and no classic group of its id has members.
    void beat(Step& step, const ConsumerBeat& beat);
    // Classic members of such a group (KIP-848), in consumer_bridge.cc. Each is led as the others
    // are: its JoinGroup is a heartbeat that says everything, its epoch is the generation that it
    // is told, and SyncGroup tells what it has. Nobody of them leads.
    void join(Step& step, ConsumerGroup& group, const Join& join);
    void sync(Step& step, ConsumerGroup& group, const Sync& sync);
    void beat(Step& step, ConsumerGroup& group, const Beat& beat);
    /// Classic members, and static members that an operator removes by their instance ids.
    void leave(Step& step, ConsumerGroup& group, const Leave& leave);
    /// What the time has brought to this group.
    void look_at(Step& step, ConsumerGroup& group);

    /// Whether the sender may commit anything at all.
    [[nodiscard]] static protocol::ErrorCode check_commit(
        ConsumerGroup& group, const protocol::OffsetCommitRequest& request, std::int16_t version);
    /// Whether it may commit for this partition: not when the partition has come to it, perhaps
    /// from another member, later than in the epoch in which the sender believes itself.
    [[nodiscard]] static protocol::ErrorCode check_commit(
        ConsumerGroup& group, const protocol::OffsetCommitRequest& request, TopicId topic,
        std::int32_t partition);
    [[nodiscard]] static protocol::ErrorCode check_fetch(
        ConsumerGroup& group, const protocol::OffsetFetchRequest::OffsetFetchRequestGroup& request);

    [[nodiscard]] static protocol::ConsumerGroupDescribeResponse::DescribedGroup describe(
        const Step& step, const ConsumerGroup& group);
    /// A group as its classic one was, with records of everything; none when what its members said
    /// makes no sense. The classic one stays as it is.
    ConsumerGroup* adopt(Step& step, const ClassicGroup& classic);

    [[nodiscard]] std::uint64_t rebalances() const { return rebalances_; }

  private:
    using Request = protocol::ConsumerGroupHeartbeatRequest;
    using Response = protocol::ConsumerGroupHeartbeatResponse;

    ConsumerGroup& get(const std::string& group_id);

    // consumer_replay.cc. Null: a tombstone.
    template <class Key, class Value>
    [[nodiscard]] std::expected<void, std::string> replay(ByteView fields, bool is_tombstone,
                                                          ByteView bytes);
    void fold(const ConsumerGroupMetadataKey& key, ConsumerGroupMetadataValue* value);
    void fold(const ConsumerGroupTargetAssignmentMetadataKey& key,
              ConsumerGroupTargetAssignmentMetadataValue* value);
    void fold(const ConsumerGroupMemberMetadataKey& key, ConsumerGroupMemberMetadataValue* value);
    void fold(const ConsumerGroupTargetAssignmentMemberKey& key,
              ConsumerGroupTargetAssignmentMemberValue* value);
    void fold(const ConsumerGroupCurrentMemberAssignmentKey& key,
              ConsumerGroupCurrentMemberAssignmentValue* value);
    void fold(const ConsumerGroupRegularExpressionKey& key,
              ConsumerGroupRegularExpressionValue* value);

    // consumer_bridge.cc
    [[nodiscard]] std::expected<protocol::JoinGroupResponse, protocol::ErrorCode> admit_join(
        Step& step, ConsumerGroup& group, const Join& join);
    [[nodiscard]] protocol::ErrorCode admit_sync(Step& step, ConsumerGroup& group,
                                                 const protocol::SyncGroupRequest& request);
    [[nodiscard]] protocol::ErrorCode admit_beat(Step& step, ConsumerGroup& group,
                                                 const protocol::HeartbeatRequest& request);
    /// It has been told to join again.
    void await_join(Step& step, ConsumerGroup& group, ConsumerMember& member);

    // consumer_heartbeat.cc
    [[nodiscard]] std::expected<Response, Refusal> stay(Step& step, const ConsumerBeat& beat);
    [[nodiscard]] std::expected<Response, Refusal> leave(Step& step, const Request& request);
    /// The member's place, new or not, with what it says of itself now. True when the group has to
    /// be assigned anew because of that.
    [[nodiscard]] bool update_member(Step& step, ConsumerGroup& group, const ConsumerBeat& beat,
                                     ConsumerMember*& member);
    /// The same with a profile of either protocol, and the id under which the member goes on.
    [[nodiscard]] bool put_member(Step& step, ConsumerGroup& group, const std::string& id,
                                  ConsumerMember::Profile profile, ConsumerMember*& member);
    /// The member has given a sign of life.
    void begin_session(Step& step, const ConsumerGroup& group, ConsumerMember& member);
    /// One step towards its target.
    void advance(Step& step, ConsumerGroup& group, ConsumerMember& member,
                 const OwnedPartitions* owned);
    void remove(Step& step, ConsumerGroup& group, const std::vector<std::string>& member_ids);

    // consumer_reconcile.cc
    /// Begins a new epoch if it must, or if the topics have become others.
    void update_epoch(Step& step, ConsumerGroup& group, bool must_change);
    /// Matches the patterns anew as far as that is due. True when one matches something else.
    [[nodiscard]] bool match_patterns(Step& step, ConsumerGroup& group);
    void assign(Step& step, ConsumerGroup& group);
    void wake_by(ConsumerGroup& group, Instant at) { timetable_.wake_by(at, group.id, group.slot); }

    Timetable& timetable_;
    Groups groups_;
    std::uint64_t rebalances_ = 0;
};

/// For classic members; without topics that there are no more.
[[nodiscard]] protocol::ConsumerProtocolAssignment embedded_assignment(
    const HeldPartitions& partitions, const Topics& topics);

/// The one that most members ask for; the earliest in the settings of those with as many.
[[nodiscard]] std::string_view assignor_name(const ConsumerGroup& group,
                                             const GroupSettings& settings);

/// The member's next step towards its target. `owned` is null when it has not said what it holds.
[[nodiscard]] ConsumerMember::Progress next_progress(const ConsumerGroup& group,
                                                     const ConsumerMember& member,
                                                     const OwnedPartitions* owned);

}  // namespace dlog::coordination
