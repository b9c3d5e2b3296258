/// JoinGroup, SyncGroup, Heartbeat and LeaveGroup, and the heartbeat of KIP-848: each goes to its
/// group's coordinator.
#include <utility>

#include "broker/core.h"
#include "broker/groups.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "broker/peer_address.h"
#include "protocol/messages/consumer_group_heartbeat.h"
#include "protocol/messages/heartbeat.h"
#include "protocol/messages/join_group.h"
#include "protocol/messages/leave_group.h"
#include "protocol/messages/sync_group.h"

namespace dlog::broker {

namespace {

/// Kafka shows a member's host as Java prints an address.
std::string host_of(std::string_view peer) {
    return "/" + address_of_peer(peer);
}

/// The coordinator's reply, or a message that bears only the error.
template <class Message>
Response answer(const Request& request, GroupAnswer& answer) {
    if (answer) return respond(request, std::get<Message>(answer->message));
    Message refusal;
    refusal.error_code = answer.error();
    return respond(request, refusal);
}

constexpr std::int16_t kFirstLeaveOfMany = 3;

}  // namespace

port::Task<Response> handle_join_group(Request request) {
    const auto body = decode_request<protocol::JoinGroupRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    const std::string host = host_of(request.peer);
    GroupAnswer reply = co_await ask_own_group(
        request, body->group_id,
        coordination::Join{.caller = {.client_id = request.client_id, .host = host},
                           .version = request.version,
                           .request = *body});
    if (reply) co_return answer<protocol::JoinGroupResponse>(request, reply);
    protocol::JoinGroupResponse refusal;
    refusal.error_code = reply.error();
    refusal.protocol_name = "";
    refusal.member_id = body->member_id;
    co_return respond(request, refusal);
}

port::Task<Response> handle_sync_group(Request request) {
    const auto body = decode_request<protocol::SyncGroupRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    GroupAnswer reply =
        co_await ask_own_group(request, body->group_id, coordination::Sync{.request = *body});
    co_return answer<protocol::SyncGroupResponse>(request, reply);
}

port::Task<Response> handle_heartbeat(Request request) {
    const auto body = decode_request<protocol::HeartbeatRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    GroupAnswer reply =
        co_await ask_own_group(request, body->group_id, coordination::Beat{.request = *body});
    co_return answer<protocol::HeartbeatResponse>(request, reply);
}

port::Task<Response> handle_leave_group(Request request) {
    auto body = decode_request<protocol::LeaveGroupRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    const bool is_of_one = request.version < kFirstLeaveOfMany;
    if (is_of_one) body->members.push_back({.member_id = std::move(body->member_id)});
    GroupAnswer reply =
        co_await ask_own_group(request, body->group_id, coordination::Leave{.request = *body});
    if (reply && is_of_one) {
        auto& message = std::get<protocol::LeaveGroupResponse>(reply->message);
        if (message.error_code == protocol::ErrorCode::kNone && !message.members.empty()) {
            message.error_code = message.members.front().error_code;
        }
        message.members.clear();
    }
    co_return answer<protocol::LeaveGroupResponse>(request, reply);
}

port::Task<Response> handle_consumer_group_heartbeat(Request request) {
    const auto body = decode_request<protocol::ConsumerGroupHeartbeatRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    const std::string host = host_of(request.peer);
    GroupAnswer reply = co_await ask_own_group(
        request, body->group_id,
        coordination::ConsumerBeat{.caller = {.client_id = request.client_id, .host = host},
                                   .request = *body});
    co_return answer<protocol::ConsumerGroupHeartbeatResponse>(request, reply);
}

}  // namespace dlog::broker
