/// AlterConfigs and IncrementalAlterConfigs: requests to the controller and back.
#include <utility>

#include "broker/controller.h"
#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/alter_configs.h"
#include "protocol/messages/incremental_alter_configs.h"

namespace dlog::broker {

namespace {

using protocol::AlterConfigsRequest;
using protocol::IncrementalAlterConfigsRequest;

metadata::ConfigOperation operation_of(const AlterConfigsRequest::AlterableConfig&) {
    return metadata::ConfigOperation::kSet;
}

metadata::ConfigOperation operation_of(
    const IncrementalAlterConfigsRequest::AlterableConfig& config) {
    return static_cast<metadata::ConfigOperation>(config.config_operation);
}

/// Both requests have the same shape but for the operation, and both responses the same.
template <class Body>
port::Task<Response> handle(Request request, bool replaces_all) {
    Core& core = *request.core;
    auto body = decode_request<Body>(request);
    if (!body) co_return undecodable(request, body.error());
    metadata::AlterConfigs alteration{.replaces_all = replaces_all,
                                      .validate_only = body->validate_only};
    for (auto& asked : body->resources) {
        metadata::AlteredResource& resource = alteration.resources.emplace_back();
        resource.type = static_cast<metadata::ConfigResource>(asked.resource_type);
        resource.name = asked.resource_name;
        for (auto& config : asked.configs) {
            resource.changes.push_back({.name = std::move(config.name),
                                        .operation = operation_of(config),
                                        .value = std::move(config.value)});
        }
    }
    auto reply = co_await alter_configs(core, std::move(alteration));
    typename Body::Response response;
    for (std::size_t i = 0; i < reply.size(); ++i) {
        auto& answer = response.responses.emplace_back();
        answer.resource_type = body->resources[i].resource_type;
        answer.resource_name = std::move(body->resources[i].resource_name);
        answer.error_code = reply[i].code;
        answer.error_message = std::nullopt;
        if (reply[i].code != protocol::ErrorCode::kNone) {
            answer.error_message = std::move(reply[i].message);
        }
    }
    co_return respond(request, response);
}

}  // namespace

port::Task<Response> handle_alter_configs(Request request) {
    return handle<AlterConfigsRequest>(std::move(request), true);
}

port::Task<Response> handle_incremental_alter_configs(Request request) {
    return handle<IncrementalAlterConfigsRequest>(std::move(request), false);
}

}  // namespace dlog::broker
