#include "cli/top_report.h"

#include <algorithm>

#include "cli/bench_support.h"
#include "cli/json.h"

namespace dlog::cli {

namespace {

constexpr std::string_view kRequests = "dlog_requests_total";
constexpr std::string_view kLatencies = "dlog_request_latency_seconds";

class Comparison {
  public:
    Comparison(const Look& before, const Look& now)
        : before_(before), now_(now), seconds_(std::max((now.at - before.at).seconds(), 1e-9)) {
        for (const auto& [id, group] : now.groups) add_committed(id, group);
    }

    [[nodiscard]] std::vector<TopicRow> topics() const {
        std::vector<TopicRow> rows;
        for (const auto& [name, partitions] : now_.topics) {
            TopicRow row{.name = name, .partitions = partitions.size()};
            for (std::size_t i = 0; i < partitions.size(); ++i) add_partition(row, name, i);
            if (const auto read = read_.find(name); read != read_.end()) {
                row.records_out = read->second;
            }
            rows.push_back(std::move(row));
        }
        return rows;
    }

    [[nodiscard]] std::vector<GroupRow> groups() const {
        std::vector<GroupRow> rows;
        for (const auto& [id, group] : now_.groups) {
            GroupRow row{.id = id,
                         .state = group.state,
                         .members = group.members,
                         .lag = lag(now_, group),
                         .records_out = read_by_.at(id)};
            const auto earlier = before_.groups.find(id);
            if (earlier != before_.groups.end()) {
                row.lag_change =
                    static_cast<double>(row.lag - lag(before_, earlier->second)) / seconds_;
            }
            rows.push_back(std::move(row));
        }
        return rows;
    }

    [[nodiscard]] std::vector<NodeRow> nodes() const {
        std::vector<NodeRow> rows;
        for (const auto& [id, node] : now_.nodes) {
            NodeRow row{.id = id, .address = node.address};
            for (const auto& [name, partitions] : now_.topics) {
                for (std::size_t i = 0; i < partitions.size(); ++i) {
                    if (partitions[i].leader != id) continue;
                    ++row.leads;
                    row.records_in += written(name, i);
                }
            }
            if (node.stored) {
                row.size_bytes = 0;
                for (const auto& [partition, size] : node.stored->sizes) row.size_bytes += size;
                row.free_bytes = node.stored->free_bytes;
            }
            if (const Metrics* earlier = metrics_before(id); earlier != nullptr && node.metrics) {
                const auto rate = [&](std::string_view series) {
                    return growth(*earlier, *node.metrics, series) / seconds_;
                };
                row.bytes_in = rate("dlog_produce_bytes_total");
                row.bytes_out = rate("dlog_fetch_bytes_total");
                row.cpu_percent = rate("process_cpu_seconds_total") * 100;
            }
            rows.push_back(std::move(row));
        }
        return rows;
    }

    [[nodiscard]] std::vector<RequestRow> requests() const {
        std::map<std::string, double> rates;
        for (const auto& [id, node] : now_.nodes) {
            const Metrics* earlier = metrics_before(id);
            if (earlier == nullptr || !node.metrics) continue;
            for (const std::string& api : label_values(*node.metrics, kRequests, "api")) {
                const std::string series = std::string(kRequests) + "{api=\"" + api + "\"}";
                rates[api] += growth(*earlier, *node.metrics, series) / seconds_;
            }
        }
        std::vector<RequestRow> rows;
        for (const auto& [api, rate] : rates) {
            if (rate <= 0) continue;
            RequestRow row{.api = api, .rate = rate};
            add_latencies(row);
            rows.push_back(std::move(row));
        }
        return rows;
    }

  private:
    [[nodiscard]] const Metrics* metrics_before(NodeId id) const {
        const auto earlier = before_.nodes.find(id);
        if (earlier == before_.nodes.end() || !earlier->second.metrics) return nullptr;
        return &*earlier->second.metrics;
    }

    void add_latencies(RequestRow& row) const {
        const std::string label = "api=\"" + row.api + "\"";
        std::vector<Bucket> buckets;
        for (const auto& [id, node] : now_.nodes) {
            const Metrics* earlier = metrics_before(id);
            if (earlier == nullptr || !node.metrics) continue;
            merge(buckets, histogram_growth(*earlier, *node.metrics, kLatencies, label));
        }
        const auto milliseconds_at = [&](double share) -> std::optional<double> {
            const auto value = quantile(buckets, share);
            return value ? std::optional(*value * 1e3) : std::nullopt;
        };
        row.p50_ms = milliseconds_at(0.5);
        row.p99_ms = milliseconds_at(0.99);
    }

    /// Records that were written to a partition a second; 0 for one that is new or was unreachable.
    [[nodiscard]] double written(const std::string& topic, std::size_t index) const {
        const Offset end = now_.topics.at(topic)[index].end;
        const auto earlier = before_.topics.find(topic);
        if (earlier == before_.topics.end() || index >= earlier->second.size()) return 0;
        const Offset before = earlier->second[index].end;
        if (before == kNoOffset || end <= before) return 0;
        return static_cast<double>(end.since(before)) / seconds_;
    }

    [[nodiscard]] static std::optional<std::int64_t> size_at(
        const Look& look, NodeId node, const client::PartitionName& partition) {
        const auto found = look.nodes.find(node);
        if (found == look.nodes.end() || !found->second.stored) return std::nullopt;
        const auto size = found->second.stored->sizes.find(partition);
        if (size == found->second.stored->sizes.end()) return std::nullopt;
        return size->second;
    }

