/// What `dlog top` shows: looks at a cluster, and what two of them say together. Nothing here knows
/// where they come from or how they are drawn.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "cli/metrics_text.h"
#include "client/overview.h"

namespace dlog::cli {

struct NodeLook {
    std::string address;
    std::optional<client::StoredLogs> stored;
    /// What its HTTP port said; nothing when it was not asked or did not answer.
    std::optional<Metrics> metrics;
};

struct PartitionLook {
    NodeId leader{-1};
    /// kNoOffset when its leader did not answer.
    Offset first = kNoOffset;
    Offset end = kNoOffset;
};

struct GroupLook {
    std::string state;
    std::size_t members = 0;
    std::map<client::PartitionName, Offset> committed;
};

/// A cluster at one moment.
struct Look {
    Instant at;
    Timestamp wall;
    std::map<NodeId, NodeLook> nodes;
    std::map<std::string, std::vector<PartitionLook>> topics;
    std::map<std::string, GroupLook> groups;
    /// Parts that did not answer, in words, for the line at the bottom.
    std::vector<std::string> complaints;
};

/// Rates are per second, sizes in bytes, -1 where they are unknown.
struct NodeRow {
    NodeId id;
    std::string address;
    std::size_t leads = 0;              ///< partitions
    double records_in = 0;              ///< of the partitions that it leads
    std::optional<double> bytes_in;     ///< of record batches, by its metrics
    std::optional<double> bytes_out;    ///< the same, served
    std::optional<double> cpu_percent;  ///< of one core, by its metrics
    std::int64_t size_bytes = -1;
    std::int64_t free_bytes = -1;
};

struct TopicRow {
    std::string name;
    std::size_t partitions = 0;
    std::int64_t records = 0;  ///< between the first and the last offsets
    double records_in = 0;
    double bytes_in = 0;           ///< by how much the leaders' files grew
    double records_out = 0;        ///< that consumer groups committed
    std::int64_t size_bytes = -1;  ///< all replicas
};

struct GroupRow {
    std::string id;
    std::string state;
    std::size_t members = 0;
    std::int64_t lag = 0;
    double lag_change = 0;   ///< below 0: it catches up
    double records_out = 0;  ///< that it committed
};

/// Requests of one API, all nodes that were asked together.
struct RequestRow {
    std::string api;
    double rate = 0;
    /// From the last byte of a request to its answer; nothing when none was answered.
    std::optional<double> p50_ms;
    std::optional<double> p99_ms;
};

struct Report {
    Duration span;  ///< between the two looks
    Timestamp wall;
    std::vector<NodeRow> nodes;
    std::vector<TopicRow> topics;
    std::vector<GroupRow> groups;
    /// Those that were asked anything since the first look; empty without metrics.
    std::vector<RequestRow> requests;
    bool has_metrics = false;
    std::vector<std::string> complaints;
};

/// What happened between two looks. What is new has no rates yet.
[[nodiscard]] Report compare(const Look& before, const Look& now);

/// One JSON object.
[[nodiscard]] std::string report_json(const Report& report);

}  // namespace dlog::cli
