/// What groups have committed, whatever their kind.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/ids.h"
#include "base/time.h"
#include "coordination/group/input.h"
#include "coordination/group/records.h"
#include "coordination/group/step.h"

namespace dlog::coordination {

struct CommittedOffset {
    std::int64_t offset = 0;
    std::int32_t leader_epoch = -1;
    std::string metadata;
    Timestamp committed_at;
    /// As old clients ask for it; otherwise the group's retention counts.
    Timestamp expires_at = kNoTimestamp;
    TopicId topic_id;
    bool operator==(const CommittedOffset&) const = default;
};

class Offsets {
  public:
    using Partitions = std::map<std::int32_t, CommittedOffset>;
    using Topics = std::map<std::string, Partitions, std::less<>>;
    using Groups = std::unordered_map<std::string, Topics, TextHash, std::equal_to<>>;

    [[nodiscard]] const Groups& groups() const { return groups_; }
    /// Null when the group has none.
    [[nodiscard]] const Topics* find(std::string_view group_id) const;
    [[nodiscard]] const CommittedOffset* find(std::string_view group_id, std::string_view topic,
                                              std::int32_t partition) const;
    [[nodiscard]] std::uint64_t count() const { return count_; }

    void put(std::string_view group_id, std::string_view topic, std::int32_t partition,
             CommittedOffset offset);
    /// False when there was none.
    bool remove(std::string_view group_id, std::string_view topic, std::int32_t partition);
    /// All of the group's, with a tombstone for each.
    void remove_group(std::string_view group_id, Effects& effects);
    /// All groups' for this topic, with a tombstone for each.
    void remove_topic(std::string_view topic, Effects& effects);

  private:
    Groups groups_;
    std::uint64_t count_ = 0;
};

[[nodiscard]] GroupRecord offset_record(std::string_view group_id, std::string_view topic,
                                        std::int32_t partition, const CommittedOffset& offset);
[[nodiscard]] GroupRecord offset_tombstone(std::string_view group_id, std::string_view topic,
                                           std::int32_t partition);
[[nodiscard]] CommittedOffset offset_from_record(const OffsetCommitValue& value);

}  // namespace dlog::coordination
