#include "sdk/group_session.h"

#include "base/result.h"
#include "client/admin.h"
#include "port/clock.h"
#include "sdk/convert.h"

namespace dlog::sdk {

using Kind = GroupSession::Event::Kind;

client::GroupMemberConfig member_config(const GroupOptions& options) {
    client::GroupMemberConfig config;
    config.group = options.id.view();
    if (!options.instance_id.view().empty()) config.instance_id = options.instance_id.view();
    config.protocol = static_cast<client::GroupProtocol>(options.protocol);
    config.assignors = static_cast<client::OfferedAssignors>(options.assignor);
    config.session_timeout = duration_of(options.session_timeout);
    config.heartbeat_interval = duration_of(options.heartbeat_interval);
    config.poll_interval_max = duration_of(options.poll_interval_max);
    return config;
}

GroupSession::GroupSession(client::Cluster& cluster, const ConsumerOptions& options,
                           std::function<void()> ring,
                           std::function<void(const client::Error&)> tell)
    : cluster_(cluster),
      config_(member_config(options.group)),
      on_missing_offset_(options.on_missing_offset),
      isolation_(isolation_of(options)),
      ring_(std::move(ring)),
      tell_(std::move(tell)),
      last_poll_ns_(monotonic_now().ns),
      member_(cluster, config_, *this) {}

port::Task<void> GroupSession::revoked(client::TopicPartitions partitions) {
    return pass({.kind = Kind::kRevoked, .partitions = std::move(partitions), .starts = {}});
}

port::Task<void> GroupSession::lost(client::TopicPartitions partitions) {
    return pass({.kind = Kind::kLost, .partitions = std::move(partitions), .starts = {}});
}

port::Task<void> GroupSession::assigned(client::TopicPartitions added) {
    Event event{.kind = Kind::kAssigned, .partitions = std::move(added), .starts = {}};
    if (!event.partitions.empty()) co_await find_starts(&event);
    co_await pass(std::move(event));
}

port::Task<void> GroupSession::pass(Event event) {
    {
        const std::lock_guard lock(mutex_);
        event_ = std::move(event);
        is_under_way_ = true;
    }
    ring_();
    while (!is_over()) static_cast<void>(co_await heard_.wait());
}

bool GroupSession::is_over() {
    const std::lock_guard lock(mutex_);
    return !is_under_way_ || is_cancelled_;
}

/// Tries until it works: without knowing where to begin there is nothing to read.
port::Task<void> GroupSession::find_starts(Event* event) {
    client::Backoff backoff(cluster_.config(), cluster_.random());
    for (;;) {
        auto found = co_await find_committed(event);
        if (found) found = co_await find_missing(event);
        if (found) co_return;
        tell_(found.error());
        {
            const std::lock_guard lock(mutex_);
            if (is_cancelled_) co_return;
        }
        if (!co_await cluster_.wait(backoff.next(), kNever)) co_return;
    }
}

port::Task<client::Result<void>> GroupSession::find_committed(Event* event) {
    DLOG_CO_TRY_ASSIGN(
        const auto committed,
        co_await client::committed_offsets(cluster_, config_.group, cluster_.default_deadline()));
    for (const client::CommittedOffset& one : committed) {
        event->starts[{one.topic, one.partition}] = one.offset;
    }
    co_return client::Result<void>();
}

/// Where those begin of which nothing is committed.
port::Task<client::Result<void>> GroupSession::find_missing(Event* event) {
    if (on_missing_offset_ == MissingOffset::kFail) co_return client::Result<void>();
    const Timestamp time =
        on_missing_offset_ == MissingOffset::kEnd ? client::kLatestOffset : client::kEarliestOffset;
    for (const auto& [topic, partitions] : event->partitions) {
        std::vector<std::int32_t> missing;
        for (const std::int32_t number : partitions) {
            if (!event->starts.contains({topic, number})) missing.push_back(number);
        }
        if (missing.empty()) continue;
        DLOG_CO_TRY_ASSIGN(const auto listed,
                           co_await client::list_offsets(cluster_, topic, missing, time,
                                                         cluster_.default_deadline(), isolation_));
        for (const client::ListedOffset& one : listed) {
            event->starts[{topic, one.partition}] = one.offset;
        }
    }
    co_return client::Result<void>();
}

bool GroupSession::polled(Instant now) {
    const Instant before{last_poll_ns_.exchange(now.ns)};
    return now - before > config_.poll_interval_max;
}

std::optional<GroupSession::Event> GroupSession::take() {
    const std::lock_guard lock(mutex_);
    if (is_cancelled_) return std::nullopt;
    return std::exchange(event_, std::nullopt);
}

void GroupSession::finish() {
    const std::lock_guard lock(mutex_);
    is_under_way_ = false;
}

void GroupSession::cancel() {
    const std::lock_guard lock(mutex_);
    is_cancelled_ = true;
}

}  // namespace dlog::sdk
