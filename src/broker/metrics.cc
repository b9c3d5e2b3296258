#include "broker/metrics.h"

#include <charconv>

#include "base/assert.h"
#include "broker/api_table.h"

namespace dlog::broker {

namespace {

/// A counter or gauge: which member, under which name.
struct Series {
    std::string_view name;
    std::string_view type;
    std::string_view help;
    std::uint64_t CoreMetrics::* member;
};

constexpr Series kSeries[] = {
    {"dlog_broken_requests_total", "counter", "Requests whose bytes could not be understood.",
     &CoreMetrics::broken_requests},
    {"dlog_oversized_requests_total", "counter",
     "Requests above socket.request.max.bytes, or no requests at all: each ended its connection.",
     &CoreMetrics::oversized_requests},
    {"dlog_request_bytes_total", "counter", "Bytes of request frames.",
     &CoreMetrics::request_bytes},
    {"dlog_response_bytes_total", "counter", "Bytes of responses.", &CoreMetrics::response_bytes},
    {"dlog_connections_accepted_total", "counter", "Connections taken.",
     &CoreMetrics::connections_accepted},
    {"dlog_connections_moved_total", "counter",
     "Connections that moved to the core of their partitions.", &CoreMetrics::connections_moved},
    {"dlog_connections_delayed_total", "counter",
     "Connections taken later because of max.connection.creation.rate.",
     &CoreMetrics::connections_delayed},
    {"dlog_connections_stalled_total", "counter",
     "Connections closed because the client stopped reading or writing.",
     &CoreMetrics::stalled_connections},
    {"dlog_connections", "gauge", "Connections open now.", &CoreMetrics::connections_open},
    {"dlog_produce_batches_total", "counter", "Record batches taken.",
     &CoreMetrics::produced_batches},
    {"dlog_produce_records_total", "counter", "Records taken.", &CoreMetrics::produced_records},
    {"dlog_produce_bytes_total", "counter", "Bytes of record batches taken.",
     &CoreMetrics::produced_bytes},
    {"dlog_produce_errors_total", "counter", "Partitions of produce requests that were refused.",
     &CoreMetrics::produce_errors},
    {"dlog_fetch_bytes_total", "counter", "Bytes of record batches served.",
     &CoreMetrics::fetched_bytes},
    {"dlog_fetch_errors_total", "counter", "Partitions of fetch requests that were refused.",
     &CoreMetrics::fetch_errors},
    {"dlog_fetch_sessions", "gauge", "Incremental fetch sessions.", &CoreMetrics::fetch_sessions},
    {"dlog_fetch_session_evictions_total", "counter", "Fetch sessions that made room for others.",
     &CoreMetrics::fetch_session_evictions},
    {"dlog_log_appended_batches_total", "counter", "Batches appended to partitions.",
     &CoreMetrics::appended_batches},
    {"dlog_log_syncs_total", "counter", "Calls that synced files.", &CoreMetrics::syncs},
    {"dlog_log_synced_partitions_total", "counter", "Partitions covered by those calls.",
     &CoreMetrics::synced_partitions},
    {"dlog_log_write_failures_total", "counter", "Writes that the disk refused.",
     &CoreMetrics::write_failures},
    {"dlog_log_tail_bytes", "gauge", "Memory that holds the newest batches.",
     &CoreMetrics::tail_bytes},
    {"dlog_partitions", "gauge", "Partitions of this node.", &CoreMetrics::partitions},
    {"dlog_segments", "gauge", "Segments of this node's partitions.", &CoreMetrics::segments},
    {"dlog_log_damaged_ranges", "gauge", "Pieces of segments that are damaged on disk.",
     &CoreMetrics::damaged_ranges},
    {"dlog_log_deleted_segments_total", "counter", "Segments removed by retention.",
     &CoreMetrics::deleted_segments},
    {"dlog_groups", "gauge", "Consumer groups that this node coordinates.", &CoreMetrics::groups},
    {"dlog_group_members", "gauge", "Members of those groups.", &CoreMetrics::group_members},
    {"dlog_group_offsets", "gauge", "Offsets that groups have committed.",
     &CoreMetrics::group_offsets},
    {"dlog_group_rebalances_total", "counter", "Rebalances that groups have completed.",
     &CoreMetrics::group_rebalances},
    {"dlog_log_cleaner_read_bytes_total", "counter", "Bytes that compaction has read.",
     &CoreMetrics::cleaner_read_bytes},
    {"dlog_log_cleaner_written_bytes_total", "counter", "Bytes that compaction has written.",
     &CoreMetrics::cleaner_written_bytes},
    {"dlog_log_cleaner_removed_records_total", "counter", "Records removed by compaction.",
     &CoreMetrics::cleaner_removed_records},
    {"dlog_log_cleaner_rounds_total", "counter", "Rounds of compaction, each of one partition.",
     &CoreMetrics::cleaner_rounds},
    {"dlog_log_cleaner_failures_total", "counter",
     "Rounds of compaction that failed: their partition is tried again, each time after twice as "
     "long.",
     &CoreMetrics::cleaner_failures},
    {"dlog_log_uncleanable_partitions", "gauge",
     "Partitions whose last round of compaction stopped at damaged data.",
     &CoreMetrics::uncleanable_partitions},
};

/// Why connections were refused, as a label.
struct RefusalSeries {
    std::string_view limit;
    std::uint64_t CoreMetrics::* member;
};

constexpr RefusalSeries kRefusals[] = {
    {"max.connections", &CoreMetrics::connections_over_max},
    {"max.connections.per.ip", &CoreMetrics::connections_over_ip_max},
    {"connection_creation_rate", &CoreMetrics::connections_over_ip_rate},
};

/// What throttled, as a label.
struct ThrottleSeries {
    std::string_view quota;
    ThrottleMetrics CoreMetrics::* member;
};

constexpr ThrottleSeries kThrottles[] = {
    {"producer_byte_rate", &CoreMetrics::produce_throttles},
    {"consumer_byte_rate", &CoreMetrics::fetch_throttles},
    {"request_percentage", &CoreMetrics::request_time_throttles},
    {"controller_mutation_rate", &CoreMetrics::mutation_throttles},
};

void append_head(std::string& out, std::string_view name, std::string_view type,
                 std::string_view help) {
    out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    out.append(name).append(" ").append(type).append("\n");
}

std::string seconds_text(double value) {
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
    DLOG_ASSERT(error == std::errc{});
    return {text, end};
}

void render_refusals(std::string& out, const CoreMetrics& sum) {
    constexpr std::string_view kName = "dlog_connections_refused_total";
    append_head(out, kName, "counter", "Connections closed at once, by the limit that they met.");
    for (const RefusalSeries& series : kRefusals) {
        out.append(kName).append("{limit=\"").append(series.limit).append("\"} ");
        out.append(std::to_string(sum.*series.member)).append("\n");
    }
}

void render_throttles(std::string& out, const CoreMetrics& sum) {
    const auto render = [&](std::string_view name, std::string_view help,
                            std::uint64_t ThrottleMetrics::* member) {
        append_head(out, name, "counter", help);
        for (const ThrottleSeries& series : kThrottles) {
            out.append(name).append("{quota=\"").append(series.quota).append("\"} ");
            out.append(std::to_string(sum.*series.member.*member)).append("\n");
        }
    };
    render("dlog_throttled_requests_total", "Requests whose client was over its quota.",
           &ThrottleMetrics::requests);
    render("dlog_throttle_milliseconds_total", "How long those clients were not listened to.",
           &ThrottleMetrics::milliseconds);
}

/// An API that nobody has called yet has no histogram: most nodes see a handful of them.
void render_latencies(std::string& out, const CoreMetrics& sum) {
    constexpr std::string_view kName = "dlog_request_latency_seconds";
    append_head(out, kName, "histogram",
                "From a request's last byte to its answer, waiting included, by API.");
    for (const ApiEntry& api : api_table()) {
        const LatencyHistogram& latencies = sum.latencies[static_cast<std::size_t>(api.key)];
        if (latencies.count() == 0) continue;
        latencies.render(out, kName, "api=\"" + std::string(api.name) + "\"");
    }
}

}  // namespace

void LatencyHistogram::add(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    sum_ns_ += other.sum_ns_;
}

std::uint64_t LatencyHistogram::count() const {
    std::uint64_t total = 0;
    for (const std::uint64_t count : counts_) total += count;
    return total;
}

void LatencyHistogram::render(std::string& out, std::string_view name,
                              std::string_view label) const {
    std::uint64_t below = 0;
    for (int i = 0; i < kBuckets; ++i) {
        below += counts_[static_cast<std::size_t>(i)];
        const double limit = static_cast<double>(std::uint64_t{1} << (kFirstBit + i)) * 1e-9;
        out.append(name).append("_bucket{").append(label).append(",le=\"");
        out.append(seconds_text(limit)).append("\"} ").append(std::to_string(below)).append("\n");
    }
    const std::string total = std::to_string(below + counts_.back());
    out.append(name).append("_bucket{").append(label).append(",le=\"+Inf\"} ");
    out.append(total).append("\n").append(name).append("_sum{").append(label).append("} ");
    out.append(seconds_text(static_cast<double>(sum_ns_) * 1e-9)).append("\n");
    out.append(name).append("_count{").append(label).append("} ").append(total).append("\n");
}

void CoreMetrics::add(const CoreMetrics& other) {
    for (std::size_t i = 0; i < requests.size(); ++i) requests[i] += other.requests[i];
    for (const Series& series : kSeries) this->*series.member += other.*series.member;
    for (const RefusalSeries& series : kRefusals) this->*series.member += other.*series.member;
    for (const ThrottleSeries& series : kThrottles) {
        (this->*series.member).requests += (other.*series.member).requests;
        (this->*series.member).milliseconds += (other.*series.member).milliseconds;
    }
    for (std::size_t i = 0; i < latencies.size(); ++i) latencies[i].add(other.latencies[i]);
}

std::string render_metrics(const CoreMetrics& sum) {
    std::string out;
    append_head(out, "dlog_requests_total", "counter", "Requests by API.");
    for (const ApiEntry& api : api_table()) {
        out.append("dlog_requests_total{api=\"").append(api.name).append("\"} ");
        out.append(std::to_string(sum.requests[static_cast<std::size_t>(api.key)])).append("\n");
    }
    for (const Series& series : kSeries) {
        append_head(out, series.name, series.type, series.help);
        out.append(series.name).append(" ").append(std::to_string(sum.*series.member));
        out.append("\n");
    }
    render_refusals(out, sum);
    render_throttles(out, sum);
    render_latencies(out, sum);
    return out;
}

}  // namespace dlog::broker
