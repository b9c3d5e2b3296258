#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench.h"
#include "cli/bench_support.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "client/admin.h"
#include "client/fetcher.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "port/sync.h"

namespace dlog::cli {

namespace {

/// A value begins with the run's number and the record's: others may write to the topic too.
constexpr std::size_t kMarkBytes = 16;

struct Plan : Load {
    std::int32_t partition = 0;
};

std::expected<Plan, std::string> plan_of(const Invocation& invocation) {
    Plan plan;
    DLOG_TRY_ASSIGN(static_cast<Load&>(plan),
                    load_of(invocation, static_cast<std::int64_t>(kMarkBytes), 100'000'000));
    DLOG_TRY_ASSIGN(const std::int64_t partition, number_of(invocation, "partition", 0, 9'999));
    plan.partition = static_cast<std::int32_t>(partition);
    return plan;
}

/// What the sender and the receiver share.
struct Race final : client::DeliveryListener {
    Race(Session& session_in, const Plan& plan_in)
        : session(session_in),
          plan(plan_in),
          run_id(session_in.cluster.random().next()),
          progress(!plan_in.is_quiet, session_in.ports.clock.now()) {}

    void delivered(const client::Delivery& delivery) override {
        if (delivery.error != nullptr) fail(*delivery.error);
    }
    void fail(const client::Error& error_in) {
        if (!error) error = error_in;
        changed.notify_all();
    }
    [[nodiscard]] bool is_over() const { return error || received == plan.records; }

    Session& session;
    const Plan& plan;
    std::uint64_t run_id;
    BenchProgress progress;
    /// By record number; kNever for those that are not sent yet or were received.
    std::vector<Instant> sent_at;
    std::uint64_t received = 0;
    Histogram latencies;
    std::optional<client::Error> error;
    bool is_receiver_gone = false;
    port::Notifier changed;
};

void take_record(Race& race, ByteView value, Instant now) {
    if (value.size() < kMarkBytes) return;
    std::uint64_t run_id = 0;
    std::uint64_t index = 0;
    std::memcpy(&run_id, value.data(), 8);
    std::memcpy(&index, value.data() + 8, 8);
    if (run_id != race.run_id || index >= race.sent_at.size()) return;
    if (race.sent_at[index] == kNever) return;
    const Duration latency = now - race.sent_at[index];
    race.sent_at[index] = kNever;
    race.latencies.add(latency.ns);
    race.progress.add(1, race.plan.size);
    race.progress.add_latency(latency);
    ++race.received;
}

client::Result<void> take(Race& race, const client::Fetched& fetched,
                          record::ReaderScratch& scratch) {
    const Instant now = race.session.ports.clock.now();
    if (fetched.error) return unexpected(*fetched.error);
    for (const ByteView batch : fetched.batches) {
        auto reader = record::BatchReader::open(batch, scratch);
        if (!reader) {
            return unexpected(
                client::Error{.kind = client::ErrorKind::kCorrupt, .detail = fetched.topic});
        }
        if (reader->header().is_control()) continue;
        record::Record record;
        for (auto more = reader->next(record); more && *more; more = reader->next(record)) {
            if (record.value) take_record(race, *record.value, now);
        }
    }
    race.progress.tick(now);
    return {};
}

port::Task<client::Result<void>> receive(Race* race, client::Fetcher* fetcher) {
    record::ReaderScratch scratch;
    port::Clock& clock = race->session.ports.clock;
    Instant heard_at = clock.now();
    while (!race->is_over()) {
        DLOG_CO_TRY_ASSIGN(const auto polled, co_await fetcher->poll(race->session.deadline()));
        const std::uint64_t before = race->received;
        for (const client::Fetched& fetched : polled) {
            DLOG_CO_TRY(take(*race, fetched, scratch));
        }
        const bool waits_in_vain =
            race->received < race->sent_at.size() && race->received == before;
        if (!waits_in_vain) {
            heard_at = clock.now();
        } else if (clock.now() - heard_at > race->session.timeout) {
            co_return unexpected(client::Error{.kind = client::ErrorKind::kTimedOut,
                                               .detail = "a record that was sent did not arrive"});
        }
        race->changed.notify_all();
    }
    co_return client::Result<void>();
}

port::Task<void> run_receiver(Race* race, client::Fetcher* fetcher) {
    const auto received = co_await receive(race, fetcher);
    race->is_receiver_gone = true;
    if (!received) race->fail(received.error());
    race->changed.notify_all();
}

/// With a rate, at that rate; without one, each when the one before has arrived.
port::Task<client::Result<void>> send_all(Race* race, client::Producer* producer) {
    port::Clock& clock = race->session.ports.clock;
    Payloads payloads(race->run_id, race->plan.size, 0);
    const Pace pace(clock.now(), race->plan.rate);
    for (std::uint64_t i = 0; i < race->plan.records && !race->error; ++i) {
        const Instant due = pace.due(i, clock.now());
        if (due > clock.now()) co_await port::SleepUntil(clock, due);
        const MutableBytes value = payloads.next();
        std::memcpy(value.data(), &race->run_id, 8);
        std::memcpy(value.data() + 8, &i, 8);
        race->sent_at.push_back(due);
        DLOG_CO_TRY(co_await producer->send({.topic = race->plan.topic,
                                             .partition = race->plan.partition,
                                             .value = ByteView(value)}));
        while (race->plan.rate == 0 && race->received <= i && !race->error) {
            co_await race->changed.wait();
        }
    }
    co_return client::Result<void>();
}

port::Task<client::Result<void>> assign_end(Session& session, const Plan* plan,
                                            client::Fetcher* fetcher) {
    DLOG_CO_TRY(co_await ensure_topic(session, plan->topic, plan->partition + 1));
    std::vector<std::int32_t> partitions{plan->partition};
    DLOG_CO_TRY_ASSIGN(const auto last,
                       co_await client::list_offsets(session.cluster, plan->topic, partitions,
                                                     client::kLatestOffset, session.deadline()));
    if (last.size() != 1) {
        co_return unexpected(
            client::Error{.kind = client::ErrorKind::kBadResponse, .detail = "ListOffsets"});
    }
    fetcher->assign(plan->topic, plan->partition, last.front().offset);
    co_return client::Result<void>();
}

port::Task<int> run(Session& session, Plan plan) {
    client::Fetcher fetcher(session.cluster, {});
    const auto assigned = co_await assign_end(session, &plan, &fetcher);
    if (!assigned) {
        co_await fetcher.close();
        co_return tell(assigned.error());
    }
    Race race(session, plan);
    plan.producer.delivery_timeout = session.timeout;
    client::Producer producer(session.cluster, plan.producer, race);
    producer.start();
    session.ports.spawn.spawn(run_receiver(&race, &fetcher));
    const auto sent = co_await send_all(&race, &producer);
    if (!sent) race.fail(sent.error());
    while (!race.is_receiver_gone) co_await race.changed.wait();
    co_await producer.close();
    co_await fetcher.close();
    if (race.error) co_return tell(*race.error);
    const std::string text = plan.is_json
                                 ? json_object({{"records", std::to_string(race.received)},
                                                {"latency_ms", latency_json(race.latencies)}}) +
                                       '\n'
                                 : std::to_string(race.received) +
                                       " records, latency: " + latency_text(race.latencies) + '\n';
    co_return write_out(text) ? kOk : kFailed;
}

}  // namespace

int bench_e2e(const Invocation& invocation) {
    auto plan = plan_of(invocation);
    if (!plan) return tell(kUsage, plan.error());
    return run_session(invocation,
                       [&](Session& session) { return run(session, *std::move(plan)); });
}

}  // namespace dlog::cli
