#include "metadata/controller.h"
#include "metadata/nodes.h"

#include <doctest/doctest.h>

#include "metadata/state.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;

const ConfigMap kNoSettings;
const Defaults kDefaults{.num_partitions = 3, .replication_factor = 1, .broker = kNoSettings};

void apply_all(State& state, const std::vector<Record>& records) {
    for (const Record& record : records) state.apply(record);
}

/// A cluster of one node, number 1, in epoch 5.
void start_node(State& state) {
    apply_all(state, decide(state, RegisterNode{.node = NodeId(1),
                                                .epoch = LeaderEpoch(5),
                                                .host = "localhost",
                                                .port = 9092,
                                                .cluster_id = "cluster"})
                         .records);
}

std::vector<TopicId> ids(std::size_t count) {
    std::vector<TopicId> result;
    for (std::size_t i = 0; i < count; ++i) result.push_back(TopicId{7, 100 + i});
    return result;
}

Decision<CreateTopicsReply> create(const State& state, std::vector<NewTopic> topics,
                                   bool validate_only = false) {
    const auto random = ids(topics.size());
    return decide(state, CreateTopics{std::move(topics), validate_only}, kDefaults, random);
}

/// What one new topic is refused with; kNone when it is accepted.
ErrorCode refusal_of(const State& state, NewTopic topic) {
    const auto decision = create(state, {std::move(topic)});
    const auto& outcome = decision.reply.at(0).second;
    CHECK(outcome.has_value() == !decision.records.empty());
    if (!outcome) CHECK(!outcome.error().message.empty());
    return outcome ? ErrorCode::kNone : outcome.error().code;
}

TEST_CASE("a created topic has the partitions, replicas and settings that were asked for") {
    State state;
    start_node(state);
    const auto decision = create(state, {{.name = "orders",
                                          .partition_count = 2,
                                          .replication_factor = 1,
                                          .configs = {{"retention.ms", "1000"}}}});
    REQUIRE(decision.reply[0].second.has_value());
    CHECK(decision.reply[0].second->partition_count == 2);
    apply_all(state, decision.records);
    const TopicPtr topic = state.topic("orders");
    REQUIRE(topic != nullptr);
    CHECK(topic == state.topic(TopicId{7, 100}));
    CHECK(topic->partitions.size() == 2);
    CHECK(topic->partitions[1].preferred_leader() == NodeId(1));
    CHECK(topic->configs == ConfigMap{{"retention.ms", "1000"}});
    CHECK(state.partition_count() == 2);
}

TEST_CASE("what a request leaves open comes from the defaults") {
    State state;
    start_node(state);
    apply_all(state, create(state, {{.name = "t"}}).records);
    CHECK(state.topic("t")->partitions.size() == 3);
}

TEST_CASE("validating a topic records nothing") {
    State state;
    start_node(state);
    const auto decision = create(state, {{.name = "t"}}, true);
    CHECK(decision.reply[0].second.has_value());
    CHECK(decision.reply[0].second->id.is_zero());
    CHECK(decision.records.empty());
}

