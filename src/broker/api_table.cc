#include "broker/api_table.h"

#include <iterator>

#include "base/assert.h"
#include "broker/handlers/handlers.h"
#include "protocol/messages/api_table.h"

namespace dlog::broker {

namespace {

using protocol::ApiKey;

/// The served range is the schema's, up to the highest version that Kafka serves itself, unless
/// said otherwise.
struct Served {
    ApiKey key{};
    Handler handler = nullptr;
    PipelinedHandler pipelined = nullptr;
    std::int16_t version_max = -1;
    std::int16_t version_min_advertised = -1;
    std::string_view limits = "";
};

constexpr Served kServed[] = {
    {.key = ApiKey::kProduce,
     .pipelined = handle_produce,
     // Clients on librdkafka before 2.10 take a higher minimum as a sign that record batches are
     // not understood (KAFKA-18659). Kafka 4 answers the same.
     .version_min_advertised = 0,
     .limits = "Versions 0 to 2 are advertised but not served, as in Kafka 4. Transactional "
               "batches are refused with INVALID_TXN_STATE."},
    {.key = ApiKey::kFetch,
     .handler = handle_fetch,
     .limits = "read_committed reads what read_uncommitted reads, since there are no "
               "transactions. No preferred read replica."},
    {.key = ApiKey::kListOffsets,
     .handler = handle_list_offsets,
     .limits = "Nothing is tiered: the tiered special times find no offset."},
    {.key = ApiKey::kMetadata, .handler = handle_metadata},
    {.key = ApiKey::kOffsetCommit, .handler = handle_offset_commit},
    {.key = ApiKey::kOffsetFetch,
     .handler = handle_offset_fetch,
     .limits = "No transactions, so every offset is stable."},
    {.key = ApiKey::kFindCoordinator,
     .handler = handle_find_coordinator,
     .limits = "Groups only: keys of transactions and of share groups are refused."},
    {.key = ApiKey::kJoinGroup, .handler = handle_join_group},
    {.key = ApiKey::kHeartbeat, .handler = handle_heartbeat},
    {.key = ApiKey::kLeaveGroup, .handler = handle_leave_group},
    {.key = ApiKey::kSyncGroup, .handler = handle_sync_group},
    {.key = ApiKey::kDescribeGroups, .handler = handle_describe_groups},
    {.key = ApiKey::kListGroups, .handler = handle_list_groups},
    {.key = ApiKey::kApiVersions,
     .handler = handle_api_versions,
     .version_max = 4,
     .limits = "No features are advertised."},
    {.key = ApiKey::kCreateTopics,
     .handler = handle_create_topics,
     .limits = "A replication factor above the number of nodes (one) is refused."},
    {.key = ApiKey::kDeleteTopics, .handler = handle_delete_topics},
    {.key = ApiKey::kDeleteRecords, .handler = handle_delete_records},
    {.key = ApiKey::kInitProducerId,
     .handler = handle_init_producer_id,
     .limits = "Idempotent producers only: a transactional id is refused with "
               "UNSUPPORTED_VERSION."},
    {.key = ApiKey::kOffsetForLeaderEpoch, .handler = handle_offset_for_leader_epoch},
    {.key = ApiKey::kDescribeConfigs,
     .handler = handle_describe_configs,
     .limits = "Topics, brokers and groups only."},
    {.key = ApiKey::kAlterConfigs,
     .handler = handle_alter_configs,
     .limits = "Topics, brokers and groups only."},
    {.key = ApiKey::kDescribeLogDirs,
     .handler = handle_describe_log_dirs,
     .limits = "There is one folder."},
    {.key = ApiKey::kCreatePartitions, .handler = handle_create_partitions},
    {.key = ApiKey::kDeleteGroups, .handler = handle_delete_groups},
    {.key = ApiKey::kIncrementalAlterConfigs,
     .handler = handle_incremental_alter_configs,
     .limits =
         "Topics, brokers and groups only; of a broker's settings those that topics fall back on."},
    {.key = ApiKey::kOffsetDelete, .handler = handle_offset_delete},
    {.key = ApiKey::kDescribeClientQuotas, .handler = handle_describe_client_quotas},
    {.key = ApiKey::kAlterClientQuotas,
     .handler = handle_alter_client_quotas,
     .limits = "An ip is an address, not a host name. Until "
               "clients authenticate, every user is ANONYMOUS."},
    {.key = ApiKey::kDescribeCluster,
     .handler = handle_describe_cluster,
     .limits = "Brokers only, not the controllers' endpoint."},
    {.key = ApiKey::kDescribeProducers,
     .handler = handle_describe_producers,
     .limits = "No transactions: their fields are -1."},
    {.key = ApiKey::kConsumerGroupHeartbeat,
     .handler = handle_consumer_group_heartbeat,
     .limits = "A regular expression may have 4,096 bytes and 1,024 instructions of RE2; what it "
               "matches is looked at again at most every 10 s."},
    {.key = ApiKey::kConsumerGroupDescribe, .handler = handle_consumer_group_describe},
    {.key = ApiKey::kDescribeTopicPartitions, .handler = handle_describe_topic_partitions},
};

consteval ApiEntry entry_of(const Served& served) {
    ApiEntry entry;
    for (const protocol::ApiInfo& info : protocol::kApis) {
        if (info.key != served.key) continue;
        entry.key = static_cast<std::int16_t>(info.key);
        entry.name = info.name;
        entry.version_min = info.lowest_version;
        entry.version_max =
            served.version_max >= 0 ? served.version_max : info.highest_stable_version();
        entry.version_min_advertised = served.version_min_advertised;
        entry.flexible_from = info.first_flexible_version;
        entry.handler = served.handler;
        entry.pipelined = served.pipelined;
        entry.limits = served.limits;
    }
    return entry;
}

struct Table {
    ApiEntry entries[std::size(kServed)];
};

consteval Table make_table() {
    Table table;
    for (std::size_t i = 0; i < std::size(kServed); ++i) table.entries[i] = entry_of(kServed[i]);
    return table;
}

constexpr Table kTable = make_table();

constexpr bool is_complete() {
    for (std::size_t i = 0; i < std::size(kTable.entries); ++i) {
        const ApiEntry& entry = kTable.entries[i];
        if (entry.key < 0 || entry.version_max < entry.version_min) return false;
        if ((entry.handler == nullptr) == (entry.pipelined == nullptr)) return false;
        if (i > 0 && kTable.entries[i - 1].key >= entry.key) return false;
    }
    return true;
}
static_assert(is_complete(), "every API has one handler, versions, and its place in order of key");

}  // namespace

std::span<const ApiEntry> api_table() {
    return kTable.entries;
}

const ApiEntry* find_api(std::int16_t key) {
    // Few entries, the busiest first: a walk is as fast as anything.
    for (const ApiEntry& entry : kTable.entries) {
        if (entry.key == key) return &entry;
    }
    return nullptr;
}

}  // namespace dlog::broker
