#include "cli/consume.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/parse.h"
#include "cli/record_format.h"
#include "cli/session.h"
#include "cli/start_point.h"
#include "client/admin.h"
#include "client/fetcher.h"
#include "port/clock.h"
#include "record/error.h"
#include "record/reader.h"

namespace dlog::cli {

namespace {

constexpr std::size_t kOutputBytes = 64 << 10;

struct ConsumePlan {
    std::string topic;
    StartPoint start;
    std::vector<std::int32_t> partitions;
    RecordFormat format;
    bool follows = false;
    bool is_json = false;
    std::uint64_t count_max = UINT64_MAX;
};

std::expected<ConsumePlan, std::string> plan_consume(const Invocation& invocation, Timestamp now) {
    DLOG_TRY_ASSIGN(RecordFormat format, RecordFormat::parse(invocation.option("format")));
    ConsumePlan plan{.topic = invocation.arguments.front(), .format = std::move(format)};
    DLOG_TRY_ASSIGN(plan.start, parse_start_point(invocation.option("from"), now));
    for (const std::string& text : invocation.all("partition")) {
        DLOG_TRY_ASSIGN(const std::int64_t partition,
                        whole_number("partition", text, 0, INT32_MAX));
        plan.partitions.push_back(static_cast<std::int32_t>(partition));
    }
    plan.follows = invocation.is_on("follow");
    plan.is_json = invocation.is_on("json");
    if (plan.is_json && invocation.is_given("format")) {
        return unexpected<std::string>("--json and --format are two ways to print a record");
    }
    if (invocation.is_given("count")) {
        DLOG_TRY_ASSIGN(const std::int64_t count,
                        whole_number("count", invocation.option("count"), 0, INT64_MAX));
        plan.count_max = static_cast<std::uint64_t>(count);
    }
    return plan;
}

/// Where reading a partition begins and, without --follow, ends.
struct PartitionRange {
    Offset begin;
    Offset end;
};
using Ranges = std::map<std::int32_t, PartitionRange>;

std::vector<std::int32_t> all_partitions(const client::TopicInfo& topic) {
    std::vector<std::int32_t> partitions;
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        partitions.push_back(static_cast<std::int32_t>(i));
    }
    return partitions;
}

/// The begin of one partition within [first, last]. `at_time` is what ListOffsets said for --from
/// TIME.
Offset begin_of(const StartPoint& start, Offset first, Offset last, Offset at_time) {
    switch (start.kind) {
        case StartPoint::Kind::kBeginning:
            return first;
        case StartPoint::Kind::kEnd:
            return last;
        case StartPoint::Kind::kBeforeEnd:
            return start.number > last.since(first) ? first : last - start.number;
        case StartPoint::Kind::kOffset:
            return std::clamp(Offset{start.number}, first, last);
        case StartPoint::Kind::kTime:
            return at_time == kNoOffset ? last : at_time;
    }
    DLOG_UNREACHABLE();
}

/// Says so when the offset asked for is not there: reading begins at the nearest one.
void note_if_outside(const StartPoint& start, const client::ListedOffset& first,
                     const client::ListedOffset& last) {
    const Offset wanted{start.number};
    if (start.kind != StartPoint::Kind::kOffset) return;
    if (wanted >= first.offset && wanted <= last.offset) return;
    static_cast<void>(tell(kOk, "partition " + std::to_string(first.partition) + " has offsets " +
                                    std::to_string(first.offset.value) + " up to, not including, " +
                                    std::to_string(last.offset.value) +
                                    "; beginning at the nearest"));
}

port::Task<client::Result<Ranges>> find_ranges(Session& session, const ConsumePlan* plan) {
    client::Cluster& cluster = session.cluster;
    const Instant deadline = session.deadline();
    DLOG_CO_TRY_ASSIGN(const auto topic, co_await cluster.topic(plan->topic, false, deadline));
    const std::vector<std::int32_t> partitions =
        plan->partitions.empty() ? all_partitions(*topic) : plan->partitions;
    DLOG_CO_TRY_ASSIGN(const auto first,
                       co_await client::list_offsets(cluster, plan->topic, partitions,
                                                     client::kEarliestOffset, deadline));
    DLOG_CO_TRY_ASSIGN(const auto last,
                       co_await client::list_offsets(cluster, plan->topic, partitions,
                                                     client::kLatestOffset, deadline));
    std::vector<client::ListedOffset> at_time = last;
    if (plan->start.kind == StartPoint::Kind::kTime) {
        DLOG_CO_TRY_ASSIGN(at_time,
                           co_await client::list_offsets(cluster, plan->topic, partitions,
                                                         Timestamp{plan->start.number}, deadline));
    }
    if (first.size() != last.size() || last.size() != at_time.size()) {
        co_return unexpected(
            client::Error{.kind = client::ErrorKind::kBadResponse, .detail = "ListOffsets"});
    }
    Ranges ranges;
    for (std::size_t i = 0; i < first.size(); ++i) {
        note_if_outside(plan->start, first[i], last[i]);
        ranges[first[i].partition] = {
            .begin = begin_of(plan->start, first[i].offset, last[i].offset, at_time[i].offset),
            .end = last[i].offset};
    }
    co_return ranges;
}

/// Prints fetched records until the ranges or --count are used up.
class Printer {
  public:
    Printer(const ConsumePlan& plan, const Ranges& ranges) : plan_(plan), ranges_(ranges) {}

