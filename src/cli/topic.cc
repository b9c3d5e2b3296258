#include "cli/topic.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "cli/settings.h"
#include "client/admin.h"

namespace dlog::cli {

namespace {

using client::TopicInfoPtr;
using protocol::ErrorCode;

struct CreatePlan {
    std::vector<client::NewTopic> topics;
    bool may_exist = false;
    bool is_json = false;
};

std::expected<std::int32_t, std::string> partition_count(const Invocation& invocation) {
    DLOG_TRY_ASSIGN(const std::int64_t count,
                    whole_number("partitions", invocation.option("partitions"), 1, 10'000));
    return static_cast<std::int32_t>(count);
}

std::expected<CreatePlan, std::string> plan_create(const Invocation& invocation) {
    CreatePlan plan{.may_exist = invocation.is_on("if-not-exists"),
                    .is_json = invocation.is_on("json")};
    client::NewTopic model;
    if (invocation.is_given("partitions")) {
        DLOG_TRY_ASSIGN(model.partition_count, partition_count(invocation));
    }
    for (const std::string& text : invocation.all("config")) {
        DLOG_TRY_ASSIGN(auto setting, parse_setting("--config ", text));
        model.configs.push_back(std::move(setting));
    }
    for (const std::string& name : invocation.arguments) {
        plan.topics.push_back(model);
        plan.topics.back().name = name;
    }
    return plan;
}

/// `ignored` counts as done, and is not told.
std::vector<Outcome> told_outcomes(const std::vector<client::TopicOutcome>& outcomes,
                                   ErrorCode ignored) {
    std::vector<Outcome> told;
    for (const client::TopicOutcome& outcome : outcomes) {
        const bool is_ignored = !outcome.result && ignored != ErrorCode::kNone &&
                                outcome.result.error().code == ignored;
        if (!is_ignored) told.push_back({outcome.name, outcome.result});
    }
    return told;
}

port::Task<int> create(Session& session, CreatePlan plan) {
    const auto outcomes =
        co_await client::create_topics(session.cluster, std::move(plan.topics), session.deadline());
    if (!outcomes) co_return tell(outcomes.error());
    const ErrorCode ignored = plan.may_exist ? ErrorCode::kTopicAlreadyExists : ErrorCode::kNone;
    co_return report(told_outcomes(*outcomes, ignored), "created", plan.is_json);
}

port::Task<int> list(Session& session, bool shows_internal, bool is_json) {
    const auto topics = co_await session.cluster.all_topics(session.deadline());
    if (!topics) co_return tell(topics.error());
    std::vector<std::string> names;
    for (const TopicInfoPtr& topic : *topics) {
        if (shows_internal || !topic->is_internal) names.push_back(topic->name);
    }
    std::sort(names.begin(), names.end());
    std::string lines;
    std::vector<std::string> values;
    for (const std::string& name : names) {
        lines += name + '\n';
        values.push_back(json_string(name));
    }
    static_cast<void>(write_out(is_json ? json_array(values) + '\n' : lines));
    co_return kOk;
}

port::Task<int> remove(Session& session, std::vector<std::string> names, bool may_be_absent,
                       bool is_json) {
    const auto outcomes =
        co_await client::delete_topics(session.cluster, std::move(names), session.deadline());
    if (!outcomes) co_return tell(outcomes.error());
    const ErrorCode ignored =
        may_be_absent ? ErrorCode::kUnknownTopicOrPartition : ErrorCode::kNone;
    co_return report(told_outcomes(*outcomes, ignored), "deleted", is_json);
}

struct AlterPlan {
    std::vector<std::string> topics;
    std::vector<client::SettingChange> changes;
    std::optional<std::int32_t> partition_count;
    bool is_json = false;
};

std::expected<AlterPlan, std::string> plan_alter(const Invocation& invocation) {
    AlterPlan plan{.topics = invocation.arguments, .is_json = invocation.is_on("json")};
    if (invocation.is_given("partitions")) {
        DLOG_TRY_ASSIGN(plan.partition_count, partition_count(invocation));
    }
    for (const std::string& text : invocation.all("config")) {
        DLOG_TRY_ASSIGN(auto setting, parse_setting("--config ", text));
        plan.changes.push_back({std::move(setting.first), std::move(setting.second)});
    }
    for (const std::string& name : invocation.all("delete-config")) {
        plan.changes.push_back({name, std::nullopt});
    }
    if (plan.changes.empty() && !plan.partition_count) {
        return unexpected("nothing to alter: give --config, --delete-config or --partitions");
    }
    return plan;
}

port::Task<client::Result<void>> alter_one(Session& session, const AlterPlan* plan,
                                           std::string name) {
    const Instant deadline = session.deadline();
    if (!plan->changes.empty()) {
        DLOG_CO_TRY(co_await client::alter_settings(session.cluster,
                                                    {client::ConfigTarget::Kind::kTopic, name},
                                                    plan->changes, false, deadline));
    }
    if (plan->partition_count) {
        DLOG_CO_TRY(co_await client::create_partitions(session.cluster, name,
                                                       *plan->partition_count, deadline));
    }
    co_return client::Result<void>();
}

port::Task<int> alter(Session& session, AlterPlan plan) {
    std::vector<Outcome> outcomes;
    for (const std::string& name : plan.topics) {
        outcomes.push_back({name, co_await alter_one(session, &plan, name)});
    }
    co_return report(outcomes, "altered", plan.is_json);
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

std::string setting_lines(const std::vector<client::Setting>& settings) {
    std::string out;
    for (const client::Setting& setting : settings) {
        if (setting.origin == client::ConfigOrigin::kDefault) continue;
        const bool is_topics = setting.origin == client::ConfigOrigin::kTopic;
        out += "  " + setting.name + " = " + setting.value.value_or("") +
               (is_topics ? "\n" : "  (set for the whole node)\n");
    }
    return out.empty() ? "  settings: all at their defaults\n" : out;
}

/// What is told of one topic.
struct Description {
    TopicInfoPtr topic;
    std::vector<client::ListedOffset> first;
    std::vector<client::ListedOffset> last;
    std::vector<client::Setting> settings;

    [[nodiscard]] std::string text() const {
        return topic->name + "  id=" + topic_id_text(topic->id) +
               "  partitions=" + std::to_string(topic->partitions.size()) + '\n' +
               partition_table(*topic, first, last) + setting_lines(settings);
    }

    [[nodiscard]] std::string json() const {
        std::vector<std::string> partitions;
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            partitions.push_back(
                json_object({{"partition", std::to_string(i)},
                             {"leader", std::to_string(topic->partitions[i].leader.value)},
                             {"first_offset", std::to_string(first[i].offset.value)},
                             {"next_offset", std::to_string(last[i].offset.value)}}));
        }
        std::vector<std::string> values;
        for (const client::Setting& setting : settings) values.push_back(setting_json(setting));
        return json_object({{"name", json_string(topic->name)},
                            {"id", json_string(topic_id_text(topic->id))},
                            {"partitions", json_array(partitions)},
                            {"settings", json_array(values)}});
    }
};

port::Task<client::Result<Description>> describe_one(Session& session, std::string name) {
    client::Cluster& cluster = session.cluster;
    const Instant deadline = session.deadline();
    Description described;
    DLOG_CO_TRY_ASSIGN(described.topic, co_await cluster.topic(name, false, deadline));
    std::vector<std::int32_t> partitions;
    for (std::size_t i = 0; i < described.topic->partitions.size(); ++i) {
        partitions.push_back(static_cast<std::int32_t>(i));
    }
    DLOG_CO_TRY_ASSIGN(described.first,
                       co_await client::list_offsets(cluster, name, partitions,
                                                     client::kEarliestOffset, deadline));
    DLOG_CO_TRY_ASSIGN(
        described.last,
        co_await client::list_offsets(cluster, name, partitions, client::kLatestOffset, deadline));
    if (described.first.size() != partitions.size() || described.last.size() != partitions.size()) {
        co_return unexpected(
            client::Error{.kind = client::ErrorKind::kBadResponse, .detail = "ListOffsets"});
    }
    DLOG_CO_TRY_ASSIGN(described.settings,
                       co_await client::describe_settings(
                           cluster, {client::ConfigTarget::Kind::kTopic, name}, deadline));
    co_return described;
}

port::Task<int> describe(Session& session, std::vector<std::string> names, bool is_json) {
    int exit_code = kOk;
    std::string text;
    std::vector<std::string> values;
    for (const std::string& name : names) {
        const auto described = co_await describe_one(session, name);
        if (!described) {
            exit_code = tell(described.error());
            continue;
        }
        text += described->text();
        values.push_back(described->json());
    }
    static_cast<void>(write_out(is_json ? json_array(values) + '\n' : text));
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
    const bool is_json = invocation.is_on("json");
    return run_session(invocation,
                       [&](Session& session) { return list(session, shows_internal, is_json); });
}

int topic_describe(const Invocation& invocation) {
    const bool is_json = invocation.is_on("json");
    return run_session(invocation, [&](Session& session) {
        return describe(session, invocation.arguments, is_json);
    });
}

int topic_delete(const Invocation& invocation) {
    const bool may_be_absent = invocation.is_on("if-exists");
    const bool is_json = invocation.is_on("json");
    return run_session(invocation, [&](Session& session) {
        return remove(session, invocation.arguments, may_be_absent, is_json);
    });
}

int topic_alter(const Invocation& invocation) {
    auto plan = plan_alter(invocation);
    if (!plan) return tell(kUsage, plan.error());
    return run_session(invocation,
                       [&](Session& session) { return alter(session, *std::move(plan)); });
}

}  // namespace dlog::cli