    void add_partition(TopicRow& row, const std::string& name, std::size_t index) const {
        const PartitionLook& partition = now_.topics.at(name)[index];
        if (partition.first != kNoOffset && partition.end != kNoOffset) {
            row.records += partition.end.since(partition.first);
        }
        row.records_in += written(name, index);
        const client::PartitionName key{name, static_cast<std::int32_t>(index)};
        for (const auto& [id, node] : now_.nodes) {
            const auto size = size_at(now_, id, key);
            if (size) row.size_bytes = std::max<std::int64_t>(row.size_bytes, 0) + *size;
        }
        const auto size = size_at(now_, partition.leader, key);
        const auto earlier = size_at(before_, partition.leader, key);
        // Retention and compaction take away; that is nothing that was written.
        if (size && earlier && *size > *earlier) {
            row.bytes_in += static_cast<double>(*size - *earlier) / seconds_;
        }
    }

    /// By how many records a second the group's committed offsets went on.
    void add_committed(const std::string& id, const GroupLook& group) {
        double& all = read_by_[id];
        const auto earlier = before_.groups.find(id);
        if (earlier == before_.groups.end()) return;
        for (const auto& [partition, offset] : group.committed) {
            const auto before = earlier->second.committed.find(partition);
            if (before == earlier->second.committed.end() || offset < before->second) continue;
            const double rate = static_cast<double>(offset.since(before->second)) / seconds_;
            all += rate;
            read_[partition.first] += rate;
        }
    }

    [[nodiscard]] static std::int64_t lag(const Look& look, const GroupLook& group) {
        std::int64_t lag = 0;
        for (const auto& [partition, offset] : group.committed) {
            const auto topic = look.topics.find(partition.first);
            if (topic == look.topics.end() || partition.second < 0) continue;
            const auto index = static_cast<std::size_t>(partition.second);
            if (index >= topic->second.size() || topic->second[index].end == kNoOffset) continue;
            lag += std::max<std::int64_t>(0, topic->second[index].end.since(offset));
        }
        return lag;
    }

    const Look& before_;
    const Look& now_;
    const double seconds_;
    std::map<std::string, double> read_by_;  ///< by group
    std::map<std::string, double> read_;     ///< by topic, all groups
};

std::string json_number(const std::optional<double>& number, int digits) {
    return number ? decimal(*number, digits) : "null";
}

std::string json_size(std::int64_t bytes) {
    return bytes < 0 ? "null" : std::to_string(bytes);
}

std::string node_json(const NodeRow& row) {
    return json_object({{"id", std::to_string(row.id.value)},
                        {"address", json_string(row.address)},
                        {"partitions_led", std::to_string(row.leads)},
                        {"records_in_per_second", decimal(row.records_in, 1)},
                        {"bytes_in_per_second", json_number(row.bytes_in, 1)},
                        {"bytes_out_per_second", json_number(row.bytes_out, 1)},
                        {"cpu_percent", json_number(row.cpu_percent, 1)},
                        {"size_bytes", json_size(row.size_bytes)},
                        {"free_bytes", json_size(row.free_bytes)}});
}

std::string topic_json(const TopicRow& row) {
    return json_object({{"name", json_string(row.name)},
                        {"partitions", std::to_string(row.partitions)},
                        {"records", std::to_string(row.records)},
                        {"records_in_per_second", decimal(row.records_in, 1)},
                        {"bytes_in_per_second", decimal(row.bytes_in, 1)},
                        {"records_out_per_second", decimal(row.records_out, 1)},
                        {"size_bytes", json_size(row.size_bytes)}});
}

std::string group_json(const GroupRow& row) {
    return json_object({{"id", json_string(row.id)},
                        {"state", json_string(row.state)},
                        {"members", std::to_string(row.members)},
                        {"lag", std::to_string(row.lag)},
                        {"lag_per_second", decimal(row.lag_change, 1)},
                        {"records_out_per_second", decimal(row.records_out, 1)}});
}

std::string request_json(const RequestRow& row) {
    return json_object({{"api", json_string(row.api)},
                        {"per_second", decimal(row.rate, 1)},
                        {"p50_ms", json_number(row.p50_ms, 3)},
                        {"p99_ms", json_number(row.p99_ms, 3)}});
}

template <class Row>
std::string rows_json(const std::vector<Row>& rows, std::string (*one)(const Row&)) {
    std::vector<std::string> values;
    for (const Row& row : rows) values.push_back(one(row));
    return json_array(values);
}

}  // namespace

Report compare(const Look& before, const Look& now) {
    const Comparison comparison(before, now);
    Report report{.span = now.at - before.at,
                  .wall = now.wall,
                  .nodes = comparison.nodes(),
                  .topics = comparison.topics(),
                  .groups = comparison.groups(),
                  .requests = comparison.requests(),
                  .complaints = now.complaints};
    report.has_metrics = std::ranges::any_of(
        now.nodes, [](const auto& node) { return node.second.metrics.has_value(); });
    return report;
}

std::string report_json(const Report& report) {
    return json_object({{"time_ms", std::to_string(report.wall.ms)},
                        {"nodes", rows_json(report.nodes, node_json)},
                        {"topics", rows_json(report.topics, topic_json)},
                        {"groups", rows_json(report.groups, group_json)},
                        {"requests", rows_json(report.requests, request_json)}});
}

}  // namespace dlog::cli
