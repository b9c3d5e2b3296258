#include "replication/replicas.h"

#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "replication/group_journal.h"
#include "replication/shard.h"

namespace dlog::replication {

namespace raft = consensus::raft;
using port::Task;

Task<Result<ReplicaPtr>> Replicas::open(PartitionKey key, storage::LogConfig config,
                                        consensus::Configuration voters) {
    const raft::GroupId group{.topic = key.topic_id, .partition = key.partition};
    DLOG_ASSERT(!replicas_.contains(group));
    PartitionPtr partition = shard_.find(key.topic_id, key.partition);
    if (partition == nullptr) {
        DLOG_CO_TRY_ASSIGN(partition, co_await shard_.open(std::move(key), config, kNoEpoch));
    }
    DLOG_CO_TRY_ASSIGN(ReplicaPtr replica,
                       co_await Replica::open(services_, std::move(partition), std::move(voters)));
    replicas_.emplace(group, replica);
    co_return replica;
}

ReplicaPtr Replicas::find(const raft::GroupId& group) const {
    const auto found = replicas_.find(group);
    return found == replicas_.end() ? nullptr : found->second;
}

Task<Result<void>> Replicas::remove(raft::GroupId group) {
    if (const auto found = replicas_.find(group); found != replicas_.end()) {
        const ReplicaPtr replica = found->second;
        replicas_.erase(found);
        replica->close();
        co_await replica->drain();
    }
    DLOG_CO_TRY(co_await shard_.remove(group.topic, group.partition));
    // After the log: without its votes it must not be found again.
    if (services_.journal.find(group) != nullptr) {
        const auto noted = co_await services_.journal.note(raft::RemovedNote{.group = group});
        if (!noted) co_return unexpected(Error::kStorageFailed);
    }
    co_return {};
}

Task<void> Replicas::stop() {
    for (const ReplicaPtr& replica : all()) replica->close();
    for (const ReplicaPtr& replica : all()) co_await replica->drain();
    replicas_.clear();
}

void Replicas::received(NodeId from, const raft::GroupId& group, raft::Message message,
                        Buffer records) {
    if (const ReplicaPtr replica = find(group)) {
        replica->received(from, std::move(message), std::move(records));
    }
}

void Replicas::peer_changed(NodeId peer) {
    for (const ReplicaPtr& replica : all()) replica->peer_changed(peer);
}

void Replicas::link_reset(NodeId peer) {
    for (const ReplicaPtr& replica : all()) replica->link_reset(peer);
}

std::vector<ReplicaPtr> Replicas::all() const {
    std::vector<ReplicaPtr> all;
    all.reserve(replicas_.size());
    for (const auto& [group, replica] : replicas_) all.push_back(replica);
    return all;
}

}  // namespace dlog::replication
