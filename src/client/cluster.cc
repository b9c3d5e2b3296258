#include "client/cluster.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "protocol/messages/metadata.h"

namespace dlog::client {

using protocol::ErrorCode;

std::expected<std::vector<port::Endpoint>, std::string> parse_bootstrap(std::string_view text) {
    std::vector<port::Endpoint> endpoints;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        port::Endpoint endpoint;
        const std::string_view one = text.substr(0, comma);
        if (!port::parse_endpoint(one, endpoint) || endpoint.port == 0) {
            return unexpected("bootstrap: \"" + std::string(one) +
                              "\" is not HOST:PORT, such as 127.0.0.1:9092");
        }
        endpoints.push_back(std::move(endpoint));
        text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    }
    if (endpoints.empty()) return unexpected<std::string>("bootstrap is empty: give HOST:PORT");
    return endpoints;
}

std::int32_t wire_ms(Duration span, std::int32_t least) {
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(span.ms(), least, INT32_MAX));
}

Duration Backoff::next() {
    next_ns_ =
        next_ns_ == 0 ? config_.backoff_min.ns : std::min(next_ns_ * 2, config_.backoff_max.ns);
    const std::int64_t half = next_ns_ / 2;
    return {half + random_.between(0, half)};
}

Cluster::Cluster(const port::Ports& ports, ClusterConfig config)
    : ports_(ports), config_(std::move(config)), random_(ports.entropy.next()) {
    DLOG_ASSERT(!config_.bootstrap.empty());
    std::int32_t id = 0;
    for (const port::Endpoint& endpoint : config_.bootstrap) {
        node_slot(NodeId{--id}).endpoint = endpoint;
    }
}

Cluster::Node& Cluster::node_slot(NodeId node) {
    std::unique_ptr<Node>& slot = nodes_[node];
    if (slot == nullptr) slot = std::make_unique<Node>();
    return *slot;
}

Instant Cluster::default_deadline() const {
    return ports_.clock.now() + config_.request_timeout;
}

port::Task<bool> Cluster::wait(Duration span, Instant deadline) {
    const Instant until = ports_.clock.now() + span;
    if (is_closed_ || until >= deadline) co_return false;
    co_await port::SleepUntil(ports_.clock, until);
    co_return !is_closed_;
}

ConnectionPtr Cluster::open_connection(NodeId node, Lane lane) const {
    const auto found = nodes_.find(node);
    if (found == nodes_.end()) return nullptr;
    const ConnectionPtr& connection = found->second->line(lane).connection;
    return connection != nullptr && connection->is_open() ? connection : nullptr;
}

port::Task<Result<ConnectionPtr>> Cluster::connection_to(NodeId node, Lane lane) {
    if (is_closed_) co_return unexpected(Error{.kind = ErrorKind::kClosed});
    if (ConnectionPtr open = open_connection(node, lane)) co_return open;
    if (!nodes_.contains(node)) {
        co_return unexpected(
            Error{.kind = ErrorKind::kUnreachable,
                  .detail = "no address is known for node " + std::to_string(node.value)});
    }
    co_return co_await connect(node, lane);
}

/// One attempt at a time; those who come meanwhile wait for its outcome.
port::Task<Result<ConnectionPtr>> Cluster::connect(NodeId node, Lane lane) {
    Node& slot = node_slot(node);
    Line& line = slot.line(lane);
    if (line.is_connecting) {
        while (line.is_connecting) static_cast<void>(co_await line.connected.wait());
        if (ConnectionPtr open = open_connection(node, lane)) co_return open;
        co_return unexpected(line.last_error);
    }
    line.is_connecting = true;
    auto connection = co_await Connection::open(&ports_, slot.endpoint, config_.connection);
    line.is_connecting = false;
    if (connection && is_closed_) connection = unexpected(Error{.kind = ErrorKind::kClosed});
    if (connection) {
        line.connection = *connection;
    } else {
        line.last_error = connection.error();
    }
    line.connected.notify_all();
    co_return connection;
}

port::Task<Result<ConnectionPtr>> Cluster::any_connection() {
    if (is_closed_) co_return unexpected(Error{.kind = ErrorKind::kClosed});
    std::vector<NodeId> ids;
    for (const auto& [id, node] : nodes_) {
        if (ConnectionPtr open = open_connection(id)) co_return open;
        ids.push_back(id);
    }
    // Real nodes first, then the bootstrap addresses.
    std::reverse(ids.begin(), ids.end());
    Error last{.kind = ErrorKind::kUnreachable};
    for (const NodeId id : ids) {
        auto connection = co_await connection_to(id);
        if (connection) co_return connection;
        last = std::move(connection).error();
        if (is_closed_) break;
    }
    co_return unexpected(std::move(last));
}

void Cluster::learn_broker(NodeId node, port::Endpoint endpoint) {
    Node& slot = node_slot(node);
    slot.is_member = node.value >= 0;
    if (slot.endpoint == endpoint) return;
    slot.endpoint = std::move(endpoint);
    for (Line& line : slot.lines) line.connection.reset();
}

std::vector<NodeId> Cluster::known_brokers() const {
    std::vector<NodeId> ids;
    for (const auto& [id, node] : nodes_) {
        if (node->is_member) ids.push_back(id);
    }
    return ids;
}

const port::Endpoint& Cluster::address_of(NodeId node) const {
    const auto found = nodes_.find(node);
    DLOG_ASSERT(found != nodes_.end(), node.value);
    return found->second->endpoint;
}

