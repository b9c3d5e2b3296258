/// DescribeLogDirs: how much the data folder holds, and what of it is whose.
#include <map>
#include <string>
#include <utility>

#include "broker/handlers/handlers.h"
#include "broker/handlers/owners.h"
#include "broker/handlers/respond.h"
#include "port/disk.h"
#include "protocol/messages/describe_log_dirs.h"

namespace dlog::broker {

namespace {

using protocol::DescribeLogDirsRequest;
using protocol::DescribeLogDirsResponse;
/// Bytes of each partition, by topic and number.
using Sizes = std::map<std::string, std::map<std::int32_t, std::int64_t>>;

/// Of the partitions `asked` for, or of all when that is null.
port::Task<Sizes> measure(Core* home, const NamedPartitions* asked) {
    Sizes sizes;
    Core* here = home;
    for (Core* const owner : home->shared.cores) {
        co_await port::hop(here->ports.spawn, owner->id());
        here = owner;
        for (const auto& partition : owner->shard.partitions()) {
            const replication::PartitionKey& key = partition->key();
            // The metadata log and what is being removed are nobody's topics.
            if (owner->view->find(key.topic_id) == nullptr) continue;
            if (asked != nullptr && !asked->contains(key.topic, key.partition.value)) continue;
            sizes[key.topic][key.partition.value] =
                static_cast<std::int64_t>(partition->status().size_bytes);
        }
    }
    co_await port::hop(here->ports.spawn, home->id());
    co_return sizes;
}

}  // namespace

port::Task<Response> handle_describe_log_dirs(Request request) {
    Core& core = *request.core;
    const auto body = decode_request<DescribeLogDirsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    NamedPartitions asked;
    if (body->topics) {
        for (const auto& topic : *body->topics) {
            for (const std::int32_t index : topic.partitions) (void)asked.add(topic.topic, index);
        }
    }
    const Sizes sizes = co_await measure(&core, body->topics ? &asked : nullptr);
    DescribeLogDirsResponse response;
    auto& folder = response.results.emplace_back();
    folder.log_dir = core.config.data_dir;
    for (const auto& [name, partitions] : sizes) {
        auto& topic = folder.topics.emplace_back();
        topic.name = name;
        for (const auto& [index, size] : partitions) {
            topic.partitions.push_back({.partition_index = index, .partition_size = size});
        }
    }
    if (const auto space = co_await core.ports.disk.space(core.config.data_dir)) {
        folder.total_bytes = static_cast<std::int64_t>(space->total_bytes);
        folder.usable_bytes = static_cast<std::int64_t>(space->free_bytes);
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
