/// What the benchmarks share: their topic, their payloads, their numbers as text and as JSON.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/time.h"
#include "cli/histogram.h"
#include "client/cluster.h"
#include "client/error.h"
#include "client/producer.h"
#include "port/task.h"

namespace dlog::cli {

struct Invocation;
struct Session;

/// A whole number option.
[[nodiscard]] std::expected<std::int64_t, std::string> number_of(const Invocation& invocation,
                                                                 const char* name,
                                                                 std::int64_t least,
                                                                 std::int64_t greatest);

/// What every benchmark that writes is told.
struct Load {
    std::string topic;
    std::uint64_t records = 0;
    std::size_t size = 0;   ///< of a value
    std::int64_t rate = 0;  ///< records a second; 0: as fast as possible
    client::ProducerConfig producer;
    bool is_json = false;
    bool is_quiet = false;
};

/// The topic, --records, --size, --rate, --json, --quiet, --acks, --compression, --idempotent,
/// --batch-size and --linger-ms.
[[nodiscard]] std::expected<Load, std::string> load_of(const Invocation& invocation,
                                                       std::int64_t size_min,
                                                       std::int64_t records_max);

/// The topic, made with `partitions` partitions when it is not there.
[[nodiscard]] port::Task<client::Result<client::TopicInfoPtr>> ensure_topic(
    Session& session, std::string topic, std::int32_t partitions);

/// Record values that are the same at every run with the same seed.
class Payloads {
  public:
    /// `compressible` percent of each value, its end, is the same byte.
    Payloads(std::uint64_t seed, std::size_t size, std::int64_t compressible);
    /// Valid until the next call.
    [[nodiscard]] MutableBytes next();

  private:
    Random random_;
    std::size_t random_bytes_;
    std::vector<std::uint8_t> value_;
};

/// How much went through in which time.
struct Throughput {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;  ///< keys and values
    Duration elapsed;

    [[nodiscard]] double records_per_second() const;
    /// In 10^6 bytes.
    [[nodiscard]] double megabytes_per_second() const;
    /// "100000 records, 12345.6 records/s, 12.35 MB/s"
    [[nodiscard]] std::string text() const;
};

/// "1.234": milliseconds of a number of nanoseconds.
[[nodiscard]] std::string ms_text(double ns);
/// "p50 1.234 ms, …, max 12.345 ms"
[[nodiscard]] std::string latency_text(const Histogram& latencies);
/// {"mean":…,"p50":…,"p90":…,"p99":…,"p99.9":…,"max":…} in milliseconds.
[[nodiscard]] std::string latency_json(const Histogram& latencies);
/// A number with so many digits behind its point.
[[nodiscard]] std::string decimal(double number, int digits);

/// A line on standard error every second.
class BenchProgress {
  public:
    BenchProgress(bool is_shown, Instant start)
        : is_shown_(is_shown), start_(start), last_(start) {}
    void add(std::uint64_t records, std::uint64_t bytes) {
        interval_.records += records;
        interval_.bytes += bytes;
    }
    void add_latency(Duration latency) { latencies_.add(latency.ns); }
    /// Prints the line of the second that is over, if one is.
    void tick(Instant now);

  private:
    bool is_shown_;
    Instant start_;
    Instant last_;
    Throughput interval_;
    Histogram latencies_;
};

/// Begins with `start`, goes on at `rate` a second; 0: no rate.
class Pace {
  public:
    Pace(Instant start, std::int64_t rate) : start_(start), rate_(rate) {}
    /// When record number `index` is due; `now` without a rate.
    [[nodiscard]] Instant due(std::uint64_t index, Instant now) const;

  private:
    Instant start_;
    std::int64_t rate_;
};

}  // namespace dlog::cli
