/// What one core counts, and the text in which Prometheus reads it.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace dlog::broker {

/// Durations in buckets of powers of two, from 2^10 ns (1 us) to 2^34 ns (17 s).
class LatencyHistogram {
  public:
    static constexpr int kFirstBit = 10;
    static constexpr int kBuckets = 25;

    void record(Duration duration) {
        const auto ns = static_cast<std::uint64_t>(duration.ns < 0 ? 0 : duration.ns);
        // One that is exactly a limit lies below it, as Prometheus has it.
        const int bit = static_cast<int>(std::bit_width(ns > 0 ? ns - 1 : 0));
        const int bucket = bit <= kFirstBit ? 0 : bit - kFirstBit;
        ++counts_[static_cast<std::size_t>(bucket < kBuckets ? bucket : kBuckets)];
        sum_ns_ += ns;
    }
    void add(const LatencyHistogram& other);
    /// Lines `name_bucket`, `name_sum` and `name_count` with `label`, such as `api="Fetch"`.
    void render(std::string& out, std::string_view name, std::string_view label) const;
    [[nodiscard]] std::uint64_t count() const;

  private:
    std::array<std::uint64_t, kBuckets + 1> counts_{};  // the last: beyond all buckets
    std::uint64_t sum_ns_ = 0;
};

inline constexpr std::size_t kApiKeysMax = 128;

/// Answers that told a client to hold back, and for how long together.
struct ThrottleMetrics {
    std::uint64_t requests = 0;
    std::uint64_t milliseconds = 0;
};

/// Written by its core only; read by a coroutine that hops there.
struct CoreMetrics {
    std::array<std::uint64_t, kApiKeysMax> requests{};  // by API key
    std::uint64_t broken_requests = 0;
    std::uint64_t oversized_requests = 0;
    std::uint64_t request_bytes = 0;
    std::uint64_t response_bytes = 0;
    std::uint64_t connections_accepted = 0;
    std::uint64_t connections_moved = 0;
    std::uint64_t connections_over_max = 0;
    std::uint64_t connections_over_ip_max = 0;
    std::uint64_t connections_over_ip_rate = 0;
    std::uint64_t connections_delayed = 0;
    std::uint64_t stalled_connections = 0;
    std::uint64_t connections_open = 0;
    std::uint64_t produced_batches = 0;
    std::uint64_t produced_records = 0;
    std::uint64_t produced_bytes = 0;
    std::uint64_t produce_errors = 0;
    std::uint64_t fetched_bytes = 0;
    std::uint64_t fetch_errors = 0;
    std::uint64_t fetch_sessions = 0;
    std::uint64_t fetch_session_evictions = 0;
    std::uint64_t appended_batches = 0;
    std::uint64_t syncs = 0;
    std::uint64_t synced_partitions = 0;
    std::uint64_t write_failures = 0;
    std::uint64_t tail_bytes = 0;
    std::uint64_t partitions = 0;
    std::uint64_t segments = 0;
    std::uint64_t damaged_ranges = 0;
    std::uint64_t deleted_segments = 0;
    std::uint64_t groups = 0;
    std::uint64_t group_members = 0;
    std::uint64_t group_offsets = 0;
    std::uint64_t group_rebalances = 0;
    std::uint64_t cleaner_read_bytes = 0;
    std::uint64_t cleaner_written_bytes = 0;
    std::uint64_t cleaner_removed_records = 0;
    std::uint64_t cleaner_rounds = 0;
    std::uint64_t cleaner_failures = 0;
    std::uint64_t uncleanable_partitions = 0;
    ThrottleMetrics produce_throttles;
    ThrottleMetrics fetch_throttles;
    ThrottleMetrics request_time_throttles;
    ThrottleMetrics mutation_throttles;
    std::array<LatencyHistogram, kApiKeysMax> latencies;  // by API key

    void add(const CoreMetrics& other);
};

/// The sum of all cores as Prometheus' text format, version 0.0.4.
[[nodiscard]] std::string render_metrics(const CoreMetrics& sum);

}  // namespace dlog::broker
