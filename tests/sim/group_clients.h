/// Members of consumer groups in a simulated run, and the rules that groups must keep.
///
/// The rules, for each group:
/// 1. No partition is given to two members of one generation.
/// 2. What a group is told to have committed is never below what it was acknowledged before.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "clients.h"
#include "port/task.h"

namespace dlog::simtest {

class GroupHistory {
  public:
    explicit GroupHistory(History& history) : history_(history) {}

    /// A member learned its part of a generation.
    void owns(const std::string& group, std::int32_t generation, std::int32_t partition,
              const std::string& member);
    /// A commit was acknowledged.
    void acknowledged(const std::string& group, std::int32_t partition, std::int64_t offset);
    /// What a fetch that is sent now must find at least; -1 for none.
    [[nodiscard]] std::int64_t floor_of(const std::string& group, std::int32_t partition) const;
    void fetched(const std::string& group, std::int32_t partition, std::int64_t offset,
                 std::int64_t floor);
    [[nodiscard]] std::uint64_t commits() const { return commits_; }

  private:
    History& history_;
    std::map<std::tuple<std::string, std::int32_t, std::int32_t>, std::string> owners_;
    std::map<std::pair<std::string, std::int32_t>, std::int64_t> acknowledged_;
    std::uint64_t commits_ = 0;
};

struct GroupPlan {
    std::string group;
    /// A topic that is there, and how many partitions it has.
    std::string topic;
    std::int32_t partitions = 1;
    std::uint64_t seed = 0;
    /// Not empty: a static member (KIP-345).
    std::string instance_id;
};

/// Joins, takes its part, commits ever higher offsets, vanishes now and then and comes back; leaves
/// when the clients stop producing.
port::Task<void> be_member(Clients& clients, GroupHistory& groups, GroupPlan plan);

/// Fetches all of the group's offsets once and checks them; one of the readings that are missing.
port::Task<void> check_offsets(Clients& clients, GroupHistory& groups, GroupPlan plan);

}  // namespace dlog::simtest
