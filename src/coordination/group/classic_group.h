/// A classic group: its members, the protocols that they have in common, its generation.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/time.h"
#include "coordination/group/input.h"
#include "coordination/group/records.h"
#include "coordination/group/timetable.h"

namespace dlog::coordination {

enum class GroupState : std::uint8_t {
    kEmpty,                ///< No members; offsets perhaps.
    kPreparingRebalance,   ///< Waits for members to join.
    kCompletingRebalance,  ///< All have joined; waits for the leader's assignment.
    kStable,
};
/// As Kafka shows it.
[[nodiscard]] std::string_view group_state_name(GroupState state);

struct ClassicProtocol {
    std::string name;
    Buffer metadata;

    bool operator==(const ClassicProtocol& other) const {
        return name == other.name && as_text(metadata.view()) == as_text(other.metadata.view());
    }
};
using ClassicProtocols = std::vector<ClassicProtocol>;
/// Copied; of several with one name only the first.
[[nodiscard]] ClassicProtocols copy_protocols(
    const std::vector<protocol::JoinGroupRequest::JoinGroupRequestProtocol>& protocols);

/// What lengths and numbers add to each text of a record.
inline constexpr std::size_t kClassicFieldBytes = 16;

/// What protocols take in a record at most.
[[nodiscard]] std::size_t content_bytes(
    const std::vector<protocol::JoinGroupRequest::JoinGroupRequestProtocol>& protocols);

struct ClassicMember {
    std::string id;
    std::optional<std::string> instance_id;  ///< A static member has one (KIP-345).
    std::string client_id;
    std::string client_host;
    Duration rebalance_timeout;
    Duration session_timeout;
    ClassicProtocols protocols;  ///< The preferred one first.
    Buffer assignment;
    std::optional<Ticket> joining;  ///< Its JoinGroup waits. Set by the group.
    std::optional<Ticket> syncing;  ///< Its SyncGroup waits.
    bool has_synced = false;        ///< In this generation.
    bool is_new = false;            ///< Has had no reply yet, and so cannot send heartbeats.
    Instant deadline = kNever;      ///< It is removed then.
    std::size_t counted_bytes = 0;  ///< The group's.

    [[nodiscard]] bool is_static() const { return instance_id.has_value(); }
    /// Empty when it does not support the protocol.
    [[nodiscard]] Buffer metadata(std::string_view protocol) const;
    [[nodiscard]] bool has_same(
        const std::vector<protocol::JoinGroupRequest::JoinGroupRequestProtocol>& others) const;
};

/// Pure bookkeeping: who is told what is decided in classic_groups.h.
class ClassicGroup {
  public:
    using Members = std::map<std::string, ClassicMember, std::less<>>;

    explicit ClassicGroup(std::string group_id) : id(std::move(group_id)) {}

    const std::string id;
    GroupState state = GroupState::kEmpty;
    std::int32_t generation = 0;
    /// None: offsets were committed, but nobody ever joined.
    std::optional<std::string> protocol_type;
    std::optional<std::string> protocol_name;
    std::optional<std::string> leader;
    Timestamp state_since = kNoTimestamp;
    /// Ids that were handed out with MEMBER_ID_REQUIRED (KIP-394), and until when they are valid.
    std::map<std::string, Instant, std::less<>> pending;

    Instant join_at = kNever;  ///< The rebalance goes on then with those who have joined.
    Instant sync_at = kNever;  ///< Those who have not synced are removed then.
    bool is_first = false;     ///< The rebalance is an empty group's, which waits for more members.
    bool has_newcomer = false;  ///< Since the last time that such a rebalance was put off.
    Duration put_off_left;      ///< How long it may still be put off.
    Timetable::Slot slot;

    [[nodiscard]] const Members& members() const { return members_; }
    [[nodiscard]] Members& members() { return members_; }
    [[nodiscard]] ClassicMember* find(std::string_view member_id);
    /// The id of the member that has this instance id.
    [[nodiscard]] const std::string* static_member(std::string_view instance_id) const;
    /// Kafka's checks of a member that names itself: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or NONE.
    [[nodiscard]] protocol::ErrorCode check_member(
        std::string_view member_id, const std::optional<std::string>& instance_id) const;

    /// The first one decides about the protocol type and leads.
    ClassicMember& add(ClassicMember member, std::string_view type);
    /// Its tickets have been answered. Another one leads when it led.
    void remove(std::string_view member_id);
    void set_protocols(ClassicMember& member, ClassicProtocols protocols);
    void set_joining(ClassicMember& member, std::optional<Ticket> ticket);
    /// The static member goes on under another id.
    ClassicMember& rename(const std::string& old_id, const std::string& new_id);

    [[nodiscard]] bool supports(
        std::string_view type,
        const std::vector<protocol::JoinGroupRequest::JoinGroupRequestProtocol>& protocols) const;
    /// Each member votes for the first of its protocols that all support. There are members.
    [[nodiscard]] std::string elect_protocol() const;
    /// A leader that has joined: the old one, if it has. False when nobody has joined.
    [[nodiscard]] bool elect_leader();
    [[nodiscard]] std::size_t joining_count() const { return joining_count_; }
    [[nodiscard]] bool have_all_joined() const {
        return joining_count_ == members_.size() && pending.empty();
    }
    [[nodiscard]] bool leads(std::string_view member_id) const { return leader == member_id; }
    /// What its members' parts of the group's record take at most, without their assignments.
    [[nodiscard]] std::size_t content_bytes() const { return content_bytes_; }
    /// The longest of its members.
    [[nodiscard]] Duration rebalance_timeout() const;
    void enter(GroupState next, Timestamp now);

    /// Of these topics those that members have subscribed to, or all when that cannot be known.
    [[nodiscard]] std::vector<bool> subscribed(const std::vector<std::string_view>& topics) const;

    /// Of an empty or a stable group.
    [[nodiscard]] GroupRecord record() const;
    /// A group as its record tells it. The record may be damaged in any way.
    [[nodiscard]] static std::unique_ptr<ClassicGroup> from_record(std::string group_id,
                                                                   const GroupMetadataValue& value);

  private:
    void count(const ClassicMember& member, int change);
    void count_bytes(ClassicMember& member, std::size_t bytes);

    Members members_;
    std::map<std::string, std::string, std::less<>> static_members_;
    /// How many members support a protocol.
    std::map<std::string, std::size_t, std::less<>> supporters_;
    std::size_t joining_count_ = 0;
    std::size_t content_bytes_ = 0;
};

}  // namespace dlog::coordination
