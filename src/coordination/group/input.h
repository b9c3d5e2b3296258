/// What can happen to the groups of one partition of __consumer_offsets, and what comes of it. The
/// requests are Kafka's messages as they came; views in them last for the call only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/time.h"
#include "protocol/error_code.h"
#include "protocol/messages/consumer_group_describe.h"
#include "protocol/messages/consumer_group_heartbeat.h"
#include "protocol/messages/delete_groups.h"
#include "protocol/messages/describe_groups.h"
#include "protocol/messages/heartbeat.h"
#include "protocol/messages/join_group.h"
#include "protocol/messages/leave_group.h"
#include "protocol/messages/list_groups.h"
#include "protocol/messages/offset_commit.h"
#include "protocol/messages/offset_delete.h"
#include "protocol/messages/offset_fetch.h"
#include "protocol/messages/sync_group.h"

namespace dlog::coordination {

/// Names a request that waits for its reply. The driver's, unique in its coordinator.
using Ticket = std::uint64_t;

/// Who asks.
struct Caller {
    std::string_view client_id;
    /// As Kafka shows it: "/127.0.0.1".
    std::string_view host;
};

// One struct for each thing that may happen. Requests about several groups come as one of these for
// each group.

struct Join {
    Ticket ticket = 0;
    Caller caller;
    std::int16_t version = 0;
    const protocol::JoinGroupRequest& request;
};
struct Sync {
    Ticket ticket = 0;
    const protocol::SyncGroupRequest& request;
};
struct Beat {
    Ticket ticket = 0;
    const protocol::HeartbeatRequest& request;
};
struct Leave {
    Ticket ticket = 0;
    /// Versions below 3 are brought into the form of version 3 by the driver: `members` has one.
    const protocol::LeaveGroupRequest& request;
};
/// Topics that do not exist have been refused by the driver and are not among these; names are
/// filled in also when the request came with ids.
struct Commit {
    Ticket ticket = 0;
    const protocol::OffsetCommitRequest& request;
    /// Of the request: how an unknown group is reported depends on it.
    std::int16_t version = 0;
};
/// One group. Names are filled in also when the request came with ids.
struct FetchOffsets {
    Ticket ticket = 0;
    const protocol::OffsetFetchRequest::OffsetFetchRequestGroup& request;
};
struct DeleteOffsets {
    Ticket ticket = 0;
    const protocol::OffsetDeleteRequest& request;
};
struct Describe {
    Ticket ticket = 0;
    std::string_view group_id;
};
struct List {
    Ticket ticket = 0;
    const protocol::ListGroupsRequest& request;
};
struct Delete {
    Ticket ticket = 0;
    std::string_view group_id;
};
struct ConsumerBeat {
    Ticket ticket = 0;
    Caller caller;
    const protocol::ConsumerGroupHeartbeatRequest& request;
};
struct ConsumerDescribe {
    Ticket ticket = 0;
    std::string_view group_id;
};
/// These topics are gone, and what groups committed for them goes too.
struct TopicsDeleted {
    const std::vector<std::string>& names;
};
/// The time that was asked for by `Effects::wake_at` has come.
struct Tick {};

using Input = std::variant<Join, Sync, Beat, Leave, Commit, FetchOffsets, DeleteOffsets, Describe,
                           List, Delete, ConsumerBeat, ConsumerDescribe, TopicsDeleted, Tick>;

/// A reply to one ticket. Which message it holds follows from the input.
using Message = std::variant<
    protocol::JoinGroupResponse, protocol::SyncGroupResponse, protocol::HeartbeatResponse,
    protocol::LeaveGroupResponse, protocol::OffsetCommitResponse,
    protocol::OffsetFetchResponse::OffsetFetchResponseGroup, protocol::OffsetDeleteResponse,
    protocol::DescribeGroupsResponse::DescribedGroup, protocol::ListGroupsResponse,
    protocol::DeleteGroupsResponse::DeletableGroupResult, protocol::ConsumerGroupHeartbeatResponse,
    protocol::ConsumerGroupDescribeResponse::DescribedGroup>;

struct Reply {
    Ticket ticket = 0;
    Message message;
    /// What views in the message point into.
    std::vector<Buffer> backing;
};

/// One record of __consumer_offsets.
struct GroupRecord {
    Buffer key;
    /// Null: a tombstone.
    Buffer value;
    bool is_tombstone = false;
};

/// What a step leads to. The state has already changed.
struct Effects {
    /// To be written as one batch: all or none, unless they are more than fit into one.
    std::vector<GroupRecord> records;
    /// To be sent once `records` and all earlier ones are on stable storage, for they tell of a
    /// state that only then exists.
    std::vector<Reply> replies;
    /// When to step with a Tick at the latest.
    Instant wake_at = kNever;
};

/// What operators have set for one group alone (KIP-848); other groups have the node's settings.
struct OwnSettings {
    std::optional<Duration> consumer_session_timeout;     ///< consumer.session.timeout.ms
    std::optional<Duration> consumer_heartbeat_interval;  ///< consumer.heartbeat.interval.ms
};

/// The topics as they are now, and the groups' own settings.
class Topics {
  public:
    struct Topic {
        TopicId id;
        std::string_view name;
        std::int32_t partition_count = 0;
    };
    virtual ~Topics() = default;
    /// False when there is none of this name or id.
    [[nodiscard]] virtual bool find(std::string_view name, Topic& found) const = 0;
    [[nodiscard]] virtual bool find(TopicId id, Topic& found) const = 0;
    /// All topics, in order of name.
    [[nodiscard]] virtual std::vector<Topic> all() const = 0;
    [[nodiscard]] std::vector<std::string_view> names() const {
        std::vector<std::string_view> names;
        for (const Topic& topic : all()) names.push_back(topic.name);
        return names;
    }
    /// Differs after every change of the topics.
    [[nodiscard]] virtual std::uint64_t version() const = 0;
    [[nodiscard]] virtual OwnSettings own_settings(std::string_view group_id) const = 0;
};

/// What a step sees of the world.
struct Now {
    Instant instant;
    Timestamp wall;
    const Topics& topics;
};

}  // namespace dlog::coordination
