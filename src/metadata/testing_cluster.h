/// For tests: a State as requests make it.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "metadata/controller.h"
#include "metadata/nodes.h"
#include "metadata/state.h"

namespace dlog::metadata {

inline const ConfigMap kNothingSetForTests;

struct TestCluster {
    State state;
    Defaults defaults{.is_clustered = true, .broker = kNothingSetForTests};
    std::uint64_t topics_made = 0;

    void apply(const std::vector<Record>& records) {
        for (const Record& record : records) state.apply(record);
    }
    /// Decides and applies.
    template <class Request, class... More>
    auto ask(const Request& request, const More&... more) {
        auto decision = decide(state, request, more...);
        apply(decision.records);
        return std::move(decision.reply);
    }
    Refusal add_node(std::int32_t id, std::string rack = {}, std::int16_t feature_level = 0) {
        const NodeId node(id);
        return ask(RegisterNode{.node = node,
                                .epoch = state.epoch_of(node) + 1,
                                .host = "host" + std::to_string(id),
                                .port = 9092,
                                .cluster_id = "cluster",
                                .rack = std::move(rack),
                                .peer_host = "peer" + std::to_string(id),
                                .peer_port = 9093,
                                .feature_level = feature_level});
    }
    void add_nodes(std::int32_t first, std::int32_t last) {
        for (std::int32_t id = first; id <= last; ++id) {
            CHECK(add_node(id).code == protocol::ErrorCode::kNone);
        }
    }
    /// What a new topic is refused with; nothing when it is made.
    Refusal create(NewTopic topic) {
        const TopicId id{7, 100 + topics_made++};
        const auto reply = ask(CreateTopics{{std::move(topic)}}, defaults, std::vector{id});
        return reply[0].second ? Refusal{} : reply[0].second.error();
    }
    Refusal create(std::string name, std::int32_t partitions, std::int16_t factor) {
        return create(
            {.name = std::move(name), .partition_count = partitions, .replication_factor = factor});
    }
    /// One partition on these nodes.
    Refusal create_on(std::string name, std::vector<NodeId> nodes) {
        return create({.name = std::move(name), .assignments = {{0, std::move(nodes)}}});
    }
    [[nodiscard]] const PartitionState& partition(std::string_view topic,
                                                  std::size_t number = 0) const {
        const TopicPtr found = state.topic(topic);
        REQUIRE(found != nullptr);
        REQUIRE(number < found->partitions.size());
        return found->partitions[number];
    }
};

inline std::vector<NodeId> nodes_of(std::vector<std::int32_t> numbers) {
    std::vector<NodeId> nodes;
    for (const std::int32_t number : numbers) nodes.emplace_back(number);
    return nodes;
}

}  // namespace dlog::metadata
