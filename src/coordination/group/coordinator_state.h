/// What a Coordinator holds. Groups of all kinds share one timetable, and their offsets lie apart
/// from them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "coordination/group/classic_groups.h"
#include "coordination/group/consumer_groups.h"
#include "coordination/group/coordinator.h"
#include "coordination/group/offsets.h"
#include "coordination/group/step.h"
#include "coordination/group/timetable.h"

namespace dlog::coordination {

struct Coordinator::State {
    State(GroupSettings group_settings, std::uint64_t seed)
        : settings(std::move(group_settings)),
          random(seed),
          classic(timetable),
          consumer(timetable) {}

    // coordinator.cc
    void handle(Step& step, const Join& join);
    void handle(Step& step, const Sync& sync);
    void handle(Step& step, const Beat& beat);
    void handle(Step& step, const Leave& leave);
    void handle(Step& step, const Describe& describe);
    void handle(Step& step, const List& list);
    void handle(Step& step, const Delete& remove);
    void handle(Step& step, const ConsumerBeat& beat);
    void handle(Step& step, const ConsumerDescribe& describe);
    void handle(Step& step, const Tick& tick);
    void resolve_twins();

    // migration.cc
    /// For the sender, who joins. False, and nothing has changed, when that may not be.
    [[nodiscard]] bool upgrade(Step& step, ClassicGroup& group,
                               const protocol::ConsumerGroupHeartbeatRequest& request);
    /// When all members are classic ones. There need not be such a group.
    void downgrade_if_due(Step& step, const std::string& group_id);

    // offset_requests.cc
    void handle(Step& step, const Commit& commit);
    void handle(Step& step, const FetchOffsets& fetch);
    void handle(Step& step, const DeleteOffsets& remove);
    void handle(Step& step, const TopicsDeleted& deleted);
    [[nodiscard]] protocol::ErrorCode admit_commit(Step& step, const Commit& commit);
    void expire_offsets(Step& step);
    /// The number of offsets that were looked at.
    std::size_t expire_offsets_of(Step& step, const std::string& group_id);

    GroupSettings settings;
    Random random;
    Timetable timetable;
    ClassicGroups classic;
    ConsumerGroups consumer;  ///< No group is in both.
    Offsets offsets;

    Instant next_expiry = kNever;
    /// The groups that this round of expiry has still to look at.
    std::vector<std::string> to_expire;
};

}  // namespace dlog::coordination
