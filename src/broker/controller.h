/// The shell around the controller's decisions: it appends their records to the metadata log, folds
/// them in once they are committed, and tells every core.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "broker/leftovers.h"
#include "broker/view.h"
#include "metadata/alter_configs.h"
#include "metadata/client_quotas.h"
#include "metadata/controller.h"
#include "metadata/nodes.h"
#include "metadata/state.h"
#include "port/sync.h"
#include "port/task.h"
#include "record/reader.h"
#include "replication/partition.h"

namespace dlog::broker {

struct Core;

/// Lives on kControllerCore, and everything here is called there. Changes are decided one after
/// another: each sees the state that all earlier ones left. A change is answered when every core
/// works with it.
class Controller {
  public:
    explicit Controller(Core& core) : core_(core) {}
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    /// Opens the metadata log and folds it. The reason in words when that fails.
    [[nodiscard]] port::Task<std::expected<void, std::string>> open(LeaderEpoch epoch);
    /// Records that this node runs, and brings all cores to the present state.
    [[nodiscard]] port::Task<std::expected<void, std::string>> register_node(
        metadata::RegisterNode node);

    /// Lets go of the metadata log, before its shard stops.
    void close() { log_.reset(); }

    [[nodiscard]] port::Task<metadata::CreateTopicsReply> create_topics(
        metadata::CreateTopics request);
    [[nodiscard]] port::Task<metadata::DeleteTopicsReply> delete_topics(
        metadata::DeleteTopics request);
    [[nodiscard]] port::Task<metadata::CreatePartitionsReply> create_partitions(
        metadata::CreatePartitions request);
    [[nodiscard]] port::Task<metadata::AlterConfigsReply> alter_configs(
        metadata::AlterConfigs request);
    [[nodiscard]] port::Task<std::expected<metadata::ProducerIdBlock, protocol::ErrorCode>>
    allocate_producer_ids();

    [[nodiscard]] port::Task<metadata::AlterClientQuotasReply> alter_client_quotas(
        metadata::AlterClientQuotas request);

    [[nodiscard]] const metadata::State& state() const { return state_; }
    /// The topics that the log named when it was opened and that are deleted. Asked once.
    [[nodiscard]] std::vector<DeletedTopicFiles> take_deleted() { return std::move(deleted_); }

  private:
    using Outcome = std::expected<void, metadata::Refusal>;
    /// One change at a time: waits for its turn.
    [[nodiscard]] port::Task<void> begin_change();
    void end_change();
    /// Makes `records` durable, folds them in and publishes the result.
    [[nodiscard]] port::Task<Outcome> commit(std::vector<metadata::Record> records);
    [[nodiscard]] port::Task<void> publish();
    [[nodiscard]] port::Task<std::expected<void, std::string>> replay();
    [[nodiscard]] std::expected<void, std::string> fold(const record::Record& one);
    void note_deleted(TopicId id);
    [[nodiscard]] metadata::Defaults defaults() const;

    Core& core_;
    metadata::State state_;
    std::vector<DeletedTopicFiles> deleted_;
    ViewPtr view_;
    replication::PartitionPtr log_;
    bool is_changing_ = false;
    port::Notifier change_ended_;
};

// The same from any core: they go to the controller's core and come back.
[[nodiscard]] port::Task<metadata::CreateTopicsReply> create_topics(Core& core,
                                                                    metadata::CreateTopics request);
[[nodiscard]] port::Task<metadata::DeleteTopicsReply> delete_topics(Core& core,
                                                                    metadata::DeleteTopics request);
[[nodiscard]] port::Task<metadata::CreatePartitionsReply> create_partitions(
    Core& core, metadata::CreatePartitions request);
[[nodiscard]] port::Task<metadata::AlterConfigsReply> alter_configs(Core& core,
                                                                    metadata::AlterConfigs request);
[[nodiscard]] port::Task<std::expected<metadata::ProducerIdBlock, protocol::ErrorCode>>
allocate_producer_ids(Core& core);
[[nodiscard]] port::Task<metadata::AlterClientQuotasReply> alter_client_quotas(
    Core& core, metadata::AlterClientQuotas request);

}  // namespace dlog::broker
