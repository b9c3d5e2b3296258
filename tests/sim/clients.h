/// The clients of a simulated node: producers, consumers and one who makes and deletes a topic
/// again and again. They live on a host of their own, retry for ever, and tell the history
/// everything.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "history.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/task.h"
#include "run.h"
#include "wire.h"

namespace dlog::simtest {

/// A partition that clients write to and read from.
struct Target {
    std::string topic;
    std::int32_t partition = 0;
    LogId log = 0;
};

/// What the clients share.
struct Clients {
    Clients(const port::Ports& client_ports, History& run_history, port::Endpoint node)
        : ports(client_ports), history(run_history), endpoint(std::move(node)) {}

    const port::Ports& ports;
    History& history;
    port::Endpoint endpoint;
    Canary canary = Canary::kNone;
    bool is_producing = true;
    /// Ends loops that would go on for ever.
    bool is_ending = false;
    std::uint32_t busy_producers = 0;
    std::uint32_t readings_missing = 0;
    std::uint32_t next_producer = 1;
    std::uint64_t topics_made = 0;
    std::map<LogId, std::int64_t> first_starts;  ///< for a canary
};

struct TopicToMake {
    std::string name;
    std::int32_t partitions = 1;
    std::vector<std::pair<std::string, std::string>> configs;
};
/// Tries until the topic is there.
port::Task<void> make_topic(Clients& clients, TopicToMake topic);
/// Of a topic that is there.
port::Task<TopicId> find_topic_id(Clients& clients, std::string name);

struct ProducerPlan {
    Target target;
    bool is_idempotent = false;
    int codec = 0;
    std::uint32_t key_count = 0;  ///< above 0: records have keys, of which so many are frequent
    std::uint64_t seed = 0;
    /// Ends after so many records; 0: when the clients stop producing.
    std::uint64_t records = 0;
};
/// Writes batches in order, several at a time, until all that it wrote is acknowledged.
port::Task<void> produce(Clients& clients, ProducerPlan plan);

/// Reads a partition again and again, from changing offsets on.
port::Task<void> consume(Clients& clients, Target target, std::uint64_t seed);

/// Reads a partition whole and checks it; one of the readings that are missing.
port::Task<void> read_whole(Clients& clients, Target target);
/// Does so again and again, while others write and nodes come and go.
port::Task<void> audit(Clients& clients, Target target, std::uint64_t seed);

/// Makes a topic, writes to it, reads it, deletes it, and begins anew under the same name.
port::Task<void> churn(Clients& clients, std::string name, std::uint64_t seed);

}  // namespace dlog::simtest
