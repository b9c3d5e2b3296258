/// The brokers of a cluster as a client knows them: which there are, who leads which partition, a
/// connection to each.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "client/connection.h"
#include "client/error.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/sync.h"
#include "port/task.h"
#include "protocol/error_code.h"

namespace dlog::client {

struct ClusterConfig {
    std::vector<port::Endpoint> bootstrap;
    ConnectionConfig connection;
    Duration request_timeout = seconds(30);
    /// Waits between tries grow from the first to the second, half of each at random.
    Duration backoff_min = milliseconds(50);
    Duration backoff_max = seconds(1);
    /// What is known of a topic is asked for again after this time.
    Duration metadata_age_max = seconds(300);
    /// A topic that was just made may be unknown to some brokers for a moment; one that is still
    /// unknown after so many tries is not there.
    int unknown_topic_tries = 4;
};

/// "host:port,host:port", at least one. The error says what is wrong with which.
[[nodiscard]] std::expected<std::vector<port::Endpoint>, std::string> parse_bootstrap(
    std::string_view text);

struct PartitionInfo {
    NodeId leader{-1};  ///< -1: none at the moment
    LeaderEpoch leader_epoch = kNoEpoch;
};

struct TopicInfo {
    std::string name;
    TopicId id;
    bool is_internal = false;
    std::vector<PartitionInfo> partitions;  ///< by partition number
    Instant learned_at;
    /// Some partition has no leader: this is worth knowing for a moment only.
    bool lacks_leaders = false;
};
using TopicInfoPtr = std::shared_ptr<const TopicInfo>;
using TopicNames = std::map<TopicId, std::string>;

/// `span` as requests say it, in whole milliseconds, from `least` up to as many as there is room
/// for.
[[nodiscard]] std::int32_t wire_ms(Duration span, std::int32_t least = 1);

/// How long to wait before try number 1, 2, 3…
class Backoff {
  public:
    Backoff(const ClusterConfig& config, Random& random) : config_(config), random_(random) {}
    [[nodiscard]] Duration next();
    /// It went well: the next try is the first again.
    void reset() { next_ns_ = 0; }

  private:
    const ClusterConfig& config_;
    Random& random_;
    std::int64_t next_ns_ = 0;
};

/// Answers of one connection come in the order of its requests, so what a broker may sit on for a
/// while (a fetch that waits for records) has a connection of its own.
enum class Lane : std::uint8_t { kCalls, kWaits };

/// Belongs to one core; its calls may overlap. It must outlive them, so close it and end what uses
/// it first.
class Cluster {
  public:
    Cluster(const port::Ports& ports, ClusterConfig config);
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;
    ~Cluster() { close(); }

    [[nodiscard]] const port::Ports& ports() const { return ports_; }
    [[nodiscard]] const ClusterConfig& config() const { return config_; }
    [[nodiscard]] Random& random() { return random_; }
    [[nodiscard]] Instant default_deadline() const;

    /// What is known of the topic, asked for when it is not, or too old. A topic without any leader
    /// is asked for again until the deadline, one that is unknown a few times. `may_create` lets
    /// the broker create it (auto.create.topics.enable).
    [[nodiscard]] port::Task<Result<TopicInfoPtr>> topic(std::string name, bool may_create,
                                                         Instant deadline);
    /// nullptr when nothing is known of it at the moment.
    [[nodiscard]] TopicInfoPtr known_topic(std::string_view name) const;
    /// Its leaders turned out to be others: ask again when it is needed next.
    void forget_topic(std::string_view name);
    /// All topics, one request, no retries.
    [[nodiscard]] port::Task<Result<std::vector<TopicInfoPtr>>> all_topics(Instant deadline);
    /// What the topics with these ids are called; those that are not there are missing. One
    /// request for all of which nothing is known, no retries.
    [[nodiscard]] port::Task<Result<TopicNames>> names_of(std::vector<TopicId> ids,
                                                          Instant deadline);

    /// The connection to a broker, made when there is none.
    [[nodiscard]] port::Task<Result<ConnectionPtr>> connection_to(NodeId node,
                                                                  Lane lane = Lane::kCalls);
    /// A broker and its address, as an answer named them.
    void learn_broker(NodeId node, port::Endpoint endpoint);
    /// The open connection to a broker, or nullptr.
    [[nodiscard]] ConnectionPtr open_connection(NodeId node, Lane lane = Lane::kCalls) const;
    /// The brokers of the cluster, as its last answer named them.
    [[nodiscard]] std::vector<NodeId> known_brokers() const;
    /// Where a known broker is.
    [[nodiscard]] const port::Endpoint& address_of(NodeId node) const;
    /// Any broker of the cluster.
    [[nodiscard]] port::Task<Result<ConnectionPtr>> any_connection();

    /// Sends `request` to any broker, again after transport failures until the deadline. For
    /// requests that may be repeated without harm.
    template <class Request>
    [[nodiscard]] port::Task<Result<Answer<typename Request::Response>>> call_any(
        Request request, Instant deadline) {
        Backoff backoff(config_, random_);
        for (;;) {
            Result<ConnectionPtr> connection = co_await any_connection();
            if (connection) {
                auto answer = co_await (*connection)->call(request, {.deadline = deadline});
                if (answer || !answer.error().is_retriable()) co_return answer;
                connection = unexpected(std::move(answer).error());
            }
            const bool is_worth_it = connection.error().is_retriable();
            const bool is_in_time = is_worth_it && co_await wait(backoff.next(), deadline);
            if (!is_in_time) co_return unexpected(std::move(connection).error());
        }
    }

    /// Waits for `span`; false, at once, when that would be after the deadline or the cluster is
    /// closed.
    [[nodiscard]] port::Task<bool> wait(Duration span, Instant deadline);

    /// Ends everything under way with kClosed.
    void close();
    [[nodiscard]] bool is_closed() const { return is_closed_; }

  private:
    struct Line {
        ConnectionPtr connection;
        bool is_connecting = false;
        port::Notifier connected;
        Error last_error;
    };
    struct Node {
        port::Endpoint endpoint;
        /// Of the cluster. One that left it may still be connected, and may come back.
        bool is_member = false;
        Line lines[2];  ///< By Lane.

        [[nodiscard]] Line& line(Lane lane) { return lines[static_cast<std::size_t>(lane)]; }
    };

    [[nodiscard]] Node& node_slot(NodeId node);
    port::Task<Result<ConnectionPtr>> connect(NodeId node, Lane lane);
    port::Task<Result<TopicInfoPtr>> ask_topic(std::string name, bool may_create, Instant deadline);
    template <class Response>
    void learn_brokers(const Response& response);
    template <class Topic>
    [[nodiscard]] TopicInfoPtr learn_topic(const Topic& topic);

    const port::Ports& ports_;
    const ClusterConfig config_;
    Random random_;
    bool is_closed_ = false;
    /// By node id; the bootstrap addresses have the ids -1, -2, …
    std::map<NodeId, std::unique_ptr<Node>> nodes_;
    std::map<std::string, TopicInfoPtr, std::less<>> topics_;
};

}  // namespace dlog::client
