/// DescribeGroups, ListGroups, DeleteGroups, OffsetDelete and ConsumerGroupDescribe.
#include <utility>
#include <vector>

#include "broker/core.h"
#include "broker/groups.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "broker/operations.h"
#include "port/spawn.h"
#include "protocol/messages/consumer_group_describe.h"
#include "protocol/messages/delete_groups.h"
#include "protocol/messages/describe_groups.h"
#include "protocol/messages/list_groups.h"
#include "protocol/messages/offset_delete.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;

constexpr std::int16_t kFirstVersionWithGroupIdNotFound = 6;

/// What the views of several replies point into.
using Backing = std::vector<std::vector<Buffer>>;

}  // namespace

port::Task<Response> handle_describe_groups(Request request) {
    using Described = protocol::DescribeGroupsResponse::DescribedGroup;
    Core& core = *request.core;
    const auto body = decode_request<protocol::DescribeGroupsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    protocol::DescribeGroupsResponse response;
    Backing backing;
    for (const std::string& group_id : body->groups) {
        GroupAnswer reply =
            co_await ask_group(core, group_id, coordination::Describe{.group_id = group_id});
        Described group;
        if (reply) {
            group = std::get<Described>(std::move(reply->message));
            backing.push_back(std::move(reply->backing));
        } else {
            group.group_id = group_id;
            group.error_code = reply.error();
        }
        // Before KIP-1043 a group that is not there was a dead one.
        if (request.version < kFirstVersionWithGroupIdNotFound) {
            if (group.error_code == ErrorCode::kGroupIdNotFound) {
                group.error_code = ErrorCode::kNone;
            }
            group.error_message.reset();
        }
        if (body->include_authorized_operations && group.error_code == ErrorCode::kNone) {
            group.authorized_operations = kGroupOperations;
        }
        response.groups.push_back(std::move(group));
    }
    co_return respond(request, response);
}

port::Task<Response> handle_consumer_group_describe(Request request) {
    using Described = protocol::ConsumerGroupDescribeResponse::DescribedGroup;
    Core& core = *request.core;
    const auto body = decode_request<protocol::ConsumerGroupDescribeRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    protocol::ConsumerGroupDescribeResponse response;
    for (const std::string& group_id : body->group_ids) {
        GroupAnswer reply = co_await ask_group(
            core, group_id, coordination::ConsumerDescribe{.group_id = group_id});
        Described group;
        if (reply) {
            group = std::get<Described>(std::move(reply->message));
        } else {
            group.group_id = group_id;
            group.error_code = reply.error();
        }
        if (body->include_authorized_operations && group.error_code == ErrorCode::kNone) {
            group.authorized_operations = kGroupOperations;
        }
        response.groups.push_back(std::move(group));
    }
    co_return respond(request, response);
}

port::Task<Response> handle_list_groups(Request request) {
    Core& home = *request.core;
    const auto body = decode_request<protocol::ListGroupsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    protocol::ListGroupsResponse response;
    for (Core* const owner : home.shared.cores) {
        co_await port::hop(home.ports.spawn, owner->id());
        for (const PartitionId partition : owner->groups->partitions()) {
            const GroupAnswer reply =
                co_await owner->groups->ask(partition, coordination::List{.request = *body});
            if (!reply) {
                response.error_code = reply.error();
                continue;
            }
            const auto& some = std::get<protocol::ListGroupsResponse>(reply->message);
            response.groups.insert(response.groups.end(), some.groups.begin(), some.groups.end());
        }
        co_await port::hop(owner->ports.spawn, home.id());
    }
    co_return respond(request, response);
}

port::Task<Response> handle_delete_groups(Request request) {
    using Result = protocol::DeleteGroupsResponse::DeletableGroupResult;
    Core& core = *request.core;
    const auto body = decode_request<protocol::DeleteGroupsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    protocol::DeleteGroupsResponse response;
    for (const std::string& group_id : body->groups_names) {
        const GroupAnswer reply =
            co_await ask_group(core, group_id, coordination::Delete{.group_id = group_id});
        if (reply) {
            response.results.push_back(std::get<Result>(reply->message));
        } else {
            response.results.push_back({.group_id = group_id, .error_code = reply.error()});
        }
    }
    co_return respond(request, response);
}

port::Task<Response> handle_offset_delete(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<protocol::OffsetDeleteRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    GroupAnswer reply =
        co_await ask_group(core, body->group_id, coordination::DeleteOffsets{.request = *body});
    if (reply) {
        co_return respond(request, std::get<protocol::OffsetDeleteResponse>(reply->message));
    }
    protocol::OffsetDeleteResponse refusal;
    refusal.error_code = reply.error();
    co_return respond(request, refusal);
}

}  // namespace dlog::broker
