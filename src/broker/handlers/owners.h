/// Requests that name partitions: finding them in the view, and going to the cores that own them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "broker/core.h"
#include "port/task.h"

namespace dlog::broker {

/// A partition that a request asks about, and where its answer goes.
template <class Asked, class Answer>
struct AskedPartition {
    TopicId topic_id;
    CoreId owner;
    const Asked* asked = nullptr;
    Answer* answer = nullptr;
};

/// The partitions that a request has named so far: what it costs to answer is bounded by what there
/// is, not by how often it is named.
class NamedPartitions {
  public:
    /// False when it was named before. `topic` lives as long.
    [[nodiscard]] bool add(std::string_view topic, std::int32_t partition) {
        return named_.emplace(topic, partition).second;
    }
    [[nodiscard]] bool contains(std::string_view topic, std::int32_t partition) const {
        return named_.contains({topic, partition});
    }

  private:
    std::set<std::pair<std::string_view, std::int32_t>> named_;
};

/// Calls `visit` for each part on the core that owns it, and comes home. The parts live as long.
template <class Part>
port::Task<void> visit_owners(Core* home, std::vector<Part>* parts,
                              port::Task<void> (*visit)(Core* owner, Part* part)) {
    std::ranges::sort(*parts, {}, &Part::owner);
    Core* here = home;
    for (Part& part : *parts) {
        Core* const owner = &home->other(part.owner);
        co_await port::hop(here->ports.spawn, part.owner);
        here = owner;
        co_await visit(owner, &part);
    }
    co_await port::hop(here->ports.spawn, home->id());
}

}  // namespace dlog::broker
