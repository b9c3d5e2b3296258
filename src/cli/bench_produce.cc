#include <optional>
#include <string>

#include "base/result.h"
#include "cli/bench.h"
#include "cli/bench_support.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "port/clock.h"
#include "port/spawn.h"

namespace dlog::cli {

namespace {

/// So many bytes are handed to the producer before others have a turn.
constexpr std::size_t kTurnBytes = 64 << 10;

struct Plan : Load {
    std::int32_t partitions = 1;
    std::int32_t partition = -1;
    std::uint64_t key_count = 0;
    std::uint64_t seed = 1;
    std::int64_t compressible = 0;
};

std::expected<Plan, std::string> plan_of(const Invocation& invocation) {
    Plan plan;
    DLOG_TRY_ASSIGN(static_cast<Load&>(plan), load_of(invocation, 0, 1'000'000'000'000));
    DLOG_TRY_ASSIGN(const std::int64_t partitions, number_of(invocation, "partitions", 1, 10'000));
    plan.partitions = static_cast<std::int32_t>(partitions);
    DLOG_TRY_ASSIGN(plan.compressible, number_of(invocation, "compressible", 0, 100));
    DLOG_TRY_ASSIGN(const std::int64_t seed, number_of(invocation, "seed", 0, INT64_MAX));
    plan.seed = static_cast<std::uint64_t>(seed);
    DLOG_TRY_ASSIGN(const std::int64_t keys, number_of(invocation, "key-count", 0, INT64_MAX));
    plan.key_count = static_cast<std::uint64_t>(keys);
    if (invocation.is_given("partition")) {
        DLOG_TRY_ASSIGN(const std::int64_t partition,
                        number_of(invocation, "partition", 0, INT32_MAX));
        plan.partition = static_cast<std::int32_t>(partition);
    }
    return plan;
}

/// Measures each record from when it was due, so that a node that stalls is charged for the records
/// that it kept from being sent.
struct Meter final : client::DeliveryListener {
    Meter(port::Clock& clock_in, BenchProgress& progress_in, std::size_t size_in)
        : clock(clock_in), progress(progress_in), size(size_in) {}

    void delivered(const client::Delivery& delivery) override {
        if (delivery.error != nullptr) {
            failed += delivery.tags.size();
            if (!first_error) first_error = *delivery.error;
            return;
        }
        const Instant now = clock.now();
        for (const std::uint64_t tag : delivery.tags) {
            const Duration latency = now - Instant{static_cast<std::int64_t>(tag)};
            latencies.add(latency.ns);
            progress.add_latency(latency);
        }
        sum.records += delivery.tags.size();
        sum.bytes += delivery.tags.size() * size;
        progress.add(delivery.tags.size(), delivery.tags.size() * size);
        progress.tick(now);
    }

    port::Clock& clock;
    BenchProgress& progress;
    std::size_t size;
    Throughput sum;
    Histogram latencies;
    std::uint64_t failed = 0;
    std::optional<client::Error> first_error;
};

port::Task<client::Result<void>> send_all(Session& session, const Plan* plan,
                                          client::Producer* producer, const Meter* meter) {
    port::Clock& clock = session.ports.clock;
    Payloads payloads(plan->seed, plan->size, plan->compressible);
    Random keys(plan->seed + 1);
    const Pace pace(clock.now(), plan->rate);
    std::string key;
    std::size_t turn_bytes = 0;
    for (std::uint64_t i = 0; i < plan->records && !meter->first_error; ++i) {
        const Instant due = pace.due(i, clock.now());
        if (due > clock.now()) co_await port::SleepUntil(clock, due);
        client::ProducerRecord record{.topic = plan->topic,
                                      .partition = plan->partition,
                                      .value = ByteView(payloads.next()),
                                      .tag = static_cast<std::uint64_t>(due.ns)};
        if (plan->key_count > 0) {
            key = "key-" + std::to_string(keys.below(plan->key_count));
            record.key = as_bytes(key);
        }
        DLOG_CO_TRY_ASSIGN(const bool is_taken, producer->try_send(record));
        if (!is_taken) DLOG_CO_TRY(co_await producer->send(record));
        turn_bytes += plan->size + 1;
        if (turn_bytes >= kTurnBytes) {
            turn_bytes = 0;
            co_await port::yield(session.ports.spawn);
        }
    }
    co_return client::Result<void>();
}

bool print_summary(const Plan& plan, const Meter& meter) {
    if (plan.is_json) {
        return write_out(
            json_object({{"records", std::to_string(meter.sum.records)},
                         {"failed", std::to_string(meter.failed)},
                         {"bytes", std::to_string(meter.sum.bytes)},
                         {"seconds", decimal(meter.sum.elapsed.seconds(), 6)},
                         {"records_per_second", decimal(meter.sum.records_per_second(), 1)},
                         {"mb_per_second", decimal(meter.sum.megabytes_per_second(), 3)},
                         {"latency_ms", latency_json(meter.latencies)}}) +
            '\n');
    }
    return write_out(meter.sum.text() + "\nlatency: " + latency_text(meter.latencies) + '\n');
}

port::Task<int> run(Session& session, Plan plan) {
    const auto topic = co_await ensure_topic(session, plan.topic, plan.partitions);
    if (!topic) co_return tell(topic.error());
    if (plan.partition >= static_cast<std::int64_t>((*topic)->partitions.size())) {
        co_return tell(kFailed, plan.topic + " has no partition " + std::to_string(plan.partition));
    }
    const Instant start = session.ports.clock.now();
    BenchProgress progress(!plan.is_quiet, start);
    Meter meter(session.ports.clock, progress, plan.size);
    plan.producer.delivery_timeout = session.timeout;
    client::Producer producer(session.cluster, plan.producer, meter);
    producer.start();
    const auto sent = co_await send_all(session, &plan, &producer, &meter);
    co_await producer.flush();
    meter.sum.elapsed = session.ports.clock.now() - start;
    co_await producer.close();
    const bool is_read = print_summary(plan, meter);
    if (!sent) co_return tell(sent.error());
    if (meter.failed > 0) {
        static_cast<void>(
            tell(kFailed, std::to_string(meter.failed) + " records were not delivered"));
        co_return tell(*meter.first_error);
    }
    co_return is_read ? kOk : kFailed;
}

}  // namespace

int bench_produce(const Invocation& invocation) {
    auto plan = plan_of(invocation);
    if (!plan) return tell(kUsage, plan.error());
    return run_session(invocation,
                       [&](Session& session) { return run(session, *std::move(plan)); });
}

}  // namespace dlog::cli
