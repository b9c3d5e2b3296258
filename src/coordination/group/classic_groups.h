/// All classic groups, and what requests and time do to them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "coordination/group/classic_group.h"
#include "coordination/group/input.h"
#include "coordination/group/step.h"
#include "coordination/group/timetable.h"

namespace dlog::coordination {

/// Kafka's classic protocol, KIP-62, KIP-345 and KIP-394 included. A group is in Kafka's state Dead
/// when it is not here. Each JoinGroup and SyncGroup that waits is answered once: when the group is
/// ready, when its member sends another one, or when its member is removed.
class ClassicGroups {
  public:
    using Groups =
        std::unordered_map<std::string, std::unique_ptr<ClassicGroup>, TextHash, std::equal_to<>>;

    explicit ClassicGroups(Timetable& timetable) : timetable_(timetable) {}

    [[nodiscard]] ClassicGroup* find(std::string_view group_id);
    [[nodiscard]] const Groups& groups() const { return groups_; }
    /// An empty group, made without a record: it is known by its offsets.
    ClassicGroup& create(std::string_view group_id);
    /// Takes the place of the one of the same id.
    void put(std::unique_ptr<ClassicGroup> group);
    /// Nobody waits in it.
    void erase(ClassicGroup& group);
    /// The sessions of all members begin now.
    void begin_sessions(Step& step);

    /// What is wrong with a JoinGroup itself, whatever group it is about.
    [[nodiscard]] static protocol::ErrorCode check(const GroupSettings& settings,
                                                   const protocol::JoinGroupRequest& request);
    void join(Step& step, const Join& join);
    void sync(Step& step, const Sync& sync);
    void beat(Step& step, const Beat& beat);
    void leave(Step& step, const Leave& leave);
    /// Whether the sender may commit. If so, its session begins anew.
    [[nodiscard]] protocol::ErrorCode admit_commit(Step& step, ClassicGroup& group,
                                                   const protocol::OffsetCommitRequest& request);
    /// Its members come from a group of the other protocol and are to rejoin.
    void take_over(Step& step, std::unique_ptr<ClassicGroup> group);
    /// Those who wait are to join again, and who has had no reply yet is no member.
    void break_off(Step& step, ClassicGroup& group);
    /// What the time has brought to this group.
    void look_at(Step& step, ClassicGroup& group);

    [[nodiscard]] static protocol::DescribeGroupsResponse::DescribedGroup describe(
        const ClassicGroup& group, std::vector<Buffer>& backing);
    [[nodiscard]] std::uint64_t completed_rebalances() const { return completed_rebalances_; }

  private:
    // classic_join.cc
    void join_new_member(Step& step, ClassicGroup& group, const Join& join);
    void join_known_member(Step& step, ClassicGroup& group, const Join& join);
    void add_member(Step& step, ClassicGroup& group, const Join& join, std::string member_id);
    void update_member(Step& step, ClassicGroup& group, const Join& join, ClassicMember& member);
    void replace_static_member(Step& step, ClassicGroup& group, const Join& join,
                               const std::string& old_id);
    [[nodiscard]] static bool accepts(const Step& step, ClassicGroup& group,
                                      std::string_view member_id);

    // classic_membership.cc
    [[nodiscard]] protocol::ErrorCode admit_beat(Step& step,
                                                 const protocol::HeartbeatRequest& request);

    // classic_rebalance.cc
    void rebalance(Step& step, ClassicGroup& group);
    /// After members have come or gone.
    void rebalance_or_complete(Step& step, ClassicGroup& group);
    void complete_join_if_ready(Step& step, ClassicGroup& group);
    void complete_join(Step& step, ClassicGroup& group);
    void on_join_time(Step& step, ClassicGroup& group);
    void on_sync_time(Step& step, ClassicGroup& group);
    /// Answers what it waits for with the error and removes it.
    void remove_member(Step& step, ClassicGroup& group, const std::string& member_id,
                       protocol::ErrorCode error);
    void refuse_waiting(Step& step, ClassicGroup& group, ClassicMember& member,
                        protocol::ErrorCode error);
    void begin_session(Step& step, ClassicGroup& group, ClassicMember& member);
    void wake_by(ClassicGroup& group, Instant at) { timetable_.wake_by(at, group.id, group.slot); }

    Timetable& timetable_;
    Groups groups_;
    std::uint64_t completed_rebalances_ = 0;
};

/// From this version of JoinGroup on dynamic members first ask for an id (KIP-394).
inline constexpr std::int16_t kFirstVersionWithMemberIdRequired = 4;
/// How long a member may take to join again. Version 0 has no time for that.
[[nodiscard]] Duration rebalance_timeout(const protocol::JoinGroupRequest& request);
/// A reply that tells of the group's present generation.
[[nodiscard]] protocol::JoinGroupResponse join_reply(const ClassicGroup& group,
                                                     std::string_view member_id);
/// The leader learns of all members.
void tell_members(const ClassicGroup& group, protocol::JoinGroupResponse& response,
                  std::vector<Buffer>& backing);

}  // namespace dlog::coordination
