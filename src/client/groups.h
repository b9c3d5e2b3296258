/// What is asked and done about consumer groups from outside, as plain calls to their coordinators.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "client/assignors.h"
#include "client/cluster.h"
#include "client/error.h"
#include "port/task.h"

namespace dlog::client {

struct GroupSummary {
    std::string id;
    std::string protocol_type;
    std::string state;  ///< "Stable", "Empty", …; empty when the broker is too old to tell
    std::string type;   ///< "classic" or "consumer"; empty when the broker is too old to tell
};

/// The groups of all brokers, by id.
[[nodiscard]] port::Task<Result<std::vector<GroupSummary>>> list_groups(
    Cluster& cluster, std::vector<std::string> states, Instant deadline);

struct MemberDescription {
    std::string id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string host;
    /// Empty for members that do not speak the protocol of consumers.
    TopicPartitions assigned;
};

struct GroupDescription {
    std::string id;
    std::string state;
    std::string type;
    std::string assignor;
    std::vector<MemberDescription> members;
};

/// kGroupIdNotFound when there is no such group.
[[nodiscard]] port::Task<Result<GroupDescription>> describe_group(Cluster& cluster,
                                                                  std::string group,
                                                                  Instant deadline);

struct CommittedOffset {
    std::string topic;
    std::int32_t partition = 0;
    Offset offset = kNoOffset;
    std::string metadata;
};

/// Everything that the group has committed, by topic and partition.
[[nodiscard]] port::Task<Result<std::vector<CommittedOffset>>> committed_offsets(Cluster& cluster,
                                                                                 std::string group,
                                                                                 Instant deadline);

/// As whom a member commits; by default as nobody, which only a group without members allows.
struct Committer {
    std::string member_id;
    std::optional<std::string> instance_id;
    /// The generation, or the epoch of a member of the new protocol.
    std::int32_t generation = -1;
};

/// Commits again while the coordinator moves or cannot be reached; the first refusal is the error.
[[nodiscard]] port::Task<Result<void>> commit_offsets(Cluster& cluster, std::string group,
                                                      Committer committer,
                                                      std::vector<CommittedOffset> offsets,
                                                      Instant deadline);

/// Deletes a group without members and everything that it has committed.
[[nodiscard]] port::Task<Result<void>> delete_group(Cluster& cluster, std::string group,
                                                    Instant deadline);

}  // namespace dlog::client
