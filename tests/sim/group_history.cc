#include "group_history.h"

#include <algorithm>

namespace dlog::simtest {

void GroupHistory::owns(const std::string& group, std::int32_t generation, std::int32_t partition,
                        const std::string& member) {
    const auto [place, is_new] = owners_.emplace(std::tuple(group, generation, partition), member);
    if (is_new || place->second == member) return;
    history_.fail("group " + group + ": partition " + std::to_string(partition) +
                  " of generation " + std::to_string(generation) + " was given to " +
                  place->second + " and to " + member);
}

void GroupHistory::holds(const std::string& group, std::int32_t partition,
                         const std::string& holder, Instant now, Instant until) {
    auto& holders = holders_[{group, partition}];
    std::erase_if(holders, [now](const auto& each) { return each.second <= now; });
    for (const auto& [other, other_until] : holders) {
        if (other == holder) continue;
        history_.fail("group " + group + ": partition " + std::to_string(partition) + " is " +
                      holder + "'s while it is " + other + "'s");
    }
    Instant& end = holders.try_emplace(holder, until).first->second;
    end = std::max(end, until);
}

void GroupHistory::releases(const std::string& group, std::int32_t partition,
                            const std::string& holder) {
    holders_[{group, partition}].erase(holder);
}

void GroupHistory::releases_all(const std::string& group, const std::string& holder) {
    for (auto& [place, holders] : holders_) {
        if (place.first == group) holders.erase(holder);
    }
}

bool GroupHistory::has_settled(const std::string& group, std::int32_t partitions, Instant now) {
    if (settled_.contains(group)) return true;
    for (std::int32_t at = 0; at < partitions; ++at) {
        const auto& holders = holders_[{group, at}];
        const bool is_held =
            std::ranges::any_of(holders, [now](const auto& each) { return each.second > now; });
        if (!is_held) return false;
    }
    settled_.insert(group);
    return true;
}

void GroupHistory::has_epoch(const std::string& group, const std::string& member_id,
                             std::int32_t epoch) {
    std::int32_t& last = epochs_.try_emplace({group, member_id}, epoch).first->second;
    if (epoch < last) {
        history_.fail("group " + group + ": the epoch of member " + member_id + " went from " +
                      std::to_string(last) + " to " + std::to_string(epoch));
    }
    last = epoch;
}

void GroupHistory::is_of(const std::string& group, bool is_consumer_group) {
    const auto [known, is_new] = is_consumer_group_.emplace(group, is_consumer_group);
    if (!is_new && known->second != is_consumer_group) ++migrations_;
    known->second = is_consumer_group;
}

void GroupHistory::acknowledged(const std::string& group, std::int32_t partition,
                                std::int64_t offset) {
    std::int64_t& highest = acknowledged_.try_emplace({group, partition}, -1).first->second;
    highest = std::max(highest, offset);
    ++commits_;
}

std::int64_t GroupHistory::floor_of(const std::string& group, std::int32_t partition) const {
    const auto found = acknowledged_.find({group, partition});
    return found == acknowledged_.end() ? -1 : found->second;
}

void GroupHistory::fetched(const std::string& group, std::int32_t partition, std::int64_t offset,
                           std::int64_t floor) {
    if (offset >= floor) return;
    history_.fail("group " + group + ": partition " + std::to_string(partition) + " is at " +
                  std::to_string(offset) + " but a commit of " + std::to_string(floor) +
                  " was acknowledged before");
}

}  // namespace dlog::simtest
