#include "peers/links.h"

#include <utility>

#include "base/assert.h"
#include "peers/desk.h"

namespace dlog::peers {

void Links::send(NodeId to, const raft::GroupId& group, raft::Message message,
                 std::vector<Buffer> records) {
    if (!desk_.is_open) return;
    Route* const route = desk_.route_to(to);
    if (route == nullptr) {
        ++desk_.metrics.messages_to_nobody;
        return;
    }
    route->outbox.add({.group = group, .message = std::move(message)}, std::move(records));
    desk_.flush_soon();
}

port::Task<std::expected<Buffer, CallError>> Links::call(NodeId to, std::uint16_t kind, Buffer body,
                                                         Instant deadline) {
    if (!desk_.is_open) co_return std::unexpected(CallError::kStopping);
    const port::Gate::Hold hold = desk_.gate.enter();
    Route* const route = desk_.route_to(to);
    if (route == nullptr) co_return std::unexpected(CallError::kUnreachable);
    if (const auto error = route->calls.refusal(body)) co_return std::unexpected(*error);
    Calls::Pending pending(route->calls, route->calls.request(kind, body));
    desk_.flush_soon();
    co_return co_await pending.wait(deadline);
}

void Links::notify(NodeId to, std::uint16_t kind, Buffer body) {
    Route* const route = desk_.is_open ? desk_.route_to(to) : nullptr;
    if (route == nullptr) return;
    route->calls.notice(kind, body);
    desk_.flush_soon();
}

const raft::Peers& Links::peers() const {
    return desk_.peers;
}

Metrics Links::metrics() const {
    Metrics metrics = desk_.metrics;
    for (const auto& [to, route] : desk_.routes) {
        metrics.nodes[to].queued_bytes = route->outbox.size_bytes() + route->calls.size_bytes();
    }
    return metrics;
}

}  // namespace dlog::peers
