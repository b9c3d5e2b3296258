#include "client/overview.h"

#include <algorithm>

#include "base/result.h"
#include "client/offset_requests.h"
#include "port/clock.h"
#include "protocol/messages/describe_log_dirs.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

void add_sizes(StoredLogs& logs,
               const protocol::DescribeLogDirsResponse::DescribeLogDirsResult& folder) {
    for (const auto& topic : folder.topics) {
        for (const auto& partition : topic.partitions) {
            // One that moves between folders is in both; the copy that grows is not counted.
            if (partition.is_future_key) continue;
            logs.sizes[{topic.name, partition.partition_index}] = partition.partition_size;
        }
    }
    if (folder.total_bytes < 0 || folder.usable_bytes < 0) return;
    logs.total_bytes = std::max<std::int64_t>(logs.total_bytes, 0) + folder.total_bytes;
    logs.free_bytes = std::max<std::int64_t>(logs.free_bytes, 0) + folder.usable_bytes;
}

}  // namespace

port::Task<std::map<PartitionName, Offset>> offsets_everywhere(Cluster& cluster,
                                                               std::span<const TopicInfoPtr> topics,
                                                               Timestamp time, Instant deadline) {
    std::map<PartitionName, Offset> offsets;
    OffsetRequests requests;
    for (const TopicInfoPtr& topic : topics) {
        const auto count = static_cast<std::int32_t>(topic->partitions.size());
        for (std::int32_t i = 0; i < count; ++i) ask_for_offset(requests, *topic, i, time);
    }
    for (auto& [leader, request] : requests) {
        const auto connection = co_await cluster.connection_to(leader);
        if (!connection) continue;
        request.timeout_ms = wire_ms(deadline - cluster.ports().clock.now());
        const auto answer = co_await (*connection)->call(request, {.deadline = deadline});
        if (!answer) continue;
        for (const auto& topic : (*answer)->topics) {
            for (const auto& partition : topic.partitions) {
                if (partition.error_code != ErrorCode::kNone) continue;
                offsets[{topic.name, partition.partition_index}] = Offset{partition.offset};
            }
        }
    }
    co_return offsets;
}

port::Task<Result<StoredLogs>> stored_logs(Cluster& cluster, NodeId node, Instant deadline) {
    DLOG_CO_TRY_ASSIGN(const auto connection, co_await cluster.connection_to(node));
    protocol::DescribeLogDirsRequest request;
    request.topics.reset();
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await connection->call(std::move(request), {.deadline = deadline}));
    const std::string whose = "sizes of node " + std::to_string(node.value);
    if (answer->error_code != ErrorCode::kNone) {
        co_return unexpected(broker_error(answer->error_code, whose));
    }
    StoredLogs logs;
    for (const auto& folder : answer->results) {
        if (folder.error_code == ErrorCode::kNone) add_sizes(logs, folder);
    }
    co_return logs;
}

}  // namespace dlog::client
