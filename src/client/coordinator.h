/// The way to the broker that coordinates a group.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "client/cluster.h"
#include "client/connection.h"
#include "client/error.h"
#include "port/task.h"
#include "protocol/error_code.h"

namespace dlog::client {

struct CoordinatorPlace {
    NodeId node;
    port::Endpoint endpoint;
};

/// Asks who coordinates the group; tries once.
[[nodiscard]] port::Task<Result<CoordinatorPlace>> locate_coordinator(Cluster& cluster,
                                                                      std::string group,
                                                                      Instant deadline);

/// The same, and connects to it.
[[nodiscard]] port::Task<Result<ConnectionPtr>> find_coordinator(Cluster& cluster,
                                                                 std::string group,
                                                                 Instant deadline);

/// True when the coordinator is another one by now, or not ready.
[[nodiscard]] constexpr bool is_coordinator_moving(protocol::ErrorCode code) {
    return code == protocol::ErrorCode::kNotCoordinator ||
           code == protocol::ErrorCode::kCoordinatorNotAvailable ||
           code == protocol::ErrorCode::kCoordinatorLoadInProgress;
}

/// Sends `request`, which may be repeated without harm, to the group's coordinator, again while
/// that moves or cannot be reached. `error_of` finds the answer's error; any other than those of
/// moving is left to the caller.
template <class Request, class ErrorOf>
[[nodiscard]] port::Task<Result<Answer<typename Request::Response>>> call_coordinator(
    Cluster& cluster, std::string group, Request request, CallOptions options, ErrorOf error_of) {
    const Instant deadline = options.deadline;
    Backoff backoff(cluster.config(), cluster.random());
    for (;;) {
        Error failure;
        auto coordinator = co_await find_coordinator(cluster, group, deadline);
        if (coordinator) {
            auto answer = co_await (*coordinator)->call(request, options);
            if (!answer) {
                failure = std::move(answer).error();
            } else if (is_coordinator_moving(error_of(answer->message))) {
                failure = broker_error(error_of(answer->message), "group " + group);
            } else {
                co_return answer;
            }
        } else {
            failure = std::move(coordinator).error();
        }
        const bool is_worth_it = failure.is_retriable();
        const bool is_in_time = is_worth_it && co_await cluster.wait(backoff.next(), deadline);
        if (!is_in_time) co_return unexpected(std::move(failure));
    }
}

}  // namespace dlog::client
