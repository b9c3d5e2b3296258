#include "metadata/controller.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/assert.h"
#include "metadata/state.h"
#include "metadata/topic_config.h"
#include "metadata/topic_name.h"

namespace dlog::metadata {

using protocol::ErrorCode;

namespace {

std::unexpected<Refusal> refuse(ErrorCode code, std::string message) {
    return std::unexpected(Refusal{code, std::move(message)});
}

std::expected<void, Refusal> check_name(const State& state, const std::string& name) {
    if (auto check = check_topic_name(name); !check) {
        return refuse(ErrorCode::kInvalidTopicException, std::move(check.error()));
    }
    if (state.topic(name) != nullptr) {
        return refuse(ErrorCode::kTopicAlreadyExists, "Topic '" + name + "' already exists.");
    }
    if (const std::string_view other = state.collision_of(name); !other.empty()) {
        return refuse(ErrorCode::kInvalidTopicException,
                      "Topic '" + name + "' collides with existing topic '" + std::string(other) +
                          "': names that differ only in '.' and '_' cannot exist together.");
    }
    return {};
}

/// The nodes of one partition's replicas as a client asked for them.
std::expected<void, Refusal> check_replicas(const State& state, const std::vector<NodeId>& nodes) {
    if (nodes.empty()) {
        return refuse(ErrorCode::kInvalidReplicaAssignment,
                      "A manual assignment names at least one node for each partition.");
    }
    std::set<NodeId> seen;
    for (const NodeId node : nodes) {
        if (!state.nodes().contains(node)) {
            return refuse(ErrorCode::kInvalidReplicaAssignment,
                          "The manual assignment includes node " + std::to_string(node.value) +
                              ", but no such node is registered.");
        }
        if (!seen.insert(node).second) {
            return refuse(ErrorCode::kInvalidReplicaAssignment,
                          "The manual assignment names node " + std::to_string(node.value) +
                              " twice for one partition.");
        }
    }
    return {};
}

using Placement = std::vector<std::vector<NodeId>>;

std::expected<Placement, Refusal> placement_as_asked(const State& state, const NewTopic& topic) {
    if (topic.partition_count != -1) {
        return refuse(ErrorCode::kInvalidRequest,
                      "A partition count cannot be given together with a manual assignment.");
    }
    if (topic.replication_factor != -1) {
        return refuse(ErrorCode::kInvalidRequest,
                      "A replication factor cannot be given together with a manual assignment.");
    }
    Placement placement(topic.assignments.size());
    for (const auto& [partition, nodes] : topic.assignments) {
        const auto index = static_cast<std::size_t>(partition);
        if (partition < 0 || index >= placement.size() || !placement[index].empty()) {
            return refuse(ErrorCode::kInvalidReplicaAssignment,
                          "The partitions of a manual assignment are numbered from 0 without gaps "
                          "or repetitions.");
        }
        if (auto check = check_replicas(state, nodes); !check) {
            return std::unexpected(std::move(check.error()));
        }
        placement[index] = nodes;
    }
    return placement;
}

/// Spreads `count` partitions over the nodes, beginning with partition number `first`.
Placement spread(const State& state, std::size_t first, std::size_t count, std::size_t factor) {
    std::vector<NodeId> nodes;
    for (const auto& [id, node] : state.nodes()) nodes.push_back(id);
    DLOG_ASSERT(factor >= 1 && factor <= nodes.size(), factor, nodes.size());
    Placement placement(count);
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t replica = 0; replica < factor; ++replica) {
            placement[i].push_back(nodes[(first + i + replica) % nodes.size()]);
        }
    }
    return placement;
}

