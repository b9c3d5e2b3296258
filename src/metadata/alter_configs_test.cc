#include "metadata/alter_configs.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "metadata/state.h"
#include "metadata/topic_config.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;
using enum ConfigOperation;

const ConfigMap kAtStart = {{"log.retention.hours", "24"}, {"num.partitions", "2"}};

/// A node, number 1, with the topic "orders".
struct Cluster {
    Cluster() {
        NodeRecord node;
        node.node_id = 1;
        TopicRecord topic;
        topic.name = "orders";
        topic.topic_id = TopicId{7, 1};
        apply({node, topic});
    }

    void apply(const std::vector<Record>& records) {
        for (const Record& record : records) state.apply(record);
    }

    Decision<AlterConfigsReply> decide(AlterConfigs request) const {
        return metadata::decide(state, request,
                                {.node = NodeId(1), .at_start = kAtStart, .settings = settings});
    }

    /// Alters one resource and returns what it was answered.
    Refusal alter(ConfigResource type, std::string name, std::vector<ConfigChange> changes,
                  bool replaces_all = false) {
        const auto decision = decide({.resources = {{type, std::move(name), std::move(changes)}},
                                      .replaces_all = replaces_all});
        apply(decision.records);
        const Refusal refusal = decision.reply.at(0);
        if (refusal.code != ErrorCode::kNone) CHECK(decision.records.empty());
        return refusal;
    }
    Refusal alter_topic(std::vector<ConfigChange> changes) {
        return alter(ConfigResource::kTopic, "orders", std::move(changes));
    }
    Refusal alter_broker(std::string name, std::vector<ConfigChange> changes) {
        return alter(ConfigResource::kBroker, std::move(name), std::move(changes));
    }
    [[nodiscard]] const ConfigMap& topic_configs() const { return state.topic("orders")->configs; }
    [[nodiscard]] std::int64_t retention_ms() const {
        const ConfigMap broker = broker_configs(state, NodeId(1), kAtStart).effective();
        return effective_topic_config(topic_configs(), broker).retention_ms;
    }

    State state;
    std::vector<BrokerSetting> settings = {
        {.definition = {"group.consumer.heartbeat.interval.ms", ConfigType::kInt, "5000", ""}},
        {.definition = {"group.consumer.max.heartbeat.interval.ms", ConfigType::kInt, "15000", ""}},
        {.definition = {"group.consumer.max.session.timeout.ms", ConfigType::kInt, "60000", ""}},
        {.definition = {"group.consumer.min.heartbeat.interval.ms", ConfigType::kInt, "5000", ""}},
        {.definition = {"group.consumer.min.session.timeout.ms", ConfigType::kInt, "10000", ""}},
        {.definition = {"group.consumer.session.timeout.ms", ConfigType::kInt, "45000", ""}},
        {.definition = {"log.retention.hours", ConfigType::kInt, "168", ""}},
        {.definition = {"log.retention.ms", ConfigType::kLong, "", "", -1}, .is_dynamic = true},
        {.definition = {"log.roll.jitter.ms", ConfigType::kLong, "", "", 0}, .is_dynamic = true},
        {.definition = {"num.partitions", ConfigType::kInt, "1", ""}},
        {.definition = {"words", ConfigType::kList, "a", ""}, .is_dynamic = true},
    };
};

TEST_CASE("settings of a topic are set and taken back one by one") {
    Cluster cluster;
    CHECK(cluster.alter_topic({{"retention.ms", kSet, "5"}, {"segment.ms", kSet, "6"}}).code ==
          ErrorCode::kNone);
    CHECK(cluster.topic_configs() == ConfigMap{{"retention.ms", "5"}, {"segment.ms", "6"}});
    CHECK(cluster.alter_topic({{"retention.ms", kDelete}, {"segment.ms", kSet, "7"}}).code ==
          ErrorCode::kNone);
    CHECK(cluster.topic_configs() == ConfigMap{{"segment.ms", "7"}});
}

TEST_CASE("AlterConfigs takes back what it does not name") {
    Cluster cluster;
    (void)cluster.alter_topic({{"retention.ms", kSet, "5"}, {"segment.ms", kSet, "6"}});
    CHECK(cluster.alter(ConfigResource::kTopic, "orders", {{"segment.ms", kSet, "6"}}, true).code ==
          ErrorCode::kNone);
    CHECK(cluster.topic_configs() == ConfigMap{{"segment.ms", "6"}});
}

