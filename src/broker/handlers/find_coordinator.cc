/// FindCoordinator: this node coordinates every group.
#include "protocol/messages/find_coordinator.h"
#include "broker/core.h"
#include "broker/groups.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::FindCoordinatorResponse;

// KIP-98 and KIP-932.
constexpr std::int8_t kGroupKey = 0;
constexpr std::int8_t kTransactionKey = 1;
constexpr std::int16_t kFirstBatchVersion = 4;

struct Place {
    ErrorCode code = ErrorCode::kNone;
    std::string message;
};

/// Why no key of this type has a coordinator; kNone for groups.
Place check_key_type(std::int8_t key_type) {
    if (key_type == kGroupKey) return {};
    if (key_type == kTransactionKey) {
        return {ErrorCode::kUnsupportedVersion, "This node does not serve transactions yet."};
    }
    return {ErrorCode::kInvalidRequest,
            "This node has coordinators of groups only (key type 0), not of key type " +
                std::to_string(key_type) + "."};
}

Place check_key(const std::string& key, const Place& common) {
    if (common.code != ErrorCode::kNone) return common;
    if (key.empty()) return {ErrorCode::kInvalidGroupId, "A group's id cannot be empty."};
    return {};
}

}  // namespace

port::Task<Response> handle_find_coordinator(Request request) {
    Core& core = *request.core;
    auto body = decode_request<protocol::FindCoordinatorRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    Place common = check_key_type(body->key_type);
    if (common.code == ErrorCode::kNone) {
        common.code = co_await ensure_offsets_topic(core);
        if (common.code != ErrorCode::kNone) common.message = "The groups' topic cannot be made.";
    }
    const bool is_batch = request.version >= kFirstBatchVersion;
    if (!is_batch) body->coordinator_keys.push_back(std::move(body->key));
    FindCoordinatorResponse response;
    for (std::string& key : body->coordinator_keys) {
        const Place place = check_key(key, common);
        FindCoordinatorResponse::Coordinator& found = response.coordinators.emplace_back();
        found.key = std::move(key);
        found.error_code = place.code;
        if (place.code == ErrorCode::kNone) {
            found.node_id = core.config.node_id.value;
            found.host = core.shared.advertised.host;
            found.port = core.shared.advertised.port;
            continue;
        }
        found.error_message = place.message;
        found.node_id = -1;
        found.port = -1;
    }
    if (!is_batch) {
        FindCoordinatorResponse::Coordinator& found = response.coordinators.at(0);
        response.error_code = found.error_code;
        response.error_message = std::move(found.error_message);
        response.node_id = found.node_id;
        response.host = std::move(found.host);
        response.port = found.port;
        response.coordinators.clear();
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
