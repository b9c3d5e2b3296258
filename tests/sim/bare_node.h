/// What the levels without broker do alike on a node.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "history.h"
#include "port/ports.h"
#include "port/task.h"
#include "replication/partition.h"
#include "sim/world.h"

namespace dlog::port {
class Disk;
}

namespace dlog::simtest {

/// The host's ports, with another disk.
[[nodiscard]] port::Ports ports_with(sim::Host& host, port::Disk& disk);

/// What a node's start does before its partitions are opened; false when the disk refuses.
port::Task<bool> make_folder(port::Disk* disk, std::string data_dir);

/// The bytes of one read; empty after an error, which is returned.
port::Task<replication::Result<std::vector<std::uint8_t>>> read_bytes(
    port::Disk* disk, replication::PartitionPtr partition, replication::ReadRequest request,
    History* history);

}  // namespace dlog::simtest
