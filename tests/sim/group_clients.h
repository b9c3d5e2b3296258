/// Members of consumer groups in a simulated run: of classic groups, of the consumer protocol
/// (KIP-848), and of groups that go from one to the other and back.
#pragma once

#include <cstdint>
#include <string>

#include "clients.h"
#include "group_history.h"
#include "port/task.h"

namespace dlog::simtest {

enum class GroupKind : std::uint8_t {
    kClassic,   ///< what its members say means nothing to the coordinator
    kConsumer,  ///< the coordinator assigns
    kMixed,     ///< each member speaks the one protocol or the other, and changes now and then
};

struct GroupPlan {
    std::string group;
    GroupKind kind = GroupKind::kClassic;
    /// A topic that is there, and how many partitions it has.
    std::string topic;
    TopicId topic_id;
    std::int32_t partitions = 1;
    std::uint64_t seed = 0;
    /// Who it is in the run, whatever ids it gets.
    std::string name;
    /// Not empty: a static member (KIP-345).
    std::string instance_id;
};

/// The coordinator waits at least so long for a member that it does not hear of.
inline constexpr std::int32_t kSessionTimeoutMs = 2500;
inline constexpr std::int32_t kRebalanceTimeoutMs = 2000;

/// Joins, takes its part, commits ever higher offsets, vanishes now and then and comes back; leaves
/// when the clients stop producing and every partition has its owner.
port::Task<void> be_member(Clients& clients, GroupHistory& groups, GroupPlan plan);

/// Fetches all of the group's offsets once and checks them; one of the readings that are missing.
port::Task<void> check_offsets(Clients& clients, GroupHistory& groups, GroupPlan plan);

}  // namespace dlog::simtest
