/// What the controller decides: from the state and a request, the records to append and the reply
/// to give once they are committed. Time and randomness are arguments; nothing here keeps anything.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "consensus/quorum/configuration.h"
#include "metadata/config_definition.h"
#include "metadata/records.h"
#include "protocol/error_code.h"

namespace dlog::metadata {

class State;

/// Kafka's limit on the partitions that one request makes.
inline constexpr std::int32_t kPartitionsPerRequestMax = 10'000;

/// The most replicas of a partition: a Raft group has no more voters.
inline constexpr std::size_t kReplicationFactorMax = consensus::kSlots / 2;

/// What a request leaves open.
struct Defaults {
    std::int32_t num_partitions = 1;
    std::int16_t replication_factor = 1;  ///< default.replication.factor
    /// With how many others a node shares data, at least; 0: the least that copysets need.
    std::size_t scatter_width = 0;
    /// Partitions are groups of replicas; false refuses what needs that.
    bool is_clustered = false;
    /// The broker's settings, which topics fall back on.
    const ConfigMap& broker;
};

template <class Reply>
struct Decision {
    std::vector<Record> records;
    Reply reply;
};

/// A refusal in Kafka's code and our words.
struct Refusal {
    protocol::ErrorCode code = protocol::ErrorCode::kNone;
    std::string message;
};

struct NewTopic {
    std::string name;
    std::int32_t partition_count = -1;     ///< -1: the default
    std::int16_t replication_factor = -1;  ///< -1: the default
    /// By partition number; when given, the two counts above must be -1.
    std::vector<std::pair<std::int32_t, std::vector<NodeId>>> assignments;
    std::vector<std::pair<std::string, std::optional<std::string>>> configs;
};

struct CreateTopics {
    std::vector<NewTopic> topics;
    bool validate_only = false;
};

struct CreatedTopic {
    std::string name;
    TopicId id;  ///< Zero when only validated.
    std::int32_t partition_count = 0;
    std::int16_t replication_factor = 0;
    ConfigMap configs;
};

/// One for each topic asked for, in order.
using CreateTopicsReply = std::vector<std::pair<std::string, std::expected<CreatedTopic, Refusal>>>;

/// `ids` has a random id for each topic asked for.
[[nodiscard]] Decision<CreateTopicsReply> decide(const State& state, const CreateTopics& request,
                                                 const Defaults& defaults,
                                                 std::span<const TopicId> ids);

/// A topic by its name or by its id.
struct TopicReference {
    std::string name;  ///< Empty: by id.
    TopicId id;
};

struct DeleteTopics {
    std::vector<TopicReference> topics;
};

struct DeletedTopic {
    std::string name;
    TopicId id;
    Refusal refusal;  ///< kNone when it is deleted.
};

using DeleteTopicsReply = std::vector<DeletedTopic>;

[[nodiscard]] Decision<DeleteTopicsReply> decide(const State& state, const DeleteTopics& request);

struct MorePartitions {
    std::string name;
    std::int32_t count = 0;  ///< The new total.
    std::optional<std::vector<std::vector<NodeId>>> assignments;
};

struct CreatePartitions {
    std::vector<MorePartitions> topics;
    bool validate_only = false;
};

/// One for each topic asked for, in order.
using CreatePartitionsReply = std::vector<std::pair<std::string, Refusal>>;

[[nodiscard]] Decision<CreatePartitionsReply> decide(const State& state,
                                                     const CreatePartitions& request,
                                                     const Defaults& defaults);

struct AllocateProducerIds {
    NodeId node;
    std::int32_t count = 1000;
};

struct ProducerIdBlock {
    std::int64_t first = 0;
    std::int32_t count = 0;
};

[[nodiscard]] Decision<ProducerIdBlock> decide(const State& state,
                                               const AllocateProducerIds& request);

}  // namespace dlog::metadata
