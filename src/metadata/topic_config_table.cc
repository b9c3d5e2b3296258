#include <algorithm>
#include <iterator>

#include "metadata/topic_config.h"

namespace dlog::metadata {

namespace {

using enum ConfigType;

constexpr std::int64_t kNoMinimum = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kNoMaximum = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMsPerHour = 3'600'000;
constexpr std::int64_t kMsPerMinute = 60'000;
constexpr std::string_view kLongMax = "9223372036854775807";

// Names, types, defaults and limits are those of Apache Kafka 4 (its "Topic Configs" reference), in
// order of name. `flush.bytes`, `write.caching` and `write.quorum` are
// DLog's.
constexpr TopicConfigDefinition kTable[] = {
    {.definition =
         {"cleanup.policy", kList, "delete",
          "What happens to old segments. delete removes those beyond the retention limits; compact "
          "keeps the latest record of each key; compact,delete does both.",
          kNoMinimum, kNoMaximum, "compact|delete"},
     .synonyms = {{"log.cleanup.policy"}}},
    {.definition = {"compression.gzip.level", kInt, "-1",
                    "The level at which the broker compresses with gzip, 1 to 9; -1 is gzip's own "
                    "default. It matters when compression.type is gzip.",
                    -1, 9},
     .synonyms = {{"compression.gzip.level"}}},
    {.definition = {"compression.lz4.level", kInt, "9",
                    "The level at which the broker compresses with lz4, 1 to 17. It matters when "
                    "compression.type is lz4.",
                    1, 17},
     .synonyms = {{"compression.lz4.level"}}},
    {.definition = {"compression.type", kString, "producer",
                    "The codec that batches are stored in. producer keeps what the producer chose; "
                    "any other value makes the broker compress batches that come otherwise.",
                    kNoMinimum, kNoMaximum, "uncompressed|zstd|lz4|snappy|gzip|producer"},
     .synonyms = {{"compression.type"}}},
    {.definition = {"compression.zstd.level", kInt, "3",
                    "The level at which the broker compresses with zstd, -131072 to 22. It matters "
                    "when compression.type is zstd.",
                    -131'072, 22},
     .synonyms = {{"compression.zstd.level"}}},
    {.definition = {"delete.retention.ms", kLong, "86400000",
                    "With compaction: how long a record without a value, which deletes its key, is "
                    "kept after it was first cleaned, so that readers see the deletion.",
                    0},
     .synonyms = {{"log.cleaner.delete.retention.ms"}}},
    {.definition = {"file.delete.delay.ms", kLong, "60000",
                    "How long a removed segment's file stays on disk, so that reads under way can "
                    "end.",
                    0},
     .synonyms = {{"log.segment.delete.delay.ms"}}},
    {.definition = {"flush.bytes", kLong, kLongMax,
                    "With write.caching on: sync after this many unsynced bytes of a partition.",
                    1},
     .synonyms = {{"log.flush.interval.bytes"}}},
    {.definition = {"flush.messages", kLong, kLongMax,
                    "With write.caching on: sync after this many unsynced records of a partition. "
                    "With write.caching off every acknowledged record is synced already.",
                    1},
     .synonyms = {{"log.flush.interval.messages"}}},
    {.definition = {"flush.ms", kLong, kLongMax,
                    "With write.caching on: sync at the latest this long after a write. With "
                    "write.caching off every acknowledged record is synced already.",
                    0},
     .synonyms = {{"log.flush.interval.ms"}, {"log.flush.scheduler.interval.ms"}}},
    {.definition = {"index.interval.bytes", kInt, "4096",
                    "How many bytes of log lie between two entries of the offset index. Smaller "
                    "finds positions with less scanning and makes larger indexes.",
                    0},
     .synonyms = {{"log.index.interval.bytes"}}},
    {.definition = {"internal.segment.bytes", kInt, "1073741824",
                    "segment.bytes without its lower limit, for tests.", 1},
     .synonyms = {},
     .is_hidden = true},
    {.definition = {"max.compaction.lag.ms", kLong, kLongMax,
                    "With compaction: how long a record may stay without being compacted.", 1},
     .synonyms = {{"log.cleaner.max.compaction.lag.ms"}}},
    {.definition = {"max.message.bytes", kInt, "1048588",
                    "The largest record batch, in bytes as it comes, that a producer may send.", 0},
     .synonyms = {{"message.max.bytes"}}},
    {.definition = {"message.timestamp.after.max.ms", kLong, "3600000",
                    "How far a record's timestamp may lie after the broker's clock. Records beyond "
                    "are refused. It does not matter when message.timestamp.type is LogAppendTime.",
                    0},
     .synonyms = {{"log.message.timestamp.after.max.ms"}}},
    {.definition =
         {"message.timestamp.before.max.ms", kLong, kLongMax,
          "How far a record's timestamp may lie before the broker's clock. Records beyond "
          "are refused. It does not matter when message.timestamp.type is LogAppendTime.",
          0},
     .synonyms = {{"log.message.timestamp.before.max.ms"}}},
    {.definition = {"message.timestamp.type", kString, "CreateTime",
                    "CreateTime keeps the producer's timestamps; LogAppendTime sets those of the "
                    "append.",
                    kNoMinimum, kNoMaximum, "CreateTime|LogAppendTime"},
     .synonyms = {{"log.message.timestamp.type"}}},
    {.definition = {"min.cleanable.dirty.ratio", kDouble, "0.5",
                    "With compaction: a partition is cleaned when this part of its closed segments "
                    "has not been cleaned yet.",
                    0, 1},
     .synonyms = {{"log.cleaner.min.cleanable.ratio"}}},
    {.definition = {"min.compaction.lag.ms", kLong, "0",
                    "With compaction: how long a record stays at least before it is compacted.", 0},
     .synonyms = {{"log.cleaner.min.compaction.lag.ms"}}},
    {.definition = {"min.insync.replicas", kInt, "1",
                    "How many replicas must be in sync for a produce with acks=all to be taken.",
                    1},
     .synonyms = {{"min.insync.replicas"}}},
    {.definition =
         {"retention.bytes", kLong, "-1",
          "How many bytes of a partition are kept before its oldest segments are removed; "
          "-1 for no limit.",
          -1},
     .synonyms = {{"log.retention.bytes"}}},
    {.definition = {"retention.ms", kLong, "604800000",
                    "How long records are kept before their segments are removed; -1 for no limit.",
                    -1},
     .synonyms = {{"log.retention.ms"},
                  {"log.retention.minutes", kMsPerMinute},
                  {"log.retention.hours", kMsPerHour}},
     .broker_default = "168"},
    {.definition = {"segment.bytes", kInt, "1073741824",
                    "The size at which a segment is closed and the next one begun.", 1'048'576},
     .synonyms = {{"log.segment.bytes"}}},
    {.definition =
         {"segment.index.bytes", kInt, "10485760",
          "The largest offset index of a segment; a segment whose index is full is closed.", 4},
     .synonyms = {{"log.index.size.max.bytes"}}},
    {.definition =
         {"segment.jitter.ms", kLong, "0",
          "The most that segment.ms is shortened by at random, so that many partitions do "
          "not close segments at one moment.",
          0},
     .synonyms = {{"log.roll.jitter.ms"}, {"log.roll.jitter.hours", kMsPerHour}},
     .broker_default = "0"},
    {.definition = {"segment.ms", kLong, "604800000",
                    "The age at which a segment is closed even when it is not full.", 1},
     .synonyms = {{"log.roll.ms"}, {"log.roll.hours", kMsPerHour}},
     .broker_default = "168"},
    {.definition = {"write.caching", kBoolean, "false",
                    "false: a record is acknowledged once it is synced to disk. true: once the "
                    "operating system has it, as Kafka does; a loss of power may then lose the "
                    "newest acknowledged records."},
     .synonyms = {{"write.caching"}}},
    // Hidden until a node serves as part of a cluster; check_write_quorum refuses it before.
    {.definition =
         {"write.quorum", kString, "majority",
          "How many of a partition's replicas hold a record on stable storage before it is "
          "acknowledged. majority: records survive while fewer than half of the replicas are "
          "lost. 1: the leader alone; whatever it had not yet passed on is lost with its disk, "
          "although it was acknowledged, and a new leader needs all replicas to vote. As many as "
          "there are replicas: nothing is lost while one is left, but one replica that is down "
          "stops all writing.",
          kNoMinimum, kNoMaximum, "majority|1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16"},
     .synonyms = {},
     .is_hidden = true},
};

constexpr bool is_ordered() {
    for (std::size_t i = 1; i < std::size(kTable); ++i) {
        if (kTable[i - 1].definition.name >= kTable[i].definition.name) return false;
    }
    return true;
}
static_assert(is_ordered(), "find_topic_config searches by halves");

}  // namespace

std::span<const TopicConfigDefinition> topic_config_table() {
    return kTable;
}

const TopicConfigDefinition* find_topic_config(std::string_view name) {
    const auto* found = std::ranges::lower_bound(
        kTable, name, {}, [](const TopicConfigDefinition& entry) { return entry.definition.name; });
    return found != std::end(kTable) && found->definition.name == name ? found : nullptr;
}

}  // namespace dlog::metadata