std::expected<Placement, Refusal> place(const State& state, const NewTopic& topic,
                                        const Defaults& defaults) {
    if (!topic.assignments.empty()) return placement_as_asked(state, topic);
    const std::int32_t count =
        topic.partition_count == -1 ? defaults.num_partitions : topic.partition_count;
    const std::int32_t factor =
        topic.replication_factor == -1 ? defaults.replication_factor : topic.replication_factor;
    if (count <= 0) {
        return refuse(ErrorCode::kInvalidPartitions,
                      "The number of partitions must be larger than 0.");
    }
    if (factor <= 0) {
        return refuse(ErrorCode::kInvalidReplicationFactor,
                      "The replication factor must be larger than 0.");
    }
    if (static_cast<std::size_t>(factor) > state.nodes().size()) {
        return refuse(ErrorCode::kInvalidReplicationFactor,
                      "The replication factor " + std::to_string(factor) +
                          " is larger than the number of nodes, which is " +
                          std::to_string(state.nodes().size()) + ".");
    }
    return spread(state, 0, static_cast<std::size_t>(count), static_cast<std::size_t>(factor));
}

std::expected<ConfigMap, Refusal> topic_configs(const NewTopic& topic, const ConfigMap& broker) {
    ConfigMap configs;
    for (const auto& [name, value] : topic.configs) {
        if (!value) {
            return refuse(ErrorCode::kInvalidConfig,
                          "The topic configuration " + name + " has no value.");
        }
        if (!configs.emplace(name, *value).second) {
            return refuse(ErrorCode::kInvalidConfig,
                          "The topic configuration " + name + " is given twice.");
        }
    }
    if (auto check = check_topic_configs(configs, broker); !check) {
        return refuse(ErrorCode::kInvalidConfig, std::move(check.error()));
    }
    return configs;
}

std::int32_t partitions_wanted(const NewTopic& topic, const Defaults& defaults) {
    if (!topic.assignments.empty()) return static_cast<std::int32_t>(topic.assignments.size());
    return topic.partition_count == -1 ? defaults.num_partitions : topic.partition_count;
}

bool exceeds_request_limit(const CreateTopics& request, const Defaults& defaults) {
    std::int64_t total = 0;
    for (const NewTopic& topic : request.topics) {
        total += std::max(0, partitions_wanted(topic, defaults));
    }
    return total > kPartitionsPerRequestMax;
}

void record_partitions(std::vector<Record>& records, TopicId id, std::size_t first,
                       const Placement& placement) {
    for (std::size_t i = 0; i < placement.size(); ++i) {
        PartitionRecord record;
        record.topic_id = id;
        record.partition = static_cast<std::int32_t>(first + i);
        record.leader = placement[i].front().value;
        for (const NodeId node : placement[i]) record.replicas.push_back(node.value);
        records.emplace_back(std::move(record));
    }
}

void record_topic(std::vector<Record>& records, const CreatedTopic& topic,
                  const Placement& placement) {
    TopicRecord record;
    record.name = topic.name;
    record.topic_id = topic.id;
    records.emplace_back(std::move(record));
    record_partitions(records, topic.id, 0, placement);
    for (const auto& [name, value] : topic.configs) {
        TopicConfigRecord config;
        config.topic_id = topic.id;
        config.name = name;
        config.value = value;
        records.emplace_back(std::move(config));
    }
}

/// The state with the topics of this request that were accepted so far; a request is decided topic
/// by topic.
struct AcceptedNames {
    std::set<std::string> keys;
    [[nodiscard]] bool collides(const std::string& name) const {
        return may_collide(name) && keys.contains(collision_key(name));
    }
    void add(const std::string& name) {
        if (may_collide(name)) keys.insert(collision_key(name));
    }
};

