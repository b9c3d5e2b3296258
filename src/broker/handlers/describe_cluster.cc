/// DescribeCluster: the nodes and the controller.
#include "protocol/messages/describe_cluster.h"
#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "broker/operations.h"

namespace dlog::broker {

namespace {

// KIP-919's endpoint types.
constexpr std::int8_t kBrokers = 1;
constexpr std::int8_t kControllers = 2;

}  // namespace

port::Task<Response> handle_describe_cluster(Request request) {
    using protocol::ErrorCode;
    Core& core = *request.core;
    const auto body = decode_request<protocol::DescribeClusterRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    protocol::DescribeClusterResponse response;
    response.endpoint_type = body->endpoint_type;
    response.cluster_id = core.shared.cluster_id;
    if (body->endpoint_type != kBrokers) {
        response.error_code = body->endpoint_type == kControllers
                                  ? ErrorCode::kMismatchedEndpointType
                                  : ErrorCode::kUnsupportedEndpointType;
        response.error_message = "This endpoint is for clients of brokers.";
        co_return respond(request, response);
    }
    response.controller_id = core.config.node_id.value;
    for (const auto& [id, node] : core.view->state().nodes()) {
        response.brokers.push_back({.broker_id = id.value, .host = node.host, .port = node.port});
    }
    if (body->include_cluster_authorized_operations) {
        response.cluster_authorized_operations = kClusterOperations;
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