    /// The error: records that cannot be read.
    [[nodiscard]] client::Result<void> print(const client::Fetched& fetched) {
        for (const ByteView batch : fetched.batches) {
            DLOG_TRY(print_batch(fetched, batch));
            if (is_done()) break;
        }
        flush();
        return {};
    }
    /// Nothing more is wanted, or nobody reads.
    [[nodiscard]] bool is_done() const { return printed_ >= plan_.count_max || is_closed_; }
    /// Without --follow: the partition has been printed up to where it ended at the start.
    [[nodiscard]] bool is_at_end(std::int32_t partition, Offset position) const {
        return !plan_.follows && position >= ranges_.at(partition).end;
    }

  private:
    [[nodiscard]] client::Result<void> print_batch(const client::Fetched& fetched, ByteView batch) {
        auto reader = record::BatchReader::open(batch, scratch_);
        if (!reader) return unexpected(unreadable(fetched, reader.error()));
        if (reader->header().is_control()) return {};
        record::Record record;
        while (!is_done()) {
            const auto more = reader->next(record);
            if (!more) return unexpected(unreadable(fetched, more.error()));
            if (!*more || is_at_end(fetched.partition, record.offset)) return {};
            if (record.offset < fetched.from) continue;
            if (plan_.is_json) {
                out_ += record_json(fetched.topic, fetched.partition, record) + '\n';
            } else {
                plan_.format.append(out_, fetched.topic, fetched.partition, record);
            }
            ++printed_;
            if (out_.size() >= kOutputBytes) flush();
        }
        return {};
    }

    void flush() {
        if (!write_out(out_)) is_closed_ = true;
        out_.clear();
    }

    [[nodiscard]] static client::Error unreadable(const client::Fetched& fetched,
                                                  record::Error error) {
        return {.kind = client::ErrorKind::kCorrupt,
                .detail = fetched.topic + " partition " + std::to_string(fetched.partition) + ": " +
                          std::string(record::error_text(error))};
    }

    const ConsumePlan& plan_;
    const Ranges& ranges_;
    record::ReaderScratch scratch_;
    std::string out_;
    std::uint64_t printed_ = 0;
    bool is_closed_ = false;
};

port::Task<int> run_consume(Session& session, ConsumePlan plan) {
    const auto ranges = co_await find_ranges(session, &plan);
    if (!ranges) co_return tell(ranges.error());
    client::Fetcher fetcher(session.cluster, {});
    std::size_t open = 0;
    for (const auto& [partition, range] : *ranges) {
        if (!plan.follows && range.begin >= range.end) continue;
        fetcher.assign(plan.topic, partition, range.begin);
        ++open;
    }
    Printer printer(plan, *ranges);
    int exit_code = kOk;
    while (open > 0 && !printer.is_done()) {
        const auto polled = co_await fetcher.poll(session.deadline());
        if (!polled) {
            exit_code = tell(polled.error());
            break;
        }
        for (const client::Fetched& fetched : *polled) {
            const auto printed = printer.print(fetched);
            const bool is_broken = !printed || fetched.error.has_value();
            if (!printed) exit_code = tell(printed.error());
            if (fetched.error) exit_code = tell(*fetched.error);
            if (is_broken || printer.is_at_end(fetched.partition, fetched.next_offset)) {
                fetcher.unassign(fetched.topic, fetched.partition);
                --open;
            }
            if (printer.is_done()) break;
        }
    }
    co_await fetcher.close();
    co_return exit_code;
}

port::Task<int> plan_and_run(Session& session, const Invocation* invocation) {
    auto plan = plan_consume(*invocation, session.ports.clock.wall_now());
    if (!plan) co_return tell(kUsage, plan.error());
    co_return co_await run_consume(session, *std::move(plan));
}

}  // namespace

int consume(const Invocation& invocation) {
    return run_session(invocation,
                       [&](Session& session) { return plan_and_run(session, &invocation); });
}

}  // namespace dlog::cli
