#include "client/offset_requests.h"

#include "base/assert.h"

namespace dlog::client {

void ask_for_offset(OffsetRequests& requests, const TopicInfo& topic, std::int32_t partition,
                    Timestamp time) {
    const auto index = static_cast<std::size_t>(partition);
    DLOG_ASSERT(index < topic.partitions.size(), partition, topic.partitions.size());
    const PartitionInfo& info = topic.partitions[index];
    if (info.leader.value < 0) return;
    protocol::ListOffsetsRequest& request = requests[info.leader];
    request.replica_id = -1;
    if (request.topics.empty() || request.topics.back().name != topic.name) {
        request.topics.emplace_back().name = topic.name;
    }
    auto& wanted = request.topics.back().partitions.emplace_back();
    wanted.partition_index = partition;
    wanted.current_leader_epoch = info.leader_epoch.value;
    wanted.timestamp = time.ms;
}

}  // namespace dlog::client
