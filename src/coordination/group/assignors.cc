#include "coordination/group/assignors.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"

namespace dlog::coordination {

namespace {

using MemberIndex = std::uint32_t;
constexpr MemberIndex kNobody = UINT32_MAX;
/// As in Kafka: each round about halves what is still uneven.
constexpr int kRoundsMax = 16;

struct Partition {
    std::uint32_t topic = 0;
    std::int32_t number = 0;
};

/// The topics that have the same subscribers: whom a partition of any of them goes to is the same.
struct Pool {
    std::vector<MemberIndex> subscribers;
    std::vector<std::uint32_t> topics;
    std::size_t partition_count = 0;
};

/// Members in order of their shares: (how many, who).
using Shares = std::set<std::pair<std::size_t, MemberIndex>>;

std::vector<std::vector<MemberIndex>> subscribers_of(std::span<const AssignorTopic> topics,
                                                     std::span<const AssignorMember> members) {
    std::vector<std::vector<MemberIndex>> result(topics.size());
    for (MemberIndex member = 0; member < members.size(); ++member) {
        for (const std::uint32_t topic : members[member].topics) {
            DLOG_ASSERT(topic < topics.size(), topic);
            result[topic].push_back(member);
        }
    }
    return result;
}

class UniformAssignment {
  public:
    UniformAssignment(std::span<const AssignorTopic> topics,
                      std::span<const AssignorMember> members)
        : topics_(topics), members_(members), share_(members.size()), held_(members.size()) {
        make_pools();
        keep_current();
    }

    std::vector<PartitionSet> run() {
        for (std::size_t pool = 0; pool < pools_.size(); ++pool) give_out(pool);
        bool has_moved = true;
        for (int round = 0; has_moved && round < kRoundsMax; ++round) {
            has_moved = false;
            for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
                if (even_out(pool)) has_moved = true;
            }
        }
        return result();
    }

  private:
    void make_pools() {
        auto subscribers = subscribers_of(topics_, members_);
        std::map<std::vector<MemberIndex>, Pool> by_subscribers;
        for (std::uint32_t topic = 0; topic < topics_.size(); ++topic) {
            if (subscribers[topic].empty() || topics_[topic].partition_count <= 0) continue;
            Pool& pool = by_subscribers[std::move(subscribers[topic])];
            pool.topics.push_back(topic);
            pool.partition_count += static_cast<std::size_t>(topics_[topic].partition_count);
        }
        for (auto& [who, pool] : by_subscribers) {
            pools_.push_back(std::move(pool));
            pools_.back().subscribers = who;
        }
        // Where there is most for each subscriber there is least choice.
        std::ranges::sort(pools_, [](const Pool& left, const Pool& right) {
            const std::size_t a = left.partition_count * right.subscribers.size();
            const std::size_t b = right.partition_count * left.subscribers.size();
            return a != b ? a > b : left.topics.front() < right.topics.front();
        });
        for (auto& held : held_) held.resize(pools_.size());
        unowned_.resize(pools_.size());
    }

    /// The present owner of each partition of each topic: every partition stays where it is, if it
    /// may.
    [[nodiscard]] std::vector<std::vector<MemberIndex>> find_owners() const {
        std::vector<std::vector<MemberIndex>> owners(topics_.size());
        std::map<TopicId, std::uint32_t> index_of;
        for (std::uint32_t topic = 0; topic < topics_.size(); ++topic) {
            const std::int32_t count = std::max(topics_[topic].partition_count, 0);
            owners[topic].assign(static_cast<std::size_t>(count), kNobody);
            index_of.emplace(topics_[topic].id, topic);
        }
        for (MemberIndex member = 0; member < members_.size(); ++member) {
            const auto& wanted = members_[member].topics;
            for (const auto& [id, numbers] : *members_[member].current) {
                const auto found = index_of.find(id);
                if (found == index_of.end()) continue;
                if (!std::ranges::binary_search(wanted, found->second)) continue;
                keep(numbers, member, owners[found->second]);
            }
        }
        return owners;
    }

    static void keep(const std::vector<std::int32_t>& numbers, MemberIndex member,
                     std::vector<MemberIndex>& owners) {
        for (const std::int32_t number : numbers) {
            const auto index = static_cast<std::size_t>(number);
            if (number < 0 || index >= owners.size()) continue;
            if (owners[index] == kNobody) owners[index] = member;
        }
    }

