/// Files of deleted topics that a crash kept from being removed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "port/ports.h"
#include "port/task.h"

namespace dlog::broker {

/// A topic that the metadata log says is deleted.
struct DeletedTopicFiles {
    std::string name;
    TopicId id;
    std::int32_t partition_count = 0;
};

/// Removes what is still there of `topics`. A topic of the same name that lives now has another id,
/// so other folders, which are left alone; so is everything that the metadata log never named.
[[nodiscard]] port::Task<void> remove_leftovers(port::Ports ports, std::string data_dir,
                                                std::vector<DeletedTopicFiles> topics);

/// Removes the folder of a deleted topic, whose partitions' folders are gone. It stays when there
/// is something else in it.
[[nodiscard]] port::Task<void> remove_topic_folder(port::Ports ports, std::string data_dir,
                                                   std::string topic);

}  // namespace dlog::broker