TEST_CASE("each rule on a new topic has Kafka's error code") {
    State state;
    start_node(state);
    apply_all(state, create(state, {{.name = "a.b"}}).records);
    CHECK(refusal_of(state, {.name = "fine"}) == ErrorCode::kNone);
    CHECK(refusal_of(state, {.name = "a.b"}) == ErrorCode::kTopicAlreadyExists);
    CHECK(refusal_of(state, {.name = "a_b"}) == ErrorCode::kInvalidTopicException);
    CHECK(refusal_of(state, {.name = "no/slash"}) == ErrorCode::kInvalidTopicException);
    CHECK(refusal_of(state, {.name = "t", .partition_count = 0}) == ErrorCode::kInvalidPartitions);
    CHECK(refusal_of(state, {.name = "t", .partition_count = -2}) == ErrorCode::kInvalidPartitions);
    CHECK(refusal_of(state, {.name = "t", .partition_count = 10'001}) ==
          ErrorCode::kPolicyViolation);
    CHECK(refusal_of(state, {.name = "t", .partition_count = INT32_MAX}) ==
          ErrorCode::kPolicyViolation);
    CHECK(refusal_of(state, {.name = "t", .replication_factor = 2}) ==
          ErrorCode::kInvalidReplicationFactor);
    CHECK(refusal_of(state, {.name = "t", .replication_factor = 0}) ==
          ErrorCode::kInvalidReplicationFactor);
    CHECK(refusal_of(state, {.name = "t", .configs = {{"no.such", "1"}}}) ==
          ErrorCode::kInvalidConfig);
    CHECK(refusal_of(state, {.name = "t", .configs = {{"retention.ms", std::nullopt}}}) ==
          ErrorCode::kInvalidConfig);
    CHECK(refusal_of(state, {.name = "t", .configs = {{"cleanup.policy", "compress"}}}) ==
          ErrorCode::kInvalidConfig);
}

TEST_CASE("a manual assignment is taken when it is whole and names known nodes") {
    State state;
    start_node(state);
    const NodeId one(1);
    CHECK(refusal_of(state, {.name = "t", .assignments = {{1, {one}}, {0, {one}}}}) ==
          ErrorCode::kNone);
    CHECK(refusal_of(state, {.name = "t", .assignments = {{1, {one}}}}) ==
          ErrorCode::kInvalidReplicaAssignment);
    CHECK(refusal_of(state, {.name = "t", .assignments = {{0, {one}}, {0, {one}}}}) ==
          ErrorCode::kInvalidReplicaAssignment);
    CHECK(refusal_of(state, {.name = "t", .assignments = {{0, {}}}}) ==
          ErrorCode::kInvalidReplicaAssignment);
    CHECK(refusal_of(state, {.name = "t", .assignments = {{0, {NodeId(9)}}}}) ==
          ErrorCode::kInvalidReplicaAssignment);
    CHECK(refusal_of(state, {.name = "t", .assignments = {{0, {one, one}}}}) ==
          ErrorCode::kInvalidReplicaAssignment);
    CHECK(refusal_of(state, {.name = "t", .partition_count = 1, .assignments = {{0, {one}}}}) ==
          ErrorCode::kInvalidRequest);
}

TEST_CASE("a request that names a topic twice, or two that collide, refuses them") {
    State state;
    start_node(state);
    auto twice = create(state, {{.name = "t"}, {.name = "t"}, {.name = "u"}});
    CHECK(twice.reply[0].second.error().code == ErrorCode::kInvalidRequest);
    CHECK(twice.reply[1].second.error().code == ErrorCode::kInvalidRequest);
    CHECK(twice.reply[2].second.has_value());
    auto collide = create(state, {{.name = "x.y"}, {.name = "x_y"}});
    CHECK(collide.reply[0].second.has_value());
    CHECK(collide.reply[1].second.error().code == ErrorCode::kInvalidTopicException);
}

TEST_CASE("a topic is deleted by name or id, and its name is free again") {
    State state;
    start_node(state);
    apply_all(state, create(state, {{.name = "a.b"}, {.name = "c"}}).records);
    const auto decision = decide(state, DeleteTopics{{{.name = "a.b"},
                                                      {.id = TopicId{7, 101}},
                                                      {.name = "none"},
                                                      {.id = TopicId{9, 9}},
                                                      {},
                                                      {.name = "c", .id = TopicId{7, 101}}}});
    CHECK(decision.reply[0].refusal.code == ErrorCode::kNone);
    CHECK(decision.reply[0].id == TopicId{7, 100});
    CHECK(decision.reply[1].refusal.code == ErrorCode::kNone);
    CHECK(decision.reply[1].name == "c");
    CHECK(decision.reply[2].refusal.code == ErrorCode::kUnknownTopicOrPartition);
    CHECK(decision.reply[3].refusal.code == ErrorCode::kUnknownTopicId);
    CHECK(decision.reply[4].refusal.code == ErrorCode::kInvalidRequest);
    CHECK(decision.reply[5].refusal.code == ErrorCode::kInvalidRequest);
    apply_all(state, decision.records);
    CHECK(state.topics().empty());
    CHECK(state.partition_count() == 0);
    CHECK(refusal_of(state, {.name = "a_b"}) == ErrorCode::kNone);
}

TEST_CASE("deleting a topic twice in one request deletes nothing") {
    State state;
    start_node(state);
    apply_all(state, create(state, {{.name = "t"}}).records);
    const auto decision = decide(state, DeleteTopics{{{.name = "t"}, {.id = TopicId{7, 100}}}});
    CHECK(decision.records.empty());
    CHECK(decision.reply[0].refusal.code == ErrorCode::kInvalidRequest);
}

TEST_CASE("partitions are added, never taken away") {
    State state;
    start_node(state);
    apply_all(state, create(state, {{.name = "t"}}).records);
    const auto more = [&state](std::int32_t count) {
        return decide(state, CreatePartitions{{{.name = "t", .count = count}}}, kDefaults);
    };
    CHECK(more(3).reply[0].second.code == ErrorCode::kInvalidPartitions);
    CHECK(more(2).reply[0].second.code == ErrorCode::kInvalidPartitions);
    CHECK(more(INT32_MAX).reply[0].second.code == ErrorCode::kPolicyViolation);
    apply_all(state, more(5).records);
    CHECK(state.topic("t")->partitions.size() == 5);
    CHECK(state.topic("t")->partitions[4].preferred_leader() == NodeId(1));
    const auto missing = decide(state, CreatePartitions{{{.name = "u", .count = 5}}}, kDefaults);
    CHECK(missing.reply[0].second.code == ErrorCode::kUnknownTopicOrPartition);
}

TEST_CASE("blocks of producer ids do not overlap") {
    State state;
    const auto first = decide(state, AllocateProducerIds{.node = NodeId(1), .count = 10});
    apply_all(state, first.records);
    const auto second = decide(state, AllocateProducerIds{.node = NodeId(1), .count = 10});
    CHECK(first.reply.first + first.reply.count == second.reply.first);
}

TEST_CASE("an image does not change when the state goes on") {
    State state;
    start_node(state);
    apply_all(state, create(state, {{.name = "t"}}).records);
    const Image before = state.image();
    apply_all(state,
              decide(state, CreatePartitions{{{.name = "t", .count = 9}}}, kDefaults).records);
    CHECK(before->topic("t")->partitions.size() == 3);
    CHECK(state.topic("t")->partitions.size() == 9);
    CHECK(state.image()->topic("t")->partitions.size() == 9);
}

TEST_CASE("every record reads back as it was written") {
    State state;
    start_node(state);
    auto records = create(state, {{.name = "t", .configs = {{"retention.ms", "1"}}}}).records;
    RemoveTopicRecord removal;
    removal.topic_id = TopicId{1, 2};
    records.emplace_back(removal);
    records.push_back(decide(state, AllocateProducerIds{.node = NodeId(1)}).records[0]);
    for (const Record& record :
         decide(State(), RegisterNode{.node = NodeId(1), .epoch = LeaderEpoch(1)}).records) {
        records.push_back(record);
    }
    for (const Record& record : records) {
        const auto bytes = encode_record(record);
        REQUIRE(bytes.has_value());
        const auto back = decode_record(bytes->view());
        REQUIRE(back.has_value());
        CHECK(*back == record);
        for (std::size_t size = 0; size < bytes->size(); ++size) {
            CHECK(!decode_record(bytes->view().first(size)).has_value());
        }
    }
}

TEST_CASE("a record of a later version of this program is refused, not guessed at") {
    const std::uint8_t unknown_id[] = {99, 0, 0};
    CHECK(decode_record(unknown_id).error().fault == protocol::Fault::kUnsupportedVersion);
    const std::uint8_t unknown_version[] = {0, 77, 0};
    CHECK(decode_record(unknown_version).error().fault == protocol::Fault::kUnsupportedVersion);
}

TEST_CASE("records that name what is gone change nothing") {
    State state;
    start_node(state);
    PartitionRecord partition;
    partition.topic_id = TopicId{1, 1};
    state.apply(Record(partition));
    TopicConfigRecord config;
    config.topic_id = TopicId{1, 1};
    state.apply(Record(config));
    RemoveTopicRecord removal;
    removal.topic_id = TopicId{1, 1};
    state.apply(Record(removal));
    CHECK(state.topics().empty());
    CHECK(state.partition_count() == 0);
}

}  // namespace
}  // namespace dlog::metadata
