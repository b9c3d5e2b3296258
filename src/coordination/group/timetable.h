/// When which group has to be looked at next.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/time.h"

namespace dlog::coordination {

/// One entry a group, at or before the earliest of its deadlines: a deadline that moves into the
/// future, as every heartbeat moves one, costs nothing here. The group is looked at too early then,
/// and enters itself again.
class Timetable {
  public:
    /// A group's own note of where it stands.
    struct Slot {
        Instant at = kNever;
    };

    /// The group is looked at by `at`.
    void wake_by(Instant at, const std::string& group_id, Slot& slot) {
        if (at >= slot.at) return;
        forget(group_id, slot);
        slot.at = at;
        entries_.emplace(at, group_id);
    }
    void forget(const std::string& group_id, Slot& slot) {
        if (slot.at == kNever) return;
        entries_.erase({slot.at, group_id});
        slot.at = kNever;
    }

    [[nodiscard]] Instant earliest() const {
        return entries_.empty() ? kNever : entries_.begin()->first;
    }
    /// Takes out a group whose time has come. Its slot has to be emptied with `forget`, or filled
    /// anew with `wake_by` after that.
    [[nodiscard]] std::optional<std::string> due(Instant now) const {
        if (entries_.empty() || entries_.begin()->first > now) return std::nullopt;
        return entries_.begin()->second;
    }

  private:
    std::set<std::pair<Instant, std::string>> entries_;
};

}  // namespace dlog::coordination
