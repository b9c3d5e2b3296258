/// The topic configuration that matters to a partition's log, by Kafka's names, units and defaults.
#pragma once

#include <cstdint>

namespace dlog::storage {

enum class TimestampType : std::uint8_t { kCreateTime, kLogAppendTime };

struct LogConfig {
    std::int64_t segment_bytes = std::int64_t{1} << 30;           ///< segment.bytes
    std::int64_t segment_ms = std::int64_t{7} * 24 * 3600'000;    ///< segment.ms
    std::int64_t segment_jitter_ms = 0;                           ///< segment.jitter.ms
    std::int64_t index_interval_bytes = 4096;                     ///< index.interval.bytes
    std::int64_t segment_index_bytes = std::int64_t{10} << 20;    ///< segment.index.bytes
    std::int64_t retention_ms = std::int64_t{7} * 24 * 3600'000;  ///< retention.ms, -1 for ever
    std::int64_t retention_bytes = -1;                            ///< retention.bytes, -1 no limit
    bool deletes_old = true;                         ///< cleanup.policy contains "delete"
    bool compacts = false;                           ///< cleanup.policy contains "compact"
    std::int64_t delete_retention_ms = 86'400'000;   ///< delete.retention.ms
    std::int64_t min_compaction_lag_ms = 0;          ///< min.compaction.lag.ms
    std::int64_t max_compaction_lag_ms = INT64_MAX;  ///< max.compaction.lag.ms
    double min_cleanable_dirty_ratio = 0.5;          ///< min.cleanable.dirty.ratio
    std::int64_t flush_messages = INT64_MAX;         ///< flush.messages, under write_caching
    std::int64_t flush_bytes = INT64_MAX;            ///< flush.bytes, under write_caching
    std::int64_t flush_ms = INT64_MAX;               ///< flush.ms, under write_caching
    bool write_caching = false;  ///< write.caching: acknowledge before the bytes are synced
    std::int64_t max_message_bytes = 1'048'588;                 ///< max.message.bytes
    TimestampType timestamp_type = TimestampType::kCreateTime;  ///< message.timestamp.type
    std::int64_t producer_id_expiration_ms = 86'400'000;        ///< producer.id.expiration.ms

    bool operator==(const LogConfig&) const = default;
};

}  // namespace dlog::storage
