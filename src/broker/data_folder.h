/// The data folder of a node: who may use it, and what it remembers beside the logs.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "port/disk.h"
#include "port/ports.h"
#include "port/task.h"

namespace dlog::broker {

/// What the file `meta` holds. docs/formats/data-folder.md describes its lines.
struct NodeMeta {
    NodeId node_id;
    std::string cluster_id;
    /// How often this node has started; the leader epoch of everything it writes until the next
    /// start.
    LeaderEpoch epoch;

    bool operator==(const NodeMeta&) const = default;
};

[[nodiscard]] Buffer encode_node_meta(const NodeMeta& meta);
/// The reason in words when the bytes are damaged or of another version.
[[nodiscard]] std::expected<NodeMeta, std::string> decode_node_meta(ByteView bytes);

/// An opened data folder. It is nobody else's until `lock` is dropped.
struct DataFolder {
    port::FilePtr lock;
    NodeMeta meta;
};

/// Makes the folder when it is not there, locks it, and counts this start. The reason in words when
/// another process has it, when it is another node's, or when it cannot be read or written.
/// `process_id` is what a second node on the folder is told.
[[nodiscard]] port::Task<std::expected<DataFolder, std::string>> open_data_folder(
    port::Ports ports, std::string path, NodeId node_id, std::int64_t process_id);

}  // namespace dlog::broker
