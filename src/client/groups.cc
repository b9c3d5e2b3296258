#include "client/groups.h"

#include <algorithm>
#include <utility>

#include "base/result.h"
#include "client/coordinator.h"
#include "client/group_codec.h"
#include "protocol/messages/consumer_group_describe.h"
#include "protocol/messages/delete_groups.h"
#include "protocol/messages/describe_groups.h"
#include "protocol/messages/list_groups.h"
#include "protocol/messages/offset_commit.h"
#include "protocol/messages/offset_fetch.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

// From these versions on a request names several groups, or topics by their ids.
constexpr std::int16_t kFirstFetchOfGroups = 8;
constexpr std::int16_t kLastVersionWithNames = 9;

Result<void> outcome(ErrorCode code, const std::optional<std::string>& message,
                     const std::string& group) {
    if (code == ErrorCode::kNone) return {};
    return unexpected(broker_error(code, message.value_or("group " + group)));
}

}  // namespace

port::Task<Result<std::vector<GroupSummary>>> list_groups(Cluster& cluster,
                                                          std::vector<std::string> states,
                                                          Instant deadline) {
    // This tells which brokers there are.
    DLOG_CO_TRY(co_await cluster.all_topics(deadline));
    std::vector<GroupSummary> groups;
    for (const NodeId node : cluster.known_brokers()) {
        DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection, co_await cluster.connection_to(node));
        protocol::ListGroupsRequest request;
        request.states_filter = states;
        DLOG_CO_TRY_ASSIGN(const auto answer,
                           co_await connection->call(std::move(request), {.deadline = deadline}));
        if (answer->error_code != ErrorCode::kNone) {
            co_return unexpected(
                broker_error(answer->error_code, "groups of node " + std::to_string(node.value)));
        }
        for (const auto& group : answer->groups) {
            groups.push_back(
                {group.group_id, group.protocol_type, group.group_state, group.group_type});
        }
    }
    std::ranges::sort(groups, {}, &GroupSummary::id);
    co_return groups;
}

namespace {

port::Task<Result<GroupDescription>> describe_classic(Cluster& cluster, std::string group,
                                                      Instant deadline) {
    protocol::DescribeGroupsRequest request;
    request.groups = {group};
    const auto error_of = [](const protocol::DescribeGroupsResponse& response) {
        return response.groups.empty() ? ErrorCode::kNone : response.groups.front().error_code;
    };
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await call_coordinator(cluster, group, std::move(request),
                                                 {.deadline = deadline}, error_of));
    if (answer->groups.size() != 1) {
        co_return unexpected(Error{.kind = ErrorKind::kBadResponse, .detail = "DescribeGroups"});
    }
    const auto& found = answer->groups.front();
    DLOG_CO_TRY(outcome(found.error_code, found.error_message, group));
    if (found.group_state == "Dead") {
        co_return unexpected(broker_error(ErrorCode::kGroupIdNotFound, "group " + group));
    }
    GroupDescription description{.id = group,
                                 .state = found.group_state,
                                 .type = "classic",
                                 .assignor = found.protocol_data};
    for (const auto& member : found.members) {
        description.members.push_back(
            {.id = member.member_id,
             .instance_id = member.group_instance_id,
             .client_id = member.client_id,
             .host = member.client_host,
             .assigned = decode_assignment(member.member_assignment).value_or(TopicPartitions())});
    }
    co_return description;
}

port::Task<Result<GroupDescription>> describe_consumer(Cluster& cluster, std::string group,
                                                       Instant deadline) {
    protocol::ConsumerGroupDescribeRequest request;
    request.group_ids = {group};
    const auto error_of = [](const protocol::ConsumerGroupDescribeResponse& response) {
        return response.groups.empty() ? ErrorCode::kNone : response.groups.front().error_code;
    };
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await call_coordinator(cluster, group, std::move(request),
                                                 {.deadline = deadline}, error_of));
    if (answer->groups.size() != 1) {
        co_return unexpected(
            Error{.kind = ErrorKind::kBadResponse, .detail = "ConsumerGroupDescribe"});
    }
    const auto& found = answer->groups.front();
    DLOG_CO_TRY(outcome(found.error_code, found.error_message, group));
    GroupDescription description{.id = group,
                                 .state = found.group_state,
                                 .type = "consumer",
                                 .assignor = found.assignor_name};
    for (const auto& member : found.members) {
        MemberDescription& out = description.members.emplace_back();
        out.id = member.member_id;
        out.instance_id = member.instance_id;
        out.client_id = member.client_id;
        out.host = member.client_host;
        for (const auto& topic : member.assignment.topic_partitions) {
            out.assigned[topic.topic_name] = topic.partitions;
        }
    }
    co_return description;
}

}  // namespace

