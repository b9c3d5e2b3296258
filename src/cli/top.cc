#include "cli/top.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench_support.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "cli/table.h"
#include "client/admin.h"
#include "client/groups.h"
#include "port/clock.h"

namespace dlog::cli {

namespace {

/// To the upper left, and nothing below.
constexpr const char* kClear = "\x1b[H\x1b[2J";

struct TopicSample {
    std::size_t partitions = 0;
    std::int64_t records = 0;  ///< between the first and the last offsets
    std::vector<Offset> ends;  ///< by partition
};

struct GroupSample {
    std::string state;
    std::size_t members = 0;
    std::int64_t lag = 0;
};

struct Sample {
    Instant at;
    std::map<std::string, TopicSample> topics;
    std::map<std::string, GroupSample> groups;
};

port::Task<client::Result<TopicSample>> sample_topic(Session& session, client::TopicInfoPtr topic) {
    std::vector<std::int32_t> partitions;
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
        partitions.push_back(static_cast<std::int32_t>(i));
    }
    const Instant deadline = session.deadline();
    DLOG_CO_TRY_ASSIGN(const auto first,
                       co_await client::list_offsets(session.cluster, topic->name, partitions,
                                                     client::kEarliestOffset, deadline));
    DLOG_CO_TRY_ASSIGN(const auto last,
                       co_await client::list_offsets(session.cluster, topic->name, partitions,
                                                     client::kLatestOffset, deadline));
    if (first.size() != partitions.size() || last.size() != partitions.size()) {
        co_return unexpected(
            client::Error{.kind = client::ErrorKind::kBadResponse, .detail = "ListOffsets"});
    }
    TopicSample sample{.partitions = partitions.size()};
    for (std::size_t i = 0; i < first.size(); ++i) {
        sample.records += last[i].offset.since(first[i].offset);
        sample.ends.push_back(last[i].offset);
    }
    co_return sample;
}

port::Task<client::Result<GroupSample>> sample_group(Session& session, const Sample* sample,
                                                     std::string id) {
    const Instant deadline = session.deadline();
    DLOG_CO_TRY_ASSIGN(const auto group,
                       co_await client::describe_group(session.cluster, id, deadline));
    DLOG_CO_TRY_ASSIGN(const auto committed,
                       co_await client::committed_offsets(session.cluster, id, deadline));
    GroupSample out{.state = group.state, .members = group.members.size()};
    for (const client::CommittedOffset& offset : committed) {
        const auto topic = sample->topics.find(offset.topic);
        if (topic == sample->topics.end() || offset.partition < 0) continue;
        const auto partition = static_cast<std::size_t>(offset.partition);
        if (partition >= topic->second.ends.size()) continue;
        out.lag += std::max<std::int64_t>(0, topic->second.ends[partition].since(offset.offset));
    }
    co_return out;
}

/// A topic or group that goes away meanwhile is left out.
port::Task<client::Result<Sample>> take_sample(Session& session) {
    Sample sample{.at = session.ports.clock.now()};
    DLOG_CO_TRY_ASSIGN(const auto topics, co_await session.cluster.all_topics(session.deadline()));
    for (const client::TopicInfoPtr& topic : topics) {
        if (topic->is_internal) continue;
        auto one = co_await sample_topic(session, topic);
        if (one) sample.topics[topic->name] = *std::move(one);
    }
    DLOG_CO_TRY_ASSIGN(const auto groups,
                       co_await client::list_groups(session.cluster, {}, session.deadline()));
    for (const client::GroupSummary& group : groups) {
        auto one = co_await sample_group(session, &sample, group.id);
        if (one) sample.groups[group.id] = *std::move(one);
    }
    co_return sample;
}

/// Records that were written a second between two samples; 0 for a topic that is new.
double write_rate(const Sample& before, const Sample& now, const std::string& topic) {
    const auto earlier = before.topics.find(topic);
    if (earlier == before.topics.end()) return 0;
    const std::vector<Offset>& from = earlier->second.ends;
    const std::vector<Offset>& to = now.topics.at(topic).ends;
    std::int64_t written = 0;
    for (std::size_t i = 0; i < std::min(from.size(), to.size()); ++i) {
        written += std::max<std::int64_t>(0, to[i].since(from[i]));
    }
    return static_cast<double>(written) / std::max((now.at - before.at).seconds(), 1e-9);
}

/// How fast the lag grows (or, below 0, shrinks).
double lag_rate(const Sample& before, const Sample& now, const std::string& group) {
    const auto earlier = before.groups.find(group);
    if (earlier == before.groups.end()) return 0;
    const std::int64_t grown = now.groups.at(group).lag - earlier->second.lag;
    return static_cast<double>(grown) / std::max((now.at - before.at).seconds(), 1e-9);
}

std::string sample_text(const Sample& before, const Sample& now) {
    std::vector<std::vector<std::string>> topics{{"topic", "partitions", "records", "records/s"}};
    for (const auto& [name, topic] : now.topics) {
        topics.push_back({name, std::to_string(topic.partitions), std::to_string(topic.records),
                          decimal(write_rate(before, now, name), 1)});
    }
    std::vector<std::vector<std::string>> groups{{"group", "state", "members", "lag", "lag/s"}};
    for (const auto& [id, group] : now.groups) {
        groups.push_back({id, group.state, std::to_string(group.members), std::to_string(group.lag),
                          decimal(lag_rate(before, now, id), 1)});
    }
    return table_text(topics) + '\n' + table_text(groups);
}

std::string sample_json(const Sample& before, const Sample& now) {
    std::vector<std::string> topics;
    for (const auto& [name, topic] : now.topics) {
        topics.push_back(
            json_object({{"name", json_string(name)},
                         {"partitions", std::to_string(topic.partitions)},
                         {"records", std::to_string(topic.records)},
                         {"records_per_second", decimal(write_rate(before, now, name), 1)}}));
    }
    std::vector<std::string> groups;
    for (const auto& [id, group] : now.groups) {
        groups.push_back(json_object({{"id", json_string(id)},
                                      {"state", json_string(group.state)},
                                      {"members", std::to_string(group.members)},
                                      {"lag", std::to_string(group.lag)},
                                      {"lag_per_second", decimal(lag_rate(before, now, id), 1)}}));
    }
    return json_object({{"topics", json_array(topics)}, {"groups", json_array(groups)}});
}

port::Task<int> run(Session& session, Duration interval, std::int64_t count, bool is_json) {
    auto before = co_await take_sample(session);
    if (!before) co_return tell(before.error());
    for (std::int64_t i = 0; count == 0 || i < count; ++i) {
        co_await port::sleep_for(session.ports.clock, interval);
        auto now = co_await take_sample(session);
        if (!now) co_return tell(now.error());
        const std::string text = is_json ? sample_json(*before, *now) : sample_text(*before, *now);
        const bool clears = ::isatty(STDOUT_FILENO) != 0 && !is_json && count != 1;
        if (!write_out((clears ? kClear : "") + text + '\n')) co_return kFailed;
        before = std::move(now);
    }
    co_return kOk;
}

}  // namespace

int top(const Invocation& invocation) {
    const auto interval = number_of(invocation, "interval-ms", 10, 3'600'000);
    if (!interval) return tell(kUsage, interval.error());
    const auto count = number_of(invocation, "count", 0, INT64_MAX);
    if (!count) return tell(kUsage, count.error());
    const std::int64_t samples = invocation.is_on("once") ? 1 : *count;
    return run_session(invocation, [&](Session& session) {
        return run(session, milliseconds(*interval), samples, invocation.is_on("json"));
    });
}

}  // namespace dlog::cli
