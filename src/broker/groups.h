/// The group coordinators of one core, and the way to the one that a group belongs to.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "broker/group_shard.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::broker {

struct Core;
struct Request;
class View;

/// Lives on one core, and has the coordinators of those partitions of __consumer_offsets that the
/// core owns.
class Groups {
  public:
    explicit Groups(Core& core) : core_(core) {}
    Groups(const Groups&) = delete;
    Groups& operator=(const Groups&) = delete;

    /// The core's view is a new one: coordinators begin and end with their partitions, and all
    /// learn which topics are gone.
    void view_changed(const std::vector<std::string>& deleted_topics);
    /// Refuses everyone who waits and all who come; returns when nothing is under way any more.
    [[nodiscard]] port::Task<void> stop();

    [[nodiscard]] port::Task<GroupAnswer> ask(PartitionId partition, coordination::Input input);
    [[nodiscard]] std::vector<PartitionId> partitions() const;
    [[nodiscard]] coordination::GroupCounts counts() const;

  private:
    Core& core_;
    TopicId topic_;
    std::map<PartitionId, std::shared_ptr<GroupShard>> shards_;
    port::Gate work_;
    bool is_stopping_ = false;
};

/// The partition of __consumer_offsets that a group's records lie in, as Kafka has it: by Java's
/// hash of the id.
[[nodiscard]] std::int32_t offsets_partition_of(std::string_view group_id, std::int32_t count);

/// Asks the coordinator of `group_id`, wherever it lives, and comes back. What `input` refers to
/// lives until the answer is there.
[[nodiscard]] port::Task<GroupAnswer> ask_group(Core& home, std::string_view group_id,
                                                coordination::Input input);

/// The same for a request of a member, whose connection is better off on the coordinator's core.
/// Called before the handler first waits.
[[nodiscard]] port::Task<GroupAnswer> ask_own_group(const Request& request,
                                                    std::string_view group_id,
                                                    coordination::Input input);

/// Makes __consumer_offsets when it is not there yet.
[[nodiscard]] port::Task<protocol::ErrorCode> ensure_offsets_topic(Core& home);

}  // namespace dlog::broker
