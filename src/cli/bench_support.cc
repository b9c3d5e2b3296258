#include "cli/bench_support.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/assert.h"
#include "base/result.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "client/admin.h"
#include "codec/compression.h"

namespace dlog::cli {

namespace {

constexpr Duration kInterval = seconds(1);

client::Acks acks_of(std::string_view text) {
    if (text == "0") return client::Acks::kNone;
    return text == "1" ? client::Acks::kLeader : client::Acks::kAll;
}

}  // namespace

std::expected<std::int64_t, std::string> number_of(const Invocation& invocation, const char* name,
                                                   std::int64_t least, std::int64_t greatest) {
    return whole_number(name, invocation.option(name), least, greatest);
}

namespace {

std::expected<client::ProducerConfig, std::string> producer_config(const Invocation& invocation) {
    client::ProducerConfig config;
    config.acks = acks_of(invocation.option("acks"));
    config.is_idempotent = invocation.is_on("idempotent") && config.acks == client::Acks::kAll;
    if (invocation.is_given("idempotent") && invocation.is_on("idempotent") &&
        !config.is_idempotent) {
        return unexpected<std::string>("--idempotent needs --acks all");
    }
    const auto codec = codec::compression_named(invocation.option("compression"));
    if (!codec) return unexpected<std::string>("--compression names no codec");
    config.compression = *codec;
    DLOG_TRY_ASSIGN(const std::int64_t batch,
                    number_of(invocation, "batch-size", 1, std::int64_t{16} << 20));
    config.batch_bytes_max = static_cast<std::size_t>(batch);
    config.request_bytes_max = std::max(config.request_bytes_max, config.batch_bytes_max);
    DLOG_TRY_ASSIGN(const std::int64_t linger, number_of(invocation, "linger-ms", 0, 60'000));
    config.linger = milliseconds(linger);
    return config;
}

}  // namespace

std::expected<Load, std::string> load_of(const Invocation& invocation, std::int64_t size_min,
                                         std::int64_t records_max) {
    Load load{.topic = invocation.arguments.front(),
              .is_json = invocation.is_on("json"),
              .is_quiet = invocation.is_on("quiet")};
    DLOG_TRY_ASSIGN(load.producer, producer_config(invocation));
    DLOG_TRY_ASSIGN(const std::int64_t records, number_of(invocation, "records", 1, records_max));
    load.records = static_cast<std::uint64_t>(records);
    DLOG_TRY_ASSIGN(const std::int64_t size, number_of(invocation, "size", size_min, 16 << 20));
    load.size = static_cast<std::size_t>(size);
    DLOG_TRY_ASSIGN(load.rate, number_of(invocation, "rate", 0, 1'000'000'000));
    return load;
}

port::Task<client::Result<client::TopicInfoPtr>> ensure_topic(Session& session, std::string topic,
                                                              std::int32_t partitions) {
    const Instant deadline = session.deadline();
    std::vector<client::NewTopic> wanted{{.name = topic, .partition_count = partitions}};
    DLOG_CO_TRY_ASSIGN(const auto outcomes, co_await client::create_topics(
                                                session.cluster, std::move(wanted), deadline));
    for (const client::TopicOutcome& outcome : outcomes) {
        if (!outcome.result &&
            outcome.result.error().code != protocol::ErrorCode::kTopicAlreadyExists) {
            co_return unexpected(outcome.result.error());
        }
    }
    co_return co_await session.cluster.topic(topic, false, deadline);
}

Payloads::Payloads(std::uint64_t seed, std::size_t size, std::int64_t compressible)
    : random_(seed),
      random_bytes_(size - size * static_cast<std::size_t>(compressible) / 100),
      value_(size, 'x') {
    DLOG_ASSERT(compressible >= 0 && compressible <= 100, compressible);
}

MutableBytes Payloads::next() {
    for (std::size_t at = 0; at < random_bytes_; at += 8) {
        const std::uint64_t word = random_.next();
        std::memcpy(value_.data() + at, &word, std::min<std::size_t>(8, random_bytes_ - at));
    }
    return value_;
}

double Throughput::records_per_second() const {
    return static_cast<double>(records) / std::max(elapsed.seconds(), 1e-9);
}

double Throughput::megabytes_per_second() const {
    return static_cast<double>(bytes) / 1e6 / std::max(elapsed.seconds(), 1e-9);
}

std::string Throughput::text() const {
    return std::to_string(records) + " records, " + decimal(records_per_second(), 1) +
           " records/s, " + decimal(megabytes_per_second(), 2) + " MB/s";
}

std::string decimal(double number, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, number);
    return text;
}

std::string ms_text(double ns) {
    return decimal(ns / 1e6, 3);
}

std::string latency_text(const Histogram& latencies) {
    std::string out;
    for (const auto& [name, percent] :
         {std::pair{"p50", 50.0}, {"p90", 90.0}, {"p99", 99.0}, {"p99.9", 99.9}}) {
        out += std::string(name) + ' ' +
               ms_text(static_cast<double>(latencies.percentile(percent))) + " ms, ";
    }
    return out + "max " + ms_text(static_cast<double>(latencies.max())) + " ms";
}

std::string latency_json(const Histogram& latencies) {
    const auto at = [&](double percent) {
        return ms_text(static_cast<double>(latencies.percentile(percent)));
    };
    return json_object({{"mean", ms_text(latencies.mean())},
                        {"p50", at(50)},
                        {"p90", at(90)},
                        {"p99", at(99)},
                        {"p99.9", at(99.9)},
                        {"max", ms_text(static_cast<double>(latencies.max()))}});
}

void BenchProgress::tick(Instant now) {
    if (!is_shown_ || now - last_ < kInterval) return;
    interval_.elapsed = now - last_;
    std::string line = decimal((now - start_).seconds(), 0) + " s: " + interval_.text();
    if (latencies_.count() > 0) line += ", " + latency_text(latencies_);
    std::fprintf(stderr, "%s\n", line.c_str());
    last_ = now;
    interval_ = {};
    latencies_.clear();
}

Instant Pace::due(std::uint64_t index, Instant now) const {
    if (rate_ == 0) return now;
    const double offset = static_cast<double>(index) * 1e9 / static_cast<double>(rate_);
    return start_ + nanoseconds(static_cast<std::int64_t>(offset));
}

}  // namespace dlog::cli
