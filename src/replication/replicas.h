/// The replicas of one core: what comes from other nodes finds its group here.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "consensus/quorum/configuration.h"
#include "consensus/raft/journal.h"
#include "consensus/raft/message.h"
#include "port/task.h"
#include "replication/partition.h"
#include "replication/replica.h"
#include "storage/log_config.h"

namespace dlog::replication {

class Shard;

/// Belongs to one core.
class Replicas {
  public:
    Replicas(Shard& shard, GroupServices& services) : shard_(shard), services_(services) {}
    Replicas(const Replicas&) = delete;
    Replicas& operator=(const Replicas&) = delete;

    /// Opens the partition and takes part in its group from now on; `voters` are those of a group
    /// that is new. May be called again after an error.
    [[nodiscard]] port::Task<Result<ReplicaPtr>> open(PartitionKey key, storage::LogConfig config,
                                                      consensus::Configuration voters);
    /// nullptr when this core does not hold it.
    [[nodiscard]] ReplicaPtr find(const consensus::raft::GroupId& group) const;
    [[nodiscard]] std::size_t size() const { return replicas_.size(); }
    /// Leaves the group for good: the partition's folder and its votes go.
    [[nodiscard]] port::Task<Result<void>> remove(consensus::raft::GroupId group);
    /// Takes part in no group any more. Before the shard stops.
    [[nodiscard]] port::Task<void> stop();

    /// To the group, if it is here.
    void received(NodeId from, const consensus::raft::GroupId& group,
                  consensus::raft::Message message, Buffer records);
    /// To all groups.
    void peer_changed(NodeId peer);
    void link_reset(NodeId peer);

  private:
    /// A copy: what a replica is told may lead to the removal of another.
    [[nodiscard]] std::vector<ReplicaPtr> all() const;

    Shard& shard_;
    GroupServices& services_;
    std::map<consensus::raft::GroupId, ReplicaPtr> replicas_;
};

}  // namespace dlog::replication
