#include "client/coordinator.h"

#include "protocol/messages/find_coordinator.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

constexpr std::int16_t kFirstVersionOfMany = 4;

}  // namespace

port::Task<Result<CoordinatorPlace>> locate_coordinator(Cluster& cluster, std::string group,
                                                        Instant deadline) {
    DLOG_CO_TRY_ASSIGN(const ConnectionPtr any, co_await cluster.any_connection());
    DLOG_CO_TRY_ASSIGN(const std::int16_t version,
                       any->version_of<protocol::FindCoordinatorRequest>());
    protocol::FindCoordinatorRequest request;
    if (version >= kFirstVersionOfMany) {
        request.coordinator_keys = {group};
    } else {
        request.key = group;
    }
    DLOG_CO_TRY_ASSIGN(auto answer, co_await any->call(std::move(request), {.deadline = deadline}));
    protocol::FindCoordinatorResponse& response = answer.message;
    if (version < kFirstVersionOfMany) {
        response.coordinators.push_back({.node_id = response.node_id,
                                         .host = response.host,
                                         .port = response.port,
                                         .error_code = response.error_code,
                                         .error_message = response.error_message});
    }
    if (response.coordinators.size() != 1) {
        co_return unexpected(Error{.kind = ErrorKind::kBadResponse, .detail = "FindCoordinator"});
    }
    const auto& found = response.coordinators.front();
    if (found.error_code != ErrorCode::kNone) {
        co_return unexpected(
            broker_error(found.error_code, found.error_message.value_or("group " + group)));
    }
    CoordinatorPlace place{NodeId{found.node_id},
                           {found.host, static_cast<std::uint16_t>(found.port)}};
    cluster.learn_broker(place.node, place.endpoint);
    co_return place;
}

port::Task<Result<ConnectionPtr>> find_coordinator(Cluster& cluster, std::string group,
                                                   Instant deadline) {
    DLOG_CO_TRY_ASSIGN(const CoordinatorPlace place,
                       co_await locate_coordinator(cluster, std::move(group), deadline));
    co_return co_await cluster.connection_to(place.node);
}

}  // namespace dlog::client