std::expected<std::pair<CreatedTopic, Placement>, Refusal> check_topic(const State& state,
                                                                       const NewTopic& topic,
                                                                       const AcceptedNames& names,
                                                                       const Defaults& defaults) {
    if (auto check = check_name(state, topic.name); !check) {
        return std::unexpected(std::move(check.error()));
    }
    if (names.collides(topic.name)) {
        return refuse(ErrorCode::kInvalidTopicException,
                      "Topic '" + topic.name + "' collides with another topic of this request.");
    }
    auto placement = place(state, topic, defaults);
    if (!placement) return std::unexpected(std::move(placement.error()));
    auto configs = topic_configs(topic, defaults.broker);
    if (!configs) return std::unexpected(std::move(configs.error()));
    CreatedTopic created{.name = topic.name,
                         .partition_count = static_cast<std::int32_t>(placement->size()),
                         .replication_factor = static_cast<std::int16_t>(placement->front().size()),
                         .configs = *std::move(configs)};
    return std::pair{std::move(created), *std::move(placement)};
}

Refusal check_deletion(const State& state, const TopicReference& topic, TopicPtr& found) {
    const bool has_id = !topic.id.is_zero();
    if (topic.name.empty() == !has_id) {
        return {ErrorCode::kInvalidRequest,
                has_id ? "A topic is named by its name or by its id, not by both."
                       : "Neither the topic's name nor its id is given."};
    }
    found = has_id ? state.topic(topic.id) : state.topic(topic.name);
    if (found != nullptr) return {};
    return has_id
               ? Refusal{ErrorCode::kUnknownTopicId, "There is no topic with this id."}
               : Refusal{ErrorCode::kUnknownTopicOrPartition, "There is no topic with this name."};
}

std::expected<Placement, Refusal> place_more(const State& state, const TopicState& topic,
                                             const MorePartitions& more) {
    const auto current = static_cast<std::int32_t>(topic.partitions.size());
    if (more.count <= current) {
        return refuse(ErrorCode::kInvalidPartitions,
                      more.count == current
                          ? "The topic has " + std::to_string(current) + " partitions already."
                          : "The topic has " + std::to_string(current) +
                                " partitions; their number can only grow.");
    }
    if (more.count - current > kPartitionsPerRequestMax) {
        return refuse(ErrorCode::kPolicyViolation, "One request makes at most " +
                                                       std::to_string(kPartitionsPerRequestMax) +
                                                       " partitions.");
    }
    const auto added = static_cast<std::size_t>(more.count - current);
    const std::size_t factor = topic.partitions.front().replicas.size();
    if (!more.assignments) {
        return spread(state, static_cast<std::size_t>(current), added, factor);
    }
    if (more.assignments->size() != added) {
        return refuse(ErrorCode::kInvalidReplicaAssignment,
                      "The assignment is for " + std::to_string(more.assignments->size()) +
                          " partitions, but " + std::to_string(added) + " are to be added.");
    }
    for (const std::vector<NodeId>& nodes : *more.assignments) {
        if (auto check = check_replicas(state, nodes); !check) {
            return std::unexpected(std::move(check.error()));
        }
        if (nodes.size() != factor) {
            return refuse(ErrorCode::kInvalidReplicaAssignment,
                          "Every new partition needs as many replicas as the others: " +
                              std::to_string(factor) + ".");
        }
    }
    return *more.assignments;
}

}  // namespace

Decision<CreateTopicsReply> decide(const State& state, const CreateTopics& request,
                                   const Defaults& defaults, std::span<const TopicId> ids) {
    DLOG_ASSERT(ids.size() == request.topics.size(), ids.size(), request.topics.size());
    Decision<CreateTopicsReply> decision;
    std::map<std::string_view, int> times_named;
    for (const NewTopic& topic : request.topics) ++times_named[topic.name];
    const bool is_too_large = exceeds_request_limit(request, defaults);
    AcceptedNames accepted;
    for (std::size_t i = 0; i < request.topics.size(); ++i) {
        const NewTopic& topic = request.topics[i];
        const auto add_refusal = [&](ErrorCode code, std::string message) {
            decision.reply.emplace_back(topic.name, refuse(code, std::move(message)));
        };
        if (times_named[topic.name] > 1) {
            add_refusal(ErrorCode::kInvalidRequest, "The topic is named twice in the request.");
            continue;
        }
        if (is_too_large) {
            add_refusal(ErrorCode::kPolicyViolation, "One request makes at most " +
                                                         std::to_string(kPartitionsPerRequestMax) +
                                                         " partitions.");
            continue;
        }
        auto checked = check_topic(state, topic, accepted, defaults);
        if (!checked) {
            add_refusal(checked.error().code, std::move(checked.error().message));
            continue;
        }
        auto& [created, placement] = *checked;
        accepted.add(topic.name);
        if (!request.validate_only) {
            created.id = ids[i];
            record_topic(decision.records, created, placement);
        }
        decision.reply.emplace_back(topic.name, std::move(created));
    }
    return decision;
}

