/// What the members of groups in a simulated run were told, and the rules that groups must keep.
///
/// The rules, for each group, whatever protocol its members speak:
/// 1. No partition is given to two members of one classic generation.
/// 2. No partition is two members' at once, as they see it: it is a member's from the answer that
///    gave it until the member begins to tell that it gave it up, learns that it is none any more,
///    or has not been heard for so long that the coordinator may have put it out.
/// 3. What a group is told to have committed is never below what it was acknowledged before.
/// 4. A member's epoch in a consumer group never goes back. (The generation of a classic group may:
///    it is on the disk only when its leader has assigned it.)
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "base/time.h"
#include "history.h"

namespace dlog::simtest {

class GroupHistory {
  public:
    explicit GroupHistory(History& history) : history_(history) {}

    /// A member learned its part of a generation.
    void owns(const std::string& group, std::int32_t generation, std::int32_t partition,
              const std::string& member);

    /// It holds the partition from now on, `until` then at the most. Anew, it holds it longer.
    void holds(const std::string& group, std::int32_t partition, const std::string& holder,
               Instant now, Instant until);
    void releases(const std::string& group, std::int32_t partition, const std::string& holder);
    void releases_all(const std::string& group, const std::string& holder);
    /// Whether each of the partitions is somebody's now. Once it was it stays so.
    [[nodiscard]] bool has_settled(const std::string& group, std::int32_t partitions, Instant now);

    void has_epoch(const std::string& group, const std::string& member_id, std::int32_t epoch);

    /// A commit was acknowledged.
    void acknowledged(const std::string& group, std::int32_t partition, std::int64_t offset);
    /// What a fetch that is sent now must find at least; -1 for none.
    [[nodiscard]] std::int64_t floor_of(const std::string& group, std::int32_t partition) const;
    void fetched(const std::string& group, std::int32_t partition, std::int64_t offset,
                 std::int64_t floor);
    [[nodiscard]] std::uint64_t commits() const { return commits_; }
    /// A member learned which protocol the group is of: no classic member leads a consumer group.
    void is_of(const std::string& group, bool is_consumer_group);
    /// How often one was found to be of the other protocol.
    [[nodiscard]] std::uint64_t migrations() const { return migrations_; }

  private:
    using GroupPartition = std::pair<std::string, std::int32_t>;

    History& history_;
    std::map<std::tuple<std::string, std::int32_t, std::int32_t>, std::string> owners_;
    std::map<GroupPartition, std::map<std::string, Instant>> holders_;  ///< and until when
    std::map<std::pair<std::string, std::string>, std::int32_t> epochs_;
    std::map<GroupPartition, std::int64_t> acknowledged_;
    std::set<std::string> settled_;
    std::map<std::string, bool> is_consumer_group_;
    std::uint64_t migrations_ = 0;
    std::uint64_t commits_ = 0;
};

}  // namespace dlog::simtest
