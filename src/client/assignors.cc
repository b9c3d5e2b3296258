#include "client/assignors.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"

namespace dlog::client {

namespace {

struct Partition {
    std::string_view topic;
    std::int32_t number = 0;
    auto operator<=>(const Partition&) const = default;
};

bool is_subscribed(const Subscription& member, std::string_view topic) {
    return std::ranges::find(member.topics, topic) != member.topics.end();
}

/// Members with instance ids come first, so that a static member keeps its run when it comes back
/// under another member id.
bool comes_before(const Subscription& a, const Subscription& b) {
    if (a.instance_id && b.instance_id) return *a.instance_id < *b.instance_id;
    if (a.instance_id.has_value() != b.instance_id.has_value()) return a.instance_id.has_value();
    return a.member_id < b.member_id;
}

/// One round of the sticky assignor.
class StickyRound {
  public:
    StickyRound(const std::vector<Subscription>& members, const PartitionCounts& counts)
        : members_(members), counts_(counts), held_(members.size()) {
        for (std::size_t i = 0; i < members.size(); ++i) {
            for (const std::string& topic :
                 std::set(members[i].topics.begin(), members[i].topics.end())) {
                const auto known = counts.find(topic);
                if (known != counts.end()) subscribers_[known->first].push_back(i);
            }
        }
    }

    Assignments run() {
        keep_what_is_owned();
        hand_out_the_rest();
        level();
        return result();
    }

  private:
    /// Of two claims the one of the later generation counts; of the same generation neither does.
    void keep_what_is_owned() {
        struct Claim {
            std::size_t member = 0;
            std::int32_t generation = 0;
            bool is_disputed = false;
        };
        std::map<Partition, Claim> claims;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            const std::int32_t generation = members_[i].generation;
            for (const Partition partition : owned_by(i)) {
                claimants_[partition].insert(i);
                const auto [claim, is_first] = claims.try_emplace(partition, Claim{i, generation});
                if (is_first || claim->second.member == i) continue;
                if (generation > claim->second.generation) {
                    claim->second = {i, generation};
                } else if (generation == claim->second.generation) {
                    claim->second.is_disputed = true;
                }
            }
        }
        for (const auto& [partition, claim] : claims) {
            if (!claim.is_disputed && is_subscribed(members_[claim.member], partition.topic)) {
                give(partition, claim.member);
            }
        }
    }

    /// What the member says that it owns and that is there.
    [[nodiscard]] std::set<Partition> owned_by(std::size_t member) const {
        std::set<Partition> owned;
        for (const auto& [topic, partitions] : members_[member].owned) {
            const auto known = counts_.find(topic);
            if (known == counts_.end()) continue;
            for (const std::int32_t number : partitions) {
                if (number >= 0 && number < known->second) owned.insert({known->first, number});
            }
        }
        return owned;
    }

    void hand_out_the_rest() {
        for (const auto& [topic, subscribers] : subscribers_) {
            const std::int32_t count = counts_.find(std::string(topic))->second;
            for (std::int32_t number = 0; number < count; ++number) {
                const Partition partition{topic, number};
                if (!owner_.contains(partition)) give(partition, least_loaded(subscribers));
            }
        }
    }

    /// Moves partitions from those who hold two more than another who could have them. Each move
    /// brings the loads nearer to each other, so it ends.
    void level() {
        bool has_moved = true;
        while (has_moved) {
            has_moved = false;
            for (auto& [partition, owner] : owner_) {
                const std::size_t other = least_loaded(subscribers_.find(partition.topic)->second);
                if (held_[owner].size() < held_[other].size() + 2) continue;
                held_[owner].erase(partition);
                held_[other].insert(partition);
                owner = other;
                has_moved = true;
            }
        }
    }

    [[nodiscard]] Assignments result() const {
        Assignments assigned;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            TopicPartitions& mine = assigned[members_[i].member_id];
            for (const Partition partition : held_[i]) {
                const auto claimants = claimants_.find(partition);
                const bool is_held_by_another =
                    claimants != claimants_.end() &&
                    std::ranges::any_of(claimants->second,
                                        [i](std::size_t one) { return one != i; });
                if (!is_held_by_another)
                    mine[std::string(partition.topic)].push_back(partition.number);
            }
        }
        return assigned;
    }

    void give(Partition partition, std::size_t member) {
        const bool is_new = owner_.emplace(partition, member).second;
        DLOG_ASSERT(is_new, partition.number, member);
        held_[member].insert(partition);
    }

    [[nodiscard]] std::size_t least_loaded(const std::vector<std::size_t>& of) const {
        return *std::ranges::min_element(of, [this](std::size_t a, std::size_t b) {
            return std::pair(held_[a].size(), std::string_view(members_[a].member_id)) <
                   std::pair(held_[b].size(), std::string_view(members_[b].member_id));
        });
    }

    const std::vector<Subscription>& members_;
    const PartitionCounts& counts_;
    std::vector<std::set<Partition>> held_;
    std::map<std::string_view, std::vector<std::size_t>> subscribers_;
    std::map<Partition, std::size_t> owner_;
    std::map<Partition, std::set<std::size_t>> claimants_;
};

}  // namespace

Assignments assign_range(std::vector<Subscription> members, const PartitionCounts& counts) {
    std::ranges::sort(members, comes_before);
    Assignments assigned;
    for (const Subscription& member : members) assigned[member.member_id];
    for (const auto& [topic, count] : counts) {
        std::vector<const Subscription*> subscribers;
        for (const Subscription& member : members) {
            if (is_subscribed(member, topic)) subscribers.push_back(&member);
        }
        if (subscribers.empty()) continue;
        const auto sharers = static_cast<std::int32_t>(subscribers.size());
        std::int32_t next = 0;
        for (std::int32_t i = 0; i < sharers; ++i) {
            const std::int32_t size = count / sharers + (i < count % sharers ? 1 : 0);
            if (size == 0) break;
            const auto index = static_cast<std::size_t>(i);
            auto& run = assigned[subscribers[index]->member_id][topic];
            for (const std::int32_t end = next + size; next < end; ++next) run.push_back(next);
        }
    }
    return assigned;
}

Assignments assign_cooperative_sticky(const std::vector<Subscription>& members,
                                      const PartitionCounts& counts) {
    return StickyRound(members, counts).run();
}

TopicPartitions without(const TopicPartitions& all, const TopicPartitions& some) {
    TopicPartitions rest;
    for (const auto& [topic, partitions] : all) {
        const auto other = some.find(topic);
        for (const std::int32_t number : partitions) {
            const bool is_in_both = other != some.end() &&
                                    std::ranges::find(other->second, number) != other->second.end();
            if (!is_in_both) rest[topic].push_back(number);
        }
    }
    return rest;
}

}  // namespace dlog::client