TEST_CASE("only what changes is recorded") {
    Cluster cluster;
    (void)cluster.alter_topic({{"retention.ms", kSet, "5"}});
    const auto again = cluster.decide(
        {.resources = {{ConfigResource::kTopic, "orders", {{"retention.ms", kSet, "5"}}}}});
    CHECK(again.reply.at(0).code == ErrorCode::kNone);
    CHECK(again.records.empty());
}

TEST_CASE("a validation changes nothing and refuses what an alteration would") {
    Cluster cluster;
    const auto decision = cluster.decide(
        {.resources = {{ConfigResource::kTopic, "orders", {{"retention.ms", kSet, "5"}}},
                       {ConfigResource::kBroker, "1", {{"log.retention.ms", kSet, "x"}}}},
         .validate_only = true});
    CHECK(decision.records.empty());
    CHECK(decision.reply.at(0).code == ErrorCode::kNone);
    CHECK(decision.reply.at(1).code == ErrorCode::kInvalidRequest);
}

TEST_CASE("every refusal has Kafka's error code, and a mistyped name the one that was meant") {
    Cluster cluster;
    const auto topic = [&](std::vector<ConfigChange> changes) {
        return cluster.alter_topic(std::move(changes)).code;
    };
    CHECK(topic({{"retention.ms", kSet, "-2"}}) == ErrorCode::kInvalidConfig);
    CHECK(topic({{"retention.ms", kSet, std::nullopt}}) == ErrorCode::kInvalidRequest);
    CHECK(topic({{"retention.ms", kSet, "5"}, {"retention.ms", kDelete}}) ==
          ErrorCode::kInvalidRequest);
    CHECK(topic({{"retention.ms", static_cast<ConfigOperation>(4), "5"}}) ==
          ErrorCode::kInvalidRequest);
    CHECK(topic({{"retention.ms", kAppend, "5"}}) == ErrorCode::kInvalidConfig);
    CHECK(topic({{"retention.ms", kSet, std::string(40'000, ' ') + "5"}}) ==
          ErrorCode::kInvalidRequest);
    CHECK(cluster.alter_topic({{"retention.mss", kSet, "5"}}).message ==
          "Unknown topic configuration: retention.mss. Did you mean retention.ms?");
    CHECK(cluster.alter(ConfigResource::kTopic, "none", {}).code ==
          ErrorCode::kUnknownTopicOrPartition);
    CHECK(cluster.alter(ConfigResource::kTopic, "no/slash", {}).code ==
          ErrorCode::kInvalidTopicException);
    CHECK(cluster.alter(static_cast<ConfigResource>(8), "1", {}).code ==
          ErrorCode::kInvalidRequest);
    CHECK(cluster.topic_configs().empty());
}

TEST_CASE("settings of a group lie within the limits of the node, whether there is one or not") {
    Cluster cluster;
    const auto group = [&](std::vector<ConfigChange> changes, std::string name = "g") {
        return cluster.alter(ConfigResource::kGroup, std::move(name), std::move(changes));
    };
    constexpr const char* kSession = "consumer.session.timeout.ms";
    constexpr const char* kHeartbeat = "consumer.heartbeat.interval.ms";
    CHECK(group({{kSession, kSet, "50000"}, {kHeartbeat, kSet, "6000"}}).code == ErrorCode::kNone);
    CHECK(cluster.state.group_configs("g") == ConfigMap{{kSession, "50000"}, {kHeartbeat, "6000"}});
    CHECK(cluster.state.group_configs("h").empty());

    CHECK(group({{kSession, kSet, "60001"}}).code == ErrorCode::kInvalidConfig);
    CHECK(group({{kHeartbeat, kSet, "4999"}}).code == ErrorCode::kInvalidConfig);
    CHECK(group({{kHeartbeat, kSet, "soon"}}).code == ErrorCode::kInvalidConfig);
    CHECK(group({{kHeartbeat, kAppend, "1"}}).code == ErrorCode::kInvalidConfig);
    CHECK(group({{kSession, kSet, "10000"}, {kHeartbeat, kSet, "15000"}}).message ==
          "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms.");
    CHECK(group({{"consumer.session.timeout", kSet, "50000"}}).message ==
          "Unknown group configuration: consumer.session.timeout. Did you mean "
          "consumer.session.timeout.ms?");
    CHECK(group({{kSession, kSet, "50000"}}, "").code == ErrorCode::kInvalidRequest);

    CHECK(group({{kSession, kDelete}}).code == ErrorCode::kNone);
    CHECK(cluster.state.group_configs("g") == ConfigMap{{kHeartbeat, "6000"}});
    CHECK(group({{kHeartbeat, kDelete}}).code == ErrorCode::kNone);
    CHECK(cluster.state.group_configs("g").empty());
}

TEST_CASE("a resource that is named twice is altered by neither") {
    Cluster cluster;
    const AlteredResource one{ConfigResource::kTopic, "orders", {{"retention.ms", kSet, "5"}}};
    const auto decision = cluster.decide({.resources = {one, one}});
    CHECK(decision.records.empty());
    CHECK(decision.reply.at(0).code == ErrorCode::kInvalidRequest);
    CHECK(decision.reply.at(1).code == ErrorCode::kInvalidRequest);
}

TEST_CASE("a node's own setting beats that of every node, and that beats the start's") {
    Cluster cluster;
    CHECK(cluster.retention_ms() == 24 * 3'600'000);
    CHECK(cluster.alter_broker("", {{"log.retention.ms", kSet, "20"}}).code == ErrorCode::kNone);
    CHECK(cluster.retention_ms() == 20);
    CHECK(cluster.alter_broker("1", {{"log.retention.ms", kSet, "10"}}).code == ErrorCode::kNone);
    CHECK(cluster.retention_ms() == 10);
    (void)cluster.alter_topic({{"retention.ms", kSet, "5"}});
    CHECK(cluster.retention_ms() == 5);
    (void)cluster.alter_topic({{"retention.ms", kDelete}});
    (void)cluster.alter_broker("1", {{"log.retention.ms", kDelete}});
    CHECK(cluster.retention_ms() == 20);
    (void)cluster.alter_broker("", {{"log.retention.ms", kDelete}});
    CHECK(cluster.retention_ms() == 24 * 3'600'000);
    CHECK(cluster.state.broker_configs(NodeId(1)).empty());
    CHECK(cluster.state.broker_configs(kEveryNode).empty());
}

TEST_CASE("a setting that is read at the start only is not altered (KIP-226)") {
    Cluster cluster;
    const Refusal refusal = cluster.alter_broker(
        "1", {{"num.partitions", kSet, "9"}, {"log.retention.hours", kSet, "9"}});
    CHECK(refusal.code == ErrorCode::kInvalidRequest);
    CHECK(refusal.message.starts_with(
        "Cannot update these configs dynamically: log.retention.hours, num.partitions."));
    CHECK(cluster.alter_broker("1", {{"log.retention.mss", kSet, "9"}}).message ==
          "Unknown broker configuration: log.retention.mss. Did you mean log.retention.ms?");
    CHECK(cluster.alter_broker("2", {}).code == ErrorCode::kInvalidRequest);
    CHECK(cluster.alter_broker("one", {}).code == ErrorCode::kInvalidRequest);
    CHECK(cluster.alter_broker("01", {}).code == ErrorCode::kInvalidRequest);
}

TEST_CASE("a broker's setting is refused when it does not go with those of a topic") {
    Cluster cluster;
    (void)cluster.alter_topic({{"segment.ms", kSet, "100"}});
    const Refusal refusal = cluster.alter_broker("", {{"log.roll.jitter.ms", kSet, "101"}});
    CHECK(refusal.code == ErrorCode::kInvalidRequest);
    CHECK(refusal.message.find("orders") != std::string::npos);
    CHECK(cluster.alter_broker("", {{"log.roll.jitter.ms", kSet, "100"}}).code == ErrorCode::kNone);
}

TEST_CASE(
    "words are added to a list once and taken out of it, beginning with the value in effect") {
    Cluster cluster;
    (void)cluster.alter_broker("", {{"words", kAppend, "b, c,a"}});
    CHECK(cluster.state.broker_configs(kEveryNode) == ConfigMap{{"words", "a,b,c"}});
    (void)cluster.alter_broker("", {{"words", kSubtract, "b,d"}});
    CHECK(cluster.state.broker_configs(kEveryNode) == ConfigMap{{"words", "a,c"}});
}

}  // namespace
}  // namespace dlog::metadata
