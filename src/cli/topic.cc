#include "cli/topic.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "client/admin.h"
#include "server/config.h"

namespace dlog::cli {

namespace {

using client::TopicInfoPtr;
using protocol::ErrorCode;

struct CreatePlan {
    std::vector<client::NewTopic> topics;
    bool may_exist = false;
};

/// "64MiB" as the number that brokers understand; anything else is left for the broker to judge.
std::string plain_bytes(const std::string& text) {
    const auto bytes = server::parse_bytes(text);
    return bytes ? std::to_string(*bytes) : text;
}

std::expected<CreatePlan, std::string> plan_create(const Invocation& invocation) {
    CreatePlan plan{.may_exist = invocation.is_on("if-not-exists")};
    client::NewTopic model;
    if (invocation.is_given("partitions")) {
        DLOG_TRY_ASSIGN(const std::int64_t count,
                        whole_number("partitions", invocation.option("partitions"), 1, 10'000));
        model.partition_count = static_cast<std::int32_t>(count);
    }
    for (const std::string& setting : invocation.all("config")) {
        const std::size_t equals = setting.find('=');
        if (equals == std::string::npos || equals == 0) {
            return unexpected("--config \"" + setting + "\" is not KEY=VALUE");
        }
        std::string name = setting.substr(0, equals);
        std::string value = setting.substr(equals + 1);
        if (name.ends_with(".bytes")) value = plain_bytes(value);
        model.configs.emplace_back(std::move(name), std::move(value));
    }
    for (const std::string& name : invocation.arguments) {
        plan.topics.push_back(model);
        plan.topics.back().name = name;
    }
    return plan;
}

/// Prints what became of each topic, and returns the worst exit code. `ignored` counts as done.
int report(const std::vector<client::TopicOutcome>& outcomes, std::string_view done,
           ErrorCode ignored) {
    int exit_code = kOk;
    for (const client::TopicOutcome& outcome : outcomes) {
        if (outcome.result) {
            static_cast<void>(write_out(std::string(done) + " " + outcome.name + "\n"));
        } else if (outcome.result.error().code != ignored || ignored == ErrorCode::kNone) {
            exit_code = tell(outcome.result.error());
        }
    }
    return exit_code;
}

port::Task<int> create(Session& session, CreatePlan plan) {
    const auto outcomes =
        co_await client::create_topics(session.cluster, std::move(plan.topics), session.deadline());
    if (!outcomes) co_return tell(outcomes.error());
    co_return report(*outcomes, "created",
                     plan.may_exist ? ErrorCode::kTopicAlreadyExists : ErrorCode::kNone);
}

port::Task<int> list(Session& session, bool shows_internal) {
    const auto topics = co_await session.cluster.all_topics(session.deadline());
    if (!topics) co_return tell(topics.error());
    std::vector<std::string> names;
    for (const TopicInfoPtr& topic : *topics) {
        if (shows_internal || !topic->is_internal) names.push_back(topic->name);
    }
    std::sort(names.begin(), names.end());
    std::string out;
    for (const std::string& name : names) out += name + '\n';
    static_cast<void>(write_out(out));
    co_return kOk;
}

port::Task<int> remove(Session& session, std::vector<std::string> names, bool may_be_absent) {
    const auto outcomes =
        co_await client::delete_topics(session.cluster, std::move(names), session.deadline());
    if (!outcomes) co_return tell(outcomes.error());
    co_return report(*outcomes, "deleted",
                     may_be_absent ? ErrorCode::kUnknownTopicOrPartition : ErrorCode::kNone);
}

/// A topic id as Kafka's tools print it: base64 with '-' and '_', without padding (RFC 4648 §5).
std::string topic_id_text(TopicId id) {
    static constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    for (int bit = 0; bit < 128; bit += 6) {
        unsigned digit = 0;
        for (int i = bit; i < bit + 6; ++i) {
            const std::uint64_t half = i < 64 ? id.high : id.low;
            const unsigned value = i < 128 ? (half >> (63 - i % 64)) & 1 : 0;
            digit = digit * 2 + value;
        }
        out += kDigits[digit];
    }
    return out;
}

std::string column(std::string text, std::size_t width) {
    if (text.size() < width) text.append(width - text.size(), ' ');
    return text;
}

std::string partition_table(const client::TopicInfo& topic,
                            const std::vector<client::ListedOffset>& first,
                            const std::vector<client::ListedOffset>& last) {
    std::string out = "  partition  leader  first offset          next offset           records\n";
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        const std::int64_t begin = first[i].offset.value;
        const std::int64_t end = last[i].offset.value;
        out += "  " + column(std::to_string(i), 11) +
               column(std::to_string(topic.partitions[i].leader.value), 8) +
               column(std::to_string(begin), 22) + column(std::to_string(end), 22) +
               std::to_string(end - begin) + '\n';
    }
    return out;
}

std::string setting_lines(const std::vector<client::TopicSetting>& settings) {
    std::string out;
    for (const client::TopicSetting& setting : settings) {
        if (setting.origin == client::ConfigOrigin::kDefault) continue;
        const bool is_topics = setting.origin == client::ConfigOrigin::kTopic;
        out += "  " + setting.name + " = " + setting.value.value_or("") +
               (is_topics ? "\n" : "  (set for the whole node)\n");
    }
    return out.empty() ? "  settings: all at their defaults\n" : out;
}

port::Task<client::Result<std::string>> describe_one(Session& session, std::string name) {
    client::Cluster& cluster = session.cluster;
    const Instant deadline = session.deadline();
    DLOG_CO_TRY_ASSIGN(const TopicInfoPtr topic, co_await cluster.topic(name, false, deadline));
    std::vector<std::int32_t> partitions;
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
        partitions.push_back(static_cast<std::int32_t>(i));
    }
    DLOG_CO_TRY_ASSIGN(const auto first,
                       co_await client::list_offsets(cluster, name, partitions,
                                                     client::kEarliestOffset, deadline));
    DLOG_CO_TRY_ASSIGN(
        const auto last,
        co_await client::list_offsets(cluster, name, partitions, client::kLatestOffset, deadline));
    if (first.size() != partitions.size() || last.size() != partitions.size()) {
        co_return unexpected(
            client::Error{.kind = client::ErrorKind::kBadResponse, .detail = "ListOffsets"});
    }
    DLOG_CO_TRY_ASSIGN(const auto settings,
                       co_await client::describe_topic_settings(cluster, name, deadline));
    co_return topic->name + "  id=" + topic_id_text(topic->id) +
        "  partitions=" + std::to_string(partitions.size()) + '\n' +
        partition_table(*topic, first, last) + setting_lines(settings);
}

port::Task<int> describe(Session& session, std::vector<std::string> names) {
    int exit_code = kOk;
    for (const std::string& name : names) {
        const auto text = co_await describe_one(session, name);
        if (text) {
            static_cast<void>(write_out(*text));
        } else {
            exit_code = tell(text.error());
        }
    }
    co_return exit_code;
}

}  // namespace

int topic_create(const Invocation& invocation) {
    auto plan = plan_create(invocation);
    if (!plan) return tell(kUsage, plan.error());
    return run_session(invocation,
                       [&](Session& session) { return create(session, *std::move(plan)); });
}

int topic_list(const Invocation& invocation) {
    const bool shows_internal = invocation.is_on("all");
    return run_session(invocation, [&](Session& session) { return list(session, shows_internal); });
}

int topic_describe(const Invocation& invocation) {
    return run_session(invocation,
                       [&](Session& session) { return describe(session, invocation.arguments); });
}

int topic_delete(const Invocation& invocation) {
    const bool may_be_absent = invocation.is_on("if-exists");
    return run_session(invocation, [&](Session& session) {
        return remove(session, invocation.arguments, may_be_absent);
    });
}

}  // namespace dlog::cli
