/// What the lives of a group's member have in common, whichever protocol it speaks in each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "group_clients.h"
#include "protocol/error_code.h"
#include "wire.h"

namespace dlog::simtest {

struct Member {
    Member(Clients& owner, GroupHistory& group_history, GroupPlan group_plan)
        : clients(owner),
          groups(group_history),
          plan(std::move(group_plan)),
          random(plan.seed),
          wire(owner.ports, owner.endpoint) {}

    [[nodiscard]] std::optional<std::string> instance_id() const {
        if (plan.instance_id.empty()) return std::nullopt;
        return plan.instance_id;
    }
    [[nodiscard]] Instant now() const { return clients.ports.clock.now(); }
    [[nodiscard]] bool goes_on() {
        return clients.is_producing || !groups.has_settled(plan.group, plan.partitions, now());
    }
    /// It goes away after so many heartbeats on average: sooner where the protocol changes.
    [[nodiscard]] std::uint64_t beats() const { return plan.kind == GroupKind::kMixed ? 30 : 100; }
    /// It is no member any more, and has nothing.
    void forget() {
        id.clear();
        generation = -1;
        release_all();
    }
    void release_all() {
        positions.clear();
        groups.releases_all(plan.group, plan.name);
    }
    /// The coordinator answered what was sent then: it hears of its partitions' end before that.
    void renew(Instant sent) {
        const Instant until = sent + milliseconds(std::min(kSessionTimeoutMs, kRebalanceTimeoutMs));
        for (const auto& [partition, offset] : positions) {
            groups.holds(plan.group, partition, plan.name, now(), until);
        }
    }

    Clients& clients;
    GroupHistory& groups;
    GroupPlan plan;
    Random random;
    Wire wire;
    bool is_consumer = false;  ///< speaks the consumer protocol in this life
    std::string id;
    std::int32_t generation = -1;  ///< or its epoch
    /// The partitions that it has, and up to where it has committed them; nothing until it knows.
    std::map<std::int32_t, std::optional<std::int64_t>> positions;
    std::vector<std::string> followers;  ///< everyone, when it leads
    bool must_report = false;            ///< what it has is not what it last said
};

/// True when all is well. Otherwise the member has drawn the consequences.
bool look_at(Member& self, protocol::ErrorCode code, std::string_view what);
/// An answer was lost.
void lose(Member& self);

port::Task<bool> find_coordinator(Member& self);
/// Begins where the group stands, in partitions whose position it does not know.
port::Task<bool> begin_at_offsets(Member& self);
port::Task<bool> commit(Member& self);

/// A membership from its beginning to what ends it, in the one protocol or the other.
port::Task<void> live_one_generation(Member& self);
port::Task<void> live_as_consumer(Member& self);
port::Task<void> leave_as_consumer(Member& self);

}  // namespace dlog::simtest