Decision<DeleteTopicsReply> decide(const State& state, const DeleteTopics& request) {
    Decision<DeleteTopicsReply> decision;
    std::map<TopicId, int> times_named;
    for (const TopicReference& topic : request.topics) {
        TopicPtr found;
        if (check_deletion(state, topic, found).code == ErrorCode::kNone) ++times_named[found->id];
    }
    for (const TopicReference& topic : request.topics) {
        TopicPtr found;
        DeletedTopic deleted{.name = topic.name, .id = topic.id};
        deleted.refusal = check_deletion(state, topic, found);
        if (found != nullptr && deleted.refusal.code == ErrorCode::kNone) {
            if (times_named[found->id] > 1) {
                deleted.refusal = {ErrorCode::kInvalidRequest,
                                   "The topic is named twice in the request."};
            } else {
                deleted.name = found->name;
                deleted.id = found->id;
                RemoveTopicRecord record;
                record.topic_id = found->id;
                decision.records.emplace_back(std::move(record));
            }
        }
        decision.reply.push_back(std::move(deleted));
    }
    return decision;
}

Decision<CreatePartitionsReply> decide(const State& state, const CreatePartitions& request) {
    Decision<CreatePartitionsReply> decision;
    std::map<std::string_view, int> times_named;
    for (const MorePartitions& more : request.topics) ++times_named[more.name];
    for (const MorePartitions& more : request.topics) {
        if (times_named[more.name] > 1) {
            decision.reply.emplace_back(
                more.name,
                Refusal{ErrorCode::kInvalidRequest, "The topic is named twice in the request."});
            continue;
        }
        const TopicPtr topic = state.topic(more.name);
        if (topic == nullptr) {
            decision.reply.emplace_back(more.name, Refusal{ErrorCode::kUnknownTopicOrPartition,
                                                           "There is no topic with this name."});
            continue;
        }
        auto placement = place_more(state, *topic, more);
        if (!placement) {
            decision.reply.emplace_back(more.name, std::move(placement.error()));
            continue;
        }
        if (!request.validate_only) {
            record_partitions(decision.records, topic->id, topic->partitions.size(), *placement);
        }
        decision.reply.emplace_back(more.name, Refusal{});
    }
    return decision;
}

Decision<ProducerIdBlock> decide(const State& state, const AllocateProducerIds& request) {
    DLOG_ASSERT(request.count > 0, request.count);
    ProducerIdsRecord record;
    record.node_id = request.node.value;
    record.next_producer_id = state.next_producer_id() + request.count;
    return {.records = {Record(std::move(record))},
            .reply = {.first = state.next_producer_id(), .count = request.count}};
}

Decision<std::monostate> decide(const State& state, const RegisterNode& request) {
    DLOG_ASSERT(request.epoch > state.epoch_of(request.node), request.epoch);
    Decision<std::monostate> decision;
    if (state.cluster_id().empty()) {
        ClusterRecord cluster;
        cluster.cluster_id = request.cluster_id;
        decision.records.emplace_back(std::move(cluster));
    }
    NodeRecord node;
    node.node_id = request.node.value;
    node.leader_epoch = request.epoch.value;
    node.host = request.host;
    node.port = request.port;
    decision.records.emplace_back(std::move(node));
    return decision;
}

}  // namespace dlog::metadata
