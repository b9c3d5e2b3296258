#include <algorithm>
#include <map>
#include <optional>
#include <string>

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
#include "record/error.h"

namespace dlog::cli {

namespace {

struct Plan {
    std::string topic;
    std::uint64_t records_max = UINT64_MAX;
    bool is_json = false;
    bool is_quiet = false;
};

/// Counts the records that were asked for.
struct Counter {
    client::Result<void> take(const client::Fetched& fetched, Offset end, std::uint64_t max) {
        for (const ByteView batch : fetched.batches) {
            auto reader = record::BatchReader::open(batch, scratch);
            if (!reader) return unexpected(unreadable(fetched, reader.error()));
            if (reader->header().is_control()) continue;
            record::Record record;
            while (sum.records < max) {
                const auto more = reader->next(record);
                if (!more) return unexpected(unreadable(fetched, more.error()));
                if (!*more || record.offset >= end) break;
                if (record.offset < fetched.from) continue;
                ++sum.records;
                sum.bytes += record.key ? record.key->size() : 0;
                sum.bytes += record.value ? record.value->size() : 0;
            }
        }
        return {};
    }

    static client::Error unreadable(const client::Fetched& fetched, record::Error error) {
        return {.kind = client::ErrorKind::kCorrupt,
                .detail = fetched.topic + " partition " + std::to_string(fetched.partition) + ": " +
                          std::string(record::error_text(error))};
    }

    record::ReaderScratch scratch;
    Throughput sum;
    std::optional<Duration> first_record;
};

using Ends = std::map<std::int32_t, Offset>;

/// Assigns every partition that has records, and says where each ends now.
port::Task<client::Result<Ends>> assign(Session& session, std::string topic,
                                        client::Fetcher* fetcher) {
    client::Cluster& cluster = session.cluster;
    const Instant deadline = session.deadline();
    DLOG_CO_TRY_ASSIGN(const auto info, co_await cluster.topic(topic, false, deadline));
    std::vector<std::int32_t> partitions;
    for (std::size_t i = 0; i < info->partitions.size(); ++i) {
        partitions.push_back(static_cast<std::int32_t>(i));
    }
    DLOG_CO_TRY_ASSIGN(const auto first,
                       co_await client::list_offsets(cluster, topic, partitions,
                                                     client::kEarliestOffset, deadline));
    DLOG_CO_TRY_ASSIGN(
        const auto last,
        co_await client::list_offsets(cluster, topic, partitions, client::kLatestOffset, deadline));
    if (first.size() != last.size()) {
        co_return unexpected(
            client::Error{.kind = client::ErrorKind::kBadResponse, .detail = "ListOffsets"});
    }
    Ends ends;
    for (std::size_t i = 0; i < first.size(); ++i) {
        if (first[i].offset >= last[i].offset) continue;
        fetcher->assign(topic, first[i].partition, first[i].offset);
        ends[first[i].partition] = last[i].offset;
    }
    co_return ends;
}

port::Task<client::Result<void>> read_through(Session& session, client::Fetcher& fetcher,
                                              const Plan* plan, Counter* counter,
                                              BenchProgress* progress) {
    port::Clock& clock = session.ports.clock;
    const Instant start = clock.now();
    DLOG_CO_TRY_ASSIGN(Ends ends, co_await assign(session, plan->topic, &fetcher));
    while (!ends.empty() && counter->sum.records < plan->records_max) {
        DLOG_CO_TRY_ASSIGN(const auto polled, co_await fetcher.poll(session.deadline()));
        for (const client::Fetched& fetched : polled) {
            if (fetched.error) co_return unexpected(*fetched.error);
            const auto end = ends.find(fetched.partition);
            if (end == ends.end()) continue;
            const Throughput before = counter->sum;
            DLOG_CO_TRY(counter->take(fetched, end->second, plan->records_max));
            if (counter->sum.records > 0 && !counter->first_record) {
                counter->first_record = clock.now() - start;
            }
            progress->add(counter->sum.records - before.records, counter->sum.bytes - before.bytes);
            if (fetched.next_offset >= end->second) {
                fetcher.unassign(fetched.topic, fetched.partition);
                ends.erase(end);
            }
        }
        progress->tick(clock.now());
    }
    counter->sum.elapsed = clock.now() - start;
    co_return client::Result<void>();
}

port::Task<client::Result<void>> read_all(Session& session, const Plan* plan, Counter* counter,
                                          BenchProgress* progress) {
    client::Fetcher fetcher(session.cluster, {});
    auto result = co_await read_through(session, fetcher, plan, counter, progress);
    co_await fetcher.close();
    co_return result;
}

port::Task<int> run(Session& session, Plan plan) {
    BenchProgress progress(!plan.is_quiet, session.ports.clock.now());
    Counter counter;
    const auto read = co_await read_all(session, &plan, &counter, &progress);
    if (!read) co_return tell(read.error());
    const Throughput& sum = counter.sum;
    const std::string first =
        counter.first_record ? ms_text(static_cast<double>(counter.first_record->ns)) : "null";
    if (plan.is_json) {
        const std::string text =
            json_object({{"records", std::to_string(sum.records)},
                         {"bytes", std::to_string(sum.bytes)},
                         {"seconds", decimal(sum.elapsed.seconds(), 6)},
                         {"records_per_second", decimal(sum.records_per_second(), 1)},
                         {"mb_per_second", decimal(sum.megabytes_per_second(), 3)},
                         {"first_record_ms", first}});
        co_return write_out(text + '\n') ? kOk : kFailed;
    }
    std::string text = sum.text() + '\n';
    if (counter.first_record) text += "first record after " + first + " ms\n";
    co_return write_out(text) ? kOk : kFailed;
}

}  // namespace

int bench_consume(const Invocation& invocation) {
    Plan plan{.topic = invocation.arguments.front(),
              .is_json = invocation.is_on("json"),
              .is_quiet = invocation.is_on("quiet")};
    if (invocation.is_given("records")) {
        const auto records = number_of(invocation, "records", 1, INT64_MAX);
        if (!records) return tell(kUsage, records.error());
        plan.records_max = static_cast<std::uint64_t>(*records);
    }
    return run_session(invocation, [&](Session& session) { return run(session, std::move(plan)); });
}

}  // namespace dlog::cli
