/// What the code of one step needs at hand.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "coordination/group/input.h"
#include "coordination/group/settings.h"

namespace dlog::coordination {

struct Step {
    const Now& now;
    const GroupSettings& settings;
    Random& random;
    Effects& effects;

    template <class M>
    void reply(Ticket ticket, M&& message, std::vector<Buffer> backing = {}) {
        effects.replies.push_back(
            {.ticket = ticket, .message = std::forward<M>(message), .backing = std::move(backing)});
    }
    /// A time that lies after this step whatever a client or an operator asked for: a deadline that
    /// has come when it is set would be set again and again within the same instant.
    [[nodiscard]] Instant after(Duration delay) const {
        return now.instant + std::max(delay, milliseconds(1));
    }
};

/// For maps that are searched by views.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
        return std::hash<std::string_view>()(text);
    }
};

/// An id of a new member as Kafka makes it: what it comes from, and a random UUID (version 4).
[[nodiscard]] std::string make_member_id(std::string_view prefix, Random& random);

}  // namespace dlog::coordination