    void keep_current() {
        const auto owners = find_owners();
        for (std::size_t pool = 0; pool < pools_.size(); ++pool) {
            for (const std::uint32_t topic : pools_[pool].topics) {
                std::int32_t number = 0;
                for (const MemberIndex owner : owners[topic]) {
                    const Partition partition{topic, number++};
                    (owner == kNobody ? unowned_[pool] : held_[owner][pool]).push_back(partition);
                    if (owner != kNobody) ++share_[owner];
                }
            }
        }
    }

    [[nodiscard]] Shares shares_of(const std::vector<MemberIndex>& who) const {
        Shares shares;
        for (const MemberIndex member : who) shares.emplace(share_[member], member);
        return shares;
    }

    void give_out(std::size_t pool) {
        Shares shares = shares_of(pools_[pool].subscribers);
        for (const Partition partition : unowned_[pool]) {
            auto poorest = shares.extract(shares.begin());
            const MemberIndex member = poorest.value().second;
            held_[member][pool].push_back(partition);
            poorest.value().first = ++share_[member];
            shares.insert(std::move(poorest));
        }
    }

    /// Moves partitions of this pool, one at a time, from who has most to who has least.
    bool even_out(std::size_t pool) {
        Shares takers = shares_of(pools_[pool].subscribers);
        Shares givers = takers;
        std::erase_if(givers, [&](const auto& each) { return held_[each.second][pool].empty(); });
        bool has_moved = false;
        while (!givers.empty() && givers.rbegin()->first > takers.begin()->first + 1) {
            has_moved = true;
            const MemberIndex giver = givers.rbegin()->second;
            const MemberIndex taker = takers.begin()->second;
            for (const MemberIndex each : {giver, taker}) {
                takers.erase({share_[each], each});
                givers.erase({share_[each], each});
            }
            held_[taker][pool].push_back(held_[giver][pool].back());
            held_[giver][pool].pop_back();
            --share_[giver];
            ++share_[taker];
            for (const MemberIndex each : {giver, taker}) {
                takers.emplace(share_[each], each);
                if (!held_[each][pool].empty()) givers.emplace(share_[each], each);
            }
        }
        return has_moved;
    }

    [[nodiscard]] std::vector<PartitionSet> result() const {
        std::vector<PartitionSet> result(members_.size());
        for (MemberIndex member = 0; member < members_.size(); ++member) {
            for (const auto& of_pool : held_[member]) {
                for (const Partition& partition : of_pool) {
                    result[member][topics_[partition.topic].id].push_back(partition.number);
                }
            }
            for (auto& [id, numbers] : result[member]) std::ranges::sort(numbers);
        }
        return result;
    }

    std::span<const AssignorTopic> topics_;
    std::span<const AssignorMember> members_;
    std::vector<Pool> pools_;
    std::vector<std::vector<Partition>> unowned_;  ///< Of each pool.
    std::vector<std::size_t> share_;               ///< How many partitions each member holds.
    std::vector<std::vector<std::vector<Partition>>> held_;  ///< Of each member, of each pool.
};

}  // namespace

std::vector<PartitionSet> assign_uniformly(std::span<const AssignorTopic> topics,
                                           std::span<const AssignorMember> members) {
    return UniformAssignment(topics, members).run();
}

std::vector<PartitionSet> assign_ranges(std::span<const AssignorTopic> topics,
                                        std::span<const AssignorMember> members) {
    std::vector<PartitionSet> result(members.size());
    auto subscribers = subscribers_of(topics, members);
    for (std::size_t topic = 0; topic < topics.size(); ++topic) {
        auto& who = subscribers[topic];
        if (who.empty()) continue;
        std::ranges::sort(who, [&](MemberIndex left, MemberIndex right) {
            const AssignorMember& a = members[left];
            const AssignorMember& b = members[right];
            if (a.instance_id && b.instance_id) return *a.instance_id < *b.instance_id;
            if (a.instance_id || b.instance_id) return a.instance_id.has_value();
            return a.id < b.id;
        });
        const auto count = static_cast<std::size_t>(std::max(topics[topic].partition_count, 0));
        std::int32_t next = 0;
        for (std::size_t place = 0; place < who.size(); ++place) {
            std::size_t quota = count / who.size() + (place < count % who.size() ? 1 : 0);
            for (; quota > 0; --quota) {
                result[who[place]][topics[topic].id].push_back(next++);
            }
        }
        DLOG_ASSERT(static_cast<std::size_t>(next) == count, next, count);
    }
    return result;
}

Assignor* find_assignor(std::string_view name) {
    if (name == "uniform") return &assign_uniformly;
    if (name == "range") return &assign_ranges;
    return nullptr;
}

}  // namespace dlog::coordination
