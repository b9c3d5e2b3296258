#include "broker/leftovers.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "port/disk.h"
#include "replication/partition.h"
#include "replication/shard.h"

namespace dlog::broker {

namespace {

port::Task<void> remove_folder(port::Ports ports, std::string folder) {
    const auto there = co_await ports.disk.stat_path(folder);
    if (!there || !there->is_directory) co_return;
    const auto removed = co_await ports.disk.remove_all(folder);
    if (removed) {
        ports.log.info("removed what was left of a deleted partition", {{"folder", folder}});
    } else {
        ports.log.warn("a deleted partition's folder cannot be removed",
                       {{"folder", folder}, {"error", port::disk_error_name(removed.error())}});
    }
}

}  // namespace

port::Task<void> remove_leftovers(port::Ports ports, std::string data_dir,
                                  std::vector<DeletedTopicFiles> topics) {
    if (topics.empty()) co_return;
    // One look at the names spares a look for each partition that was ever deleted.
    const auto names = co_await ports.disk.list(data_dir + "/topics");
    if (!names) co_return;
    for (const DeletedTopicFiles& topic : topics) {
        if (!std::ranges::binary_search(*names, topic.name)) continue;
        for (std::int32_t partition = 0; partition < topic.partition_count; ++partition) {
            const replication::PartitionKey key{
                .topic = topic.name, .topic_id = topic.id, .partition = PartitionId(partition)};
            co_await remove_folder(ports, replication::partition_folder(data_dir, key));
        }
        co_await remove_topic_folder(ports, data_dir, topic.name);
    }
}

port::Task<void> remove_topic_folder(port::Ports ports, std::string data_dir, std::string topic) {
    // One that is not empty has partitions of a later topic of that name.
    (void)co_await ports.disk.remove(data_dir + "/topics/" + topic);
}

}  // namespace dlog::broker