template <class Response>
void Cluster::learn_brokers(const Response& response) {
    for (const auto& [id, node] : nodes_) node->is_member = false;
    for (const auto& broker : response.brokers) {
        learn_broker(NodeId{broker.node_id},
                     {broker.host, static_cast<std::uint16_t>(broker.port)});
    }
}

template <class Topic>
TopicInfoPtr Cluster::learn_topic(const Topic& topic) {
    auto info = std::make_shared<TopicInfo>();
    info->name = topic.name.value_or("");
    info->id = topic.topic_id;
    info->is_internal = topic.is_internal;
    info->learned_at = ports_.clock.now();
    info->partitions.resize(topic.partitions.size());
    for (const auto& partition : topic.partitions) {
        const auto index = static_cast<std::size_t>(partition.partition_index);
        if (index >= info->partitions.size()) continue;  // a gap: the topic is being made
        info->partitions[index] = {NodeId{partition.leader_id},
                                   LeaderEpoch{partition.leader_epoch}};
    }
    info->lacks_leaders = std::ranges::any_of(
        info->partitions, [](const PartitionInfo& one) { return one.leader.value < 0; });
    topics_[info->name] = info;
    return info;
}

TopicInfoPtr Cluster::known_topic(std::string_view name) const {
    const auto found = topics_.find(name);
    if (found == topics_.end()) return nullptr;
    const TopicInfo& topic = *found->second;
    const bool has_leader = std::ranges::any_of(
        topic.partitions, [](const PartitionInfo& one) { return one.leader.value >= 0; });
    if (!has_leader) return nullptr;
    const Duration age_max = topic.lacks_leaders
                                 ? std::min(config_.backoff_max, config_.metadata_age_max)
                                 : config_.metadata_age_max;
    return ports_.clock.now() - topic.learned_at > age_max ? nullptr : found->second;
}

void Cluster::forget_topic(std::string_view name) {
    const auto found = topics_.find(name);
    if (found != topics_.end()) topics_.erase(found);
}

port::Task<Result<TopicInfoPtr>> Cluster::topic(std::string name, bool may_create,
                                                Instant deadline) {
    Backoff backoff(config_, random_);
    for (int tries = 1;; ++tries) {
        if (TopicInfoPtr known = known_topic(name)) co_return known;
        auto info = co_await ask_topic(name, may_create, deadline);
        if (info || !info.error().is_retriable()) co_return info;
        const bool is_unknown = info.error().code == ErrorCode::kUnknownTopicOrPartition;
        if (is_unknown && tries >= config_.unknown_topic_tries) co_return info;
        const bool is_in_time = co_await wait(backoff.next(), deadline);
        if (!is_in_time) co_return info;
    }
}

port::Task<Result<TopicInfoPtr>> Cluster::ask_topic(std::string name, bool may_create,
                                                    Instant deadline) {
    protocol::MetadataRequest request;
    request.topics->push_back({.name = name});
    request.allow_auto_topic_creation = may_create;
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await call_any(std::move(request), deadline));
    learn_brokers(answer.message);
    for (const auto& topic : answer->topics) {
        if (topic.name != name) continue;
        if (topic.error_code != ErrorCode::kNone) {
            co_return unexpected(broker_error(topic.error_code, "topic " + name));
        }
        const TopicInfoPtr info = learn_topic(topic);
        if (known_topic(name) == nullptr) {
            co_return unexpected(broker_error(ErrorCode::kLeaderNotAvailable, "topic " + name));
        }
        co_return info;
    }
    co_return unexpected(
        Error{.kind = ErrorKind::kBadResponse, .detail = "Metadata: nothing about topic " + name});
}

port::Task<Result<std::vector<TopicInfoPtr>>> Cluster::all_topics(Instant deadline) {
    protocol::MetadataRequest request;
    request.topics.reset();
    request.allow_auto_topic_creation = false;
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await call_any(std::move(request), deadline));
    learn_brokers(answer.message);
    std::vector<TopicInfoPtr> topics;
    for (const auto& topic : answer->topics) {
        if (topic.error_code == ErrorCode::kNone) topics.push_back(learn_topic(topic));
    }
    co_return topics;
}

/// A topic keeps its name as long as it lives, so what is known of that does not age.
port::Task<Result<TopicNames>> Cluster::names_of(std::vector<TopicId> ids, Instant deadline) {
    TopicNames names;
    std::ranges::sort(ids);
    for (const auto& [name, info] : topics_) {
        if (std::ranges::binary_search(ids, info->id)) names[info->id] = name;
    }
    protocol::MetadataRequest request;
    request.allow_auto_topic_creation = false;
    for (const TopicId id : ids) {
        if (!names.contains(id)) request.topics->push_back({.topic_id = id, .name = std::nullopt});
    }
    if (request.topics->empty()) co_return names;
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await call_any(std::move(request), deadline));
    learn_brokers(answer.message);
    for (const auto& topic : answer->topics) {
        if (topic.error_code != ErrorCode::kNone || !topic.name) continue;
        names[topic.topic_id] = learn_topic(topic)->name;
    }
    co_return names;
}

void Cluster::close() {
    is_closed_ = true;
    for (const auto& [id, node] : nodes_) {
        for (const Line& line : node->lines) {
            if (line.connection != nullptr) line.connection->close();
        }
    }
}

}  // namespace dlog::client
