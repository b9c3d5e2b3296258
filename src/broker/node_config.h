/// What one node is configured with: a plain struct that the program fills from flags, environment
/// and file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/time.h"
#include "coordination/group/settings.h"
#include "metadata/config_definition.h"
#include "port/net.h"

namespace dlog::broker {

inline constexpr std::uint32_t kNoConnectionLimit = INT32_MAX;

/// Comments give Kafka's name of each setting where it has one.
struct NodeConfig {
    NodeId node_id{1};                ///< node.id
    std::string data_dir = "./data";  ///< log.dirs; the lock, meta and topic files live below
    std::int64_t process_id = 0;      ///< Named to whoever tries to start a second node there.
    port::Endpoint listen{"127.0.0.1", 9092};      ///< listeners
    port::Endpoint advertised{"127.0.0.1", 9092};  ///< advertised.listeners; port 0: the bound one

    /// Every Kafka broker setting that was given, by its Kafka name ("log.retention.hours"). Topics
    /// without a setting of their own fall back on these, and DescribeConfigs shows them as static
    /// broker settings. Names that neither table knows are refused by `check_node_config`.
    metadata::ConfigMap settings;

    bool auto_create_topics = true;               ///< auto.create.topics.enable
    std::int32_t num_partitions = 1;              ///< num.partitions
    std::int32_t default_replication_factor = 1;  ///< default.replication.factor
    bool delete_topic_enable = true;              ///< delete.topic.enable

    std::size_t request_bytes_max = 104'857'600;         ///< socket.request.max.bytes
    std::uint32_t connections_max = kNoConnectionLimit;  ///< max.connections, all cores together
    std::uint32_t connections_per_ip_max = kNoConnectionLimit;  ///< max.connections.per.ip
    /// By address: max.connections.per.ip.overrides.
    std::map<std::string, std::uint32_t, std::less<>> connections_per_ip_overrides;
    /// A second: max.connection.creation.rate
    std::uint32_t connection_creation_rate_max = kNoConnectionLimit;
    Duration connection_idle_max = seconds(600);  ///< connections.max.idle.ms
    /// A response that the client does not take within this time closes the connection.
    Duration write_stall_max = seconds(60);
    /// Produce requests of one connection whose answer is still to come.
    std::uint32_t produce_in_flight_max = 64;
    std::size_t produce_in_flight_bytes_max = 32 << 20;
    /// Request frames of one core's connections that are in memory together:
    /// queued.max.request.bytes.
    std::size_t request_memory_bytes_max = 512 << 20;

    std::int32_t fetch_bytes_max = 57'671'680;     ///< fetch.max.bytes
    std::uint32_t fetch_session_slots_max = 1000;  ///< max.incremental.fetch.session.cache.slots
    std::int32_t producer_id_block_size = 1000;

    coordination::GroupSettings groups;
    std::int32_t offsets_topic_partitions = 50;              ///< offsets.topic.num.partitions
    std::int16_t offsets_topic_replication_factor = 1;       ///< offsets.topic.replication.factor
    std::int32_t offsets_topic_segment_bytes = 104'857'600;  ///< offsets.topic.segment.bytes

    std::size_t tail_bytes = 64 << 20;           ///< Newest batches in memory, per core.
    std::size_t open_files_max = 4096;           ///< Segment files kept open, per core.
    Duration retention_interval = seconds(300);  ///< log.retention.check.interval.ms
    Duration checkpoint_interval = seconds(5);   ///< log.flush.offset.checkpoint.interval.ms
    bool cleaner_enable = true;                  ///< log.cleaner.enable
    std::size_t cleaner_map_bytes = 128 << 20;   ///< log.cleaner.dedupe.buffer.size, all cores
    double cleaner_bytes_per_second = 1e300;     ///< log.cleaner.io.max.bytes.per.second, all cores
    Duration cleaner_backoff = seconds(15);      ///< log.cleaner.backoff.ms
};

}  // namespace dlog::broker