port::Task<Result<GroupDescription>> describe_group(Cluster& cluster, std::string group,
                                                    Instant deadline) {
    auto description = co_await describe_consumer(cluster, group, deadline);
    if (description) co_return description;
    const Error& error = description.error();
    const bool may_be_classic = error.kind == ErrorKind::kUnsupported ||
                                error.code == ErrorCode::kGroupIdNotFound ||
                                error.code == ErrorCode::kUnsupportedVersion;
    if (!may_be_classic) co_return description;
    co_return co_await describe_classic(cluster, std::move(group), deadline);
}

namespace {

template <class Topics>
void collect_offsets(const Topics& topics, std::vector<CommittedOffset>& offsets) {
    for (const auto& topic : topics) {
        for (const auto& partition : topic.partitions) {
            if (partition.committed_offset < 0) continue;
            offsets.push_back({.topic = topic.name,
                               .partition = partition.partition_index,
                               .offset = Offset(partition.committed_offset),
                               .metadata = partition.metadata.value_or("")});
        }
    }
}

}  // namespace

port::Task<Result<std::vector<CommittedOffset>>> committed_offsets(Cluster& cluster,
                                                                   std::string group,
                                                                   Instant deadline) {
    Backoff backoff(cluster.config(), cluster.random());
    for (;;) {
        DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection,
                           co_await find_coordinator(cluster, group, deadline));
        DLOG_CO_TRY_ASSIGN(
            const std::int16_t version,
            connection->version_of<protocol::OffsetFetchRequest>(kLastVersionWithNames));
        protocol::OffsetFetchRequest request;
        if (version >= kFirstFetchOfGroups) {
            request.groups.push_back({.group_id = group, .topics = std::nullopt});
        } else {
            request.group_id = group;
            request.topics.reset();
        }
        DLOG_CO_TRY_ASSIGN(const auto answer,
                           co_await connection->call(
                               std::move(request), {.deadline = deadline, .version_max = version}));
        const bool is_of_groups = version >= kFirstFetchOfGroups && !answer->groups.empty();
        const ErrorCode code =
            is_of_groups ? answer->groups.front().error_code : answer->error_code;
        if (is_coordinator_moving(code) && co_await cluster.wait(backoff.next(), deadline)) {
            continue;
        }
        DLOG_CO_TRY(outcome(code, std::nullopt, group));
        std::vector<CommittedOffset> offsets;
        if (is_of_groups) {
            collect_offsets(answer->groups.front().topics, offsets);
        } else {
            collect_offsets(answer->topics, offsets);
        }
        std::ranges::sort(offsets, [](const CommittedOffset& a, const CommittedOffset& b) {
            return std::pair(std::string_view(a.topic), a.partition) <
                   std::pair(std::string_view(b.topic), b.partition);
        });
        co_return offsets;
    }
}

namespace {

/// The first partition that was refused, and why.
Result<void> commit_outcome(const protocol::OffsetCommitResponse& response,
                            const std::string& group) {
    for (const auto& topic : response.topics) {
        for (const auto& partition : topic.partitions) {
            DLOG_TRY(outcome(partition.error_code,
                             topic.name + " partition " + std::to_string(partition.partition_index),
                             group));
        }
    }
    return {};
}

}  // namespace

port::Task<Result<void>> commit_offsets(Cluster& cluster, std::string group, Committer committer,
                                        std::vector<CommittedOffset> offsets, Instant deadline) {
    protocol::OffsetCommitRequest request;
    request.group_id = group;
    request.member_id = committer.member_id;
    request.group_instance_id = committer.instance_id;
    request.generation_id_or_member_epoch = committer.generation;
    for (CommittedOffset& one : offsets) {
        if (request.topics.empty() || request.topics.back().name != one.topic) {
            request.topics.emplace_back().name = one.topic;
        }
        request.topics.back().partitions.push_back({.partition_index = one.partition,
                                                    .committed_offset = one.offset.value,
                                                    .committed_metadata = one.metadata});
    }
    const auto error_of = [&group](const protocol::OffsetCommitResponse& response) {
        const auto result = commit_outcome(response, group);
        return result ? ErrorCode::kNone : result.error().code;
    };
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await call_coordinator(
                           cluster, group, std::move(request),
                           {.deadline = deadline, .version_max = kLastVersionWithNames}, error_of));
    co_return commit_outcome(answer.message, group);
}

port::Task<Result<void>> delete_group(Cluster& cluster, std::string group, Instant deadline) {
    protocol::DeleteGroupsRequest request;
    request.groups_names = {group};
    const auto error_of = [](const protocol::DeleteGroupsResponse& response) {
        return response.results.empty() ? ErrorCode::kNone : response.results.front().error_code;
    };
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await call_coordinator(cluster, group, std::move(request),
                                                 {.deadline = deadline}, error_of));
    if (answer->results.size() != 1) {
        co_return unexpected(Error{.kind = ErrorKind::kBadResponse, .detail = "DeleteGroups"});
    }
    const auto& result = answer->results.front();
    co_return outcome(result.error_code, result.error_message, group);
}

}  // namespace dlog::client
