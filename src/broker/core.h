/// What the broker keeps on one core.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "broker/admission.h"
#include "broker/fetch_session.h"
#include "broker/memory_budget.h"
#include "broker/metrics.h"
#include "broker/node_config.h"
#include "broker/quota_meters.h"
#include "broker/view.h"
#include "metadata/controller.h"
#include "port/ports.h"
#include "port/spawn.h"
#include "port/sync.h"
#include "protocol/error_code.h"
#include "record/reader.h"
#include "replication/shard.h"

namespace dlog::broker {

class ClientConnection;
class Controller;
class Groups;
struct Core;

inline constexpr CoreId kControllerCore{0};

/// What all cores of a node share. Everything but the connections that are
/// counted and what the meters hold is fixed before the first connection.
struct NodeShared {
    std::string cluster_id;
    LeaderEpoch epoch;  ///< This start's leader epoch.
    port::Endpoint advertised;
    Controller* controller = nullptr;  ///< Lives on kControllerCore.
    std::vector<Core*> cores;
    std::unique_ptr<QuotaMeters> meters;
    std::shared_ptr<replication::CleanerBudget> cleaner_budget;
    ConnectionCounts connections;
};

/// Touched on its own core only, except `ports.spawn`, through which a coroutine on its way back
/// finds home.
struct Core {
    Core(const port::Ports& core_ports, const NodeConfig& node_config, NodeShared& node_shared)
        : ports(core_ports),
          config(node_config),
          shared(node_shared),
          shard(ports, {.data_dir = node_config.data_dir,
                        .tail_bytes = node_config.tail_bytes,
                        .max_open_files = node_config.open_files_max,
                        .retention_interval = node_config.retention_interval,
                        .checkpoint_interval = node_config.checkpoint_interval,
                        .cleaner = {.is_enabled = node_config.cleaner_enable,
                                    .budget = node_shared.cleaner_budget,
                                    .backoff = node_config.cleaner_backoff}}),
          sessions(node_config.fetch_session_slots_max),
          budget(node_config.request_memory_bytes_max) {}
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    [[nodiscard]] CoreId id() const { return ports.spawn.core(); }
    [[nodiscard]] Core& other(CoreId core) const { return *shared.cores[core.value]; }
    /// The answer for a partition that the shard does not hold: `gone` when its topic was deleted
    /// since the request was taken; otherwise it cannot be opened so far.
    [[nodiscard]] protocol::ErrorCode missing_error(
        TopicId topic,
        protocol::ErrorCode gone = protocol::ErrorCode::kUnknownTopicOrPartition) const {
        const bool is_known = view != nullptr && view->find(topic) != nullptr;
        return is_known ? protocol::ErrorCode::kKafkaStorageError : gone;
    }

    port::Ports ports;
    const NodeConfig& config;
    NodeShared& shared;
    replication::Shard shard;
    ViewPtr view;
    /// The coordinators of the groups whose records lie on this core.
    Groups* groups = nullptr;
    FetchSessionCache sessions;
    MemoryBudget budget;
    CoreMetrics metrics;
    /// Working memory of codecs, for validating and recompressing batches.
    record::ReaderScratch scratch;
    /// Producer ids of this core that no client has yet.
    metadata::ProducerIdBlock producer_ids;

    /// Long polls of other cores that watch partitions of this one.
    std::unordered_map<std::uint64_t, port::Notifier*> fetch_watches;
    std::uint64_t next_fetch_watch = 0;

    /// In the order they came, so that a stop ends them in an order that does not depend on
    /// addresses.
    std::map<std::uint64_t, ClientConnection*> connections;
    std::uint64_t next_connection = 0;
    port::Gate connection_gate;
    /// Signalled once, when the node begins to stop: nobody waits for new records any longer.
    port::Notifier stopping;
    bool is_stopping = false;
};

}  // namespace dlog::broker
