#include "metadata/controller.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "base/assert.h"
#include "metadata/assignment.h"
#include "metadata/placement.h"
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

using Assignments = std::vector<std::vector<NodeId>>;

std::expected<Assignments, Refusal> assignments_as_asked(const State& state,
                                                         const NewTopic& topic) {
    if (topic.partition_count != -1) {
        return refuse(ErrorCode::kInvalidRequest,
                      "A partition count cannot be given together with a manual assignment.");
    }
    if (topic.replication_factor != -1) {
        return refuse(ErrorCode::kInvalidRequest,
                      "A replication factor cannot be given together with a manual assignment.");
    }
    Assignments assignments(topic.assignments.size());
    for (const auto& [partition, nodes] : topic.assignments) {
        const auto index = static_cast<std::size_t>(partition);
        if (partition < 0 || index >= assignments.size() || !assignments[index].empty()) {
            return refuse(ErrorCode::kInvalidReplicaAssignment,
                          "The partitions of a manual assignment are numbered from 0 without gaps "
                          "or repetitions.");
        }
        if (auto check = check_replicas(state, nodes); !check) {
            return std::unexpected(std::move(check.error()));
        }
        assignments[index] = nodes;
    }
    const std::size_t factor = assignments.front().size();
    for (const std::vector<NodeId>& nodes : assignments) {
        if (auto check = check_same_count(nodes.size(), factor); !check) {
            return std::unexpected(std::move(check.error()));
        }
    }
    return assignments;
}

/// How many partitions and replicas a topic is to have, and which if the client says so.
struct Layout {
    std::size_t count = 0;
    std::size_t factor = 0;
    /// Empty: where the placer puts them.
    Assignments manual = {};
};

std::expected<Layout, Refusal> layout_of(const State& state, const NewTopic& topic,
                                         const Defaults& defaults, const Placer& placer) {
    if (!topic.assignments.empty()) {
        auto manual = assignments_as_asked(state, topic);
        if (!manual) return std::unexpected(std::move(manual.error()));
        return Layout{manual->size(), manual->front().size(), *std::move(manual)};
    }
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
    const auto replicas = static_cast<std::size_t>(factor);
    if (auto check = check_factor(placer, replicas); !check) {
        return std::unexpected(std::move(check.error()));
    }
    return Layout{static_cast<std::size_t>(count), replicas};
}

Assignments place(Placer& placer, std::size_t count, std::size_t factor) {
    Assignments assignments(count);
    for (std::vector<NodeId>& nodes : assignments) nodes = placer.place(factor);
    return assignments;
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
                       const Assignments& assignments) {
    for (std::size_t i = 0; i < assignments.size(); ++i) {
        records.emplace_back(partition_record(id, static_cast<std::int32_t>(first + i),
                                              {.replicas = assignments[i]}));
    }
}

void record_topic(std::vector<Record>& records, const CreatedTopic& created,
                  const Assignments& assignments) {
    TopicState topic{
        .name = created.name, .id = created.id, .partitions = {}, .configs = created.configs};
    for (const auto& replicas : assignments) topic.partitions.push_back({.replicas = replicas});
    metadata::record_topic(records, topic);
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

std::expected<std::pair<CreatedTopic, Assignments>, Refusal> check_topic(const State& state,
                                                                         const NewTopic& topic,
                                                                         const AcceptedNames& names,
                                                                         const Defaults& defaults,
                                                                         Placer& placer) {
    if (auto check = check_name(state, topic.name); !check) {
        return std::unexpected(std::move(check.error()));
    }
    if (names.collides(topic.name)) {
        return refuse(ErrorCode::kInvalidTopicException,
                      "Topic '" + topic.name + "' collides with another topic of this request.");
    }
    auto layout = layout_of(state, topic, defaults, placer);
    if (!layout) return std::unexpected(std::move(layout.error()));
    auto configs = topic_configs(topic, defaults.broker);
    if (!configs) return std::unexpected(std::move(configs.error()));
    if (auto check = check_write_quorum(*configs, layout->factor, defaults.is_clustered); !check) {
        return refuse(ErrorCode::kInvalidConfig, std::move(check.error()));
    }
    CreatedTopic created{.name = topic.name,
                         .partition_count = static_cast<std::int32_t>(layout->count),
                         .replication_factor = static_cast<std::int16_t>(layout->factor),
                         .configs = *std::move(configs)};
    Assignments assignments = layout->manual.empty() ? place(placer, layout->count, layout->factor)
                                                     : std::move(layout->manual);
    return std::pair{std::move(created), std::move(assignments)};
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

std::expected<Assignments, Refusal> place_more(const State& state, const TopicState& topic,
                                               const MorePartitions& more, Placer& placer) {
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
    const std::size_t factor = topic.partitions.front().wanted().size();
    if (!more.assignments) {
        if (auto check = check_factor(placer, factor); !check) {
            return std::unexpected(std::move(check.error()));
        }
        return place(placer, added, factor);
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
        if (auto check = check_same_count(nodes.size(), factor); !check) {
            return std::unexpected(std::move(check.error()));
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
    Placer placer(state, defaults.scatter_width);
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
        auto checked = check_topic(state, topic, accepted, defaults, placer);
        if (!checked) {
            add_refusal(checked.error().code, std::move(checked.error().message));
            continue;
        }
        auto& [created, assignments] = *checked;
        accepted.add(topic.name);
        if (!request.validate_only) {
            created.id = ids[i];
            record_topic(decision.records, created, assignments);
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

Decision<CreatePartitionsReply> decide(const State& state, const CreatePartitions& request,
                                       const Defaults& defaults) {
    Decision<CreatePartitionsReply> decision;
    std::map<std::string_view, int> times_named;
    for (const MorePartitions& more : request.topics) ++times_named[more.name];
    Placer placer(state, defaults.scatter_width);
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
        auto assignments = place_more(state, *topic, more, placer);
        if (!assignments) {
            decision.reply.emplace_back(more.name, std::move(assignments.error()));
            continue;
        }
        if (!request.validate_only) {
            record_partitions(decision.records, topic->id, topic->partitions.size(), *assignments);
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

}  // namespace dlog::metadata
