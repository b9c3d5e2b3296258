#include "cli/group.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "cli/settings.h"
#include "cli/start_point.h"
#include "cli/table.h"
#include "client/admin.h"
#include "client/groups.h"
#include "port/clock.h"

namespace dlog::cli {

namespace {

using client::CommittedOffset;
using client::GroupDescription;
using client::MemberDescription;
using protocol::ErrorCode;

/// A partition of a topic.
using Place = std::pair<std::string, std::int32_t>;

// --- list

port::Task<int> list(Session& session, std::vector<std::string> states, bool is_json) {
    const auto groups =
        co_await client::list_groups(session.cluster, std::move(states), session.deadline());
    if (!groups) co_return tell(groups.error());
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string> values;
    for (const client::GroupSummary& group : *groups) {
        rows.push_back({group.id, group.state, group.type, group.protocol_type});
        values.push_back(json_object({{"id", json_string(group.id)},
                                      {"state", json_string(group.state)},
                                      {"type", json_string(group.type)},
                                      {"protocol_type", json_string(group.protocol_type)}}));
    }
    static_cast<void>(write_out(is_json ? json_array(values) + '\n' : table_text(rows)));
    co_return kOk;
}

// --- describe

/// How far a group has read a partition, and who reads it.
struct Progress {
    Place place;
    std::int64_t committed = -1;  ///< -1: nothing was committed
    std::int64_t end = 0;
    const MemberDescription* member = nullptr;

    [[nodiscard]] std::string lag_text() const {
        return committed < 0 ? "-" : std::to_string(std::max<std::int64_t>(end - committed, 0));
    }
};

/// The end of every partition of `places`, which are in order.
port::Task<client::Result<std::map<Place, std::int64_t>>> offsets_at(Session& session,
                                                                     std::set<Place> places,
                                                                     Timestamp time) {
    std::map<std::string, std::vector<std::int32_t>> partitions;
    for (const auto& [topic, partition] : places) partitions[topic].push_back(partition);
    std::map<Place, std::int64_t> offsets;
    for (auto& [topic, numbers] : partitions) {
        DLOG_CO_TRY_ASSIGN(const auto listed,
                           co_await client::list_offsets(session.cluster, topic, std::move(numbers),
                                                         time, session.deadline()));
        for (const client::ListedOffset& one : listed) {
            offsets[{topic, one.partition}] = one.offset.value;
        }
    }
    co_return offsets;
}

port::Task<client::Result<std::vector<Progress>>> progress_of(Session& session,
                                                              const GroupDescription* group) {
    DLOG_CO_TRY_ASSIGN(const auto committed, co_await client::committed_offsets(
                                                 session.cluster, group->id, session.deadline()));
    std::map<Place, Progress> known;
    std::set<Place> places;
    for (const CommittedOffset& one : committed) {
        known[{one.topic, one.partition}].committed = one.offset.value;
        places.insert({one.topic, one.partition});
    }
    for (const MemberDescription& member : group->members) {
        for (const auto& [topic, partitions] : member.assigned) {
            for (const std::int32_t partition : partitions) {
                known[{topic, partition}].member = &member;
                places.insert({topic, partition});
            }
        }
    }
    DLOG_CO_TRY_ASSIGN(const auto ends,
                       co_await offsets_at(session, std::move(places), client::kLatestOffset));
    std::vector<Progress> all;
    for (auto& [place, progress] : known) {
        const auto end = ends.find(place);
        progress.place = place;
        progress.end = end == ends.end() ? 0 : end->second;
        all.push_back(progress);
    }
    co_return all;
}

std::string describe_text(const GroupDescription& group, const std::vector<Progress>& all) {
    std::string out = group.id + "  state=" + group.state + "  type=" + group.type +
                      (group.assignor.empty() ? "" : "  assignor=" + group.assignor) +
                      "  members=" + std::to_string(group.members.size()) + '\n';
    std::vector<std::vector<std::string>> rows = {
        {"topic", "partition", "committed", "end", "lag", "member", "host"}};
    for (const Progress& one : all) {
        rows.push_back({one.place.first, std::to_string(one.place.second),
                        one.committed < 0 ? "-" : std::to_string(one.committed),
                        std::to_string(one.end), one.lag_text(),
                        one.member == nullptr ? "-" : one.member->id,
                        one.member == nullptr ? "-" : one.member->host});
    }
    return out + (all.empty() ? "  nothing is committed or assigned\n" : table_text(rows));
}

std::string describe_json(const GroupDescription& group, const std::vector<Progress>& all) {
    std::vector<std::string> members;
    for (const MemberDescription& member : group.members) {
        members.push_back(json_object(
            {{"id", json_string(member.id)},
             {"instance_id", member.instance_id ? json_string(*member.instance_id) : "null"},
             {"client_id", json_string(member.client_id)},
             {"host", json_string(member.host)}}));
    }
    std::vector<std::string> partitions;
    for (const Progress& one : all) {
        const bool is_known = one.committed >= 0;
        partitions.push_back(json_object(
            {{"topic", json_string(one.place.first)},
             {"partition", std::to_string(one.place.second)},
             {"committed", is_known ? std::to_string(one.committed) : "null"},
             {"end", std::to_string(one.end)},
             {"lag", is_known ? one.lag_text() : "null"},
             {"member", one.member == nullptr ? "null" : json_string(one.member->id)}}));
    }
    return json_object({{"id", json_string(group.id)},
                        {"state", json_string(group.state)},
                        {"type", json_string(group.type)},
                        {"assignor", json_string(group.assignor)},
                        {"members", json_array(members)},
                        {"partitions", json_array(partitions)}});
}

port::Task<int> describe(Session& session, std::vector<std::string> names, bool is_json) {
    int exit_code = kOk;
    std::vector<std::string> values;
    for (const std::string& name : names) {
        const auto group =
            co_await client::describe_group(session.cluster, name, session.deadline());
        if (!group) {
            exit_code = tell(group.error());
            continue;
        }
        const auto progress = co_await progress_of(session, &*group);
        if (!progress) {
            exit_code = tell(progress.error());
        } else if (is_json) {
            values.push_back(describe_json(*group, *progress));
        } else {
            static_cast<void>(write_out(describe_text(*group, *progress)));
        }
    }
    if (is_json) static_cast<void>(write_out(json_array(values) + '\n'));
    co_return exit_code;
}

// --- reset

struct ResetPlan {
    std::string group;
    /// Where to; not with `shift`.
    StartPoint to;
    std::optional<std::int64_t> shift;
    /// By topic; no partition named means all. Empty: everything that is committed.
    std::map<std::string, std::vector<std::int32_t>> topics;
    bool is_dry_run = false;
    bool is_json = false;
};

/// "orders" or "orders:0,2".
std::expected<void, std::string> add_topic(ResetPlan& plan, const std::string& text) {
    const std::size_t colon = text.find(':');
    std::vector<std::int32_t>& partitions = plan.topics[text.substr(0, colon)];
    if (colon == std::string::npos) return {};
    for (std::size_t begin = colon + 1; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        DLOG_TRY_ASSIGN(const std::int64_t number,
                        whole_number("topic", text.substr(begin, end - begin), 0, INT32_MAX));
        partitions.push_back(static_cast<std::int32_t>(number));
        begin = end + 1;
    }
    return {};
}

std::expected<ResetPlan, std::string> plan_reset(const Invocation& invocation) {
    ResetPlan plan{.group = invocation.arguments.front(),
                   .is_dry_run = invocation.is_on("dry-run"),
                   .is_json = invocation.is_on("json")};
    for (const std::string& topic : invocation.all("topic")) DLOG_TRY(add_topic(plan, topic));
    if (invocation.is_given("to") == invocation.is_given("shift")) {
        return unexpected(
            "say where to reset to: either --to beginning|end|end-N|OFFSET|TIME or --shift N");
    }
    if (invocation.is_given("shift")) {
        DLOG_TRY_ASSIGN(plan.shift,
                        whole_number("shift", invocation.option("shift"), INT64_MIN, INT64_MAX));
    }
    return plan;
}

struct Reset {
    Place place;
    std::int64_t from = -1;
    std::int64_t to = 0;
};

/// The partitions that the plan is about.
port::Task<client::Result<std::set<Place>>> places_of(Session& session, const ResetPlan* plan,
                                                      const std::map<Place, std::int64_t>* known) {
    std::set<Place> places;
    if (plan->topics.empty()) {
        for (const auto& [place, offset] : *known) places.insert(place);
        co_return places;
    }
    for (const auto& [name, partitions] : plan->topics) {
        for (const std::int32_t partition : partitions) places.insert({name, partition});
        if (!partitions.empty()) continue;
        DLOG_CO_TRY_ASSIGN(const client::TopicInfoPtr topic,
                           co_await session.cluster.topic(name, false, session.deadline()));
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            places.insert({name, static_cast<std::int32_t>(i)});
        }
    }
    co_return places;
}

std::int64_t target_of(const ResetPlan& plan, std::int64_t committed, std::int64_t begin,
                       std::int64_t end, std::int64_t at_time) {
    using Kind = StartPoint::Kind;
    std::int64_t target = begin;
    if (plan.shift) {
        if (__builtin_add_overflow(committed, *plan.shift, &target)) {
            target = *plan.shift < 0 ? begin : end;
        }
    } else if (plan.to.kind == Kind::kEnd) {
        target = end;
    } else if (plan.to.kind == Kind::kBeforeEnd) {
        target = end - std::min(plan.to.number, end);
    } else if (plan.to.kind == Kind::kOffset) {
        target = plan.to.number;
    } else if (plan.to.kind == Kind::kTime) {
        target = at_time < 0 ? end : at_time;
    }
    return std::clamp(target, begin, std::max(begin, end));
}

port::Task<client::Result<std::vector<Reset>>> resets_of(Session& session, const ResetPlan* plan) {
    DLOG_CO_TRY_ASSIGN(const auto committed, co_await client::committed_offsets(
                                                 session.cluster, plan->group, session.deadline()));
    std::map<Place, std::int64_t> known;
    for (const CommittedOffset& one : committed) {
        known[{one.topic, one.partition}] = one.offset.value;
    }
    DLOG_CO_TRY_ASSIGN(const std::set<Place> places, co_await places_of(session, plan, &known));
    DLOG_CO_TRY_ASSIGN(const auto begins,
                       co_await offsets_at(session, places, client::kEarliestOffset));
    DLOG_CO_TRY_ASSIGN(const auto ends,
                       co_await offsets_at(session, places, client::kLatestOffset));
    std::map<Place, std::int64_t> times;
    if (!plan->shift && plan->to.kind == StartPoint::Kind::kTime) {
        DLOG_CO_TRY_ASSIGN(times, co_await offsets_at(session, places, Timestamp{plan->to.number}));
    }
    std::vector<Reset> resets;
    for (const Place& place : places) {
        const auto from = known.find(place);
        const std::int64_t now = from == known.end() ? -1 : from->second;
        // What was never committed cannot be shifted.
        if (plan->shift && now < 0) continue;
        const auto time = times.find(place);
        resets.push_back({.place = place,
                          .from = now,
                          .to = target_of(*plan, now, begins.at(place), ends.at(place),
                                          time == times.end() ? -1 : time->second)});
    }
    co_return resets;
}

void print_resets(const ResetPlan& plan, const std::vector<Reset>& resets) {
    std::vector<std::vector<std::string>> rows = {{"topic", "partition", "from", "to"}};
    std::vector<std::string> values;
    for (const Reset& reset : resets) {
        const std::string from = std::to_string(reset.from);
        rows.push_back({reset.place.first, std::to_string(reset.place.second),
                        reset.from < 0 ? "-" : from, std::to_string(reset.to)});
        values.push_back(json_object({{"topic", json_string(reset.place.first)},
                                      {"partition", std::to_string(reset.place.second)},
                                      {"from", reset.from < 0 ? "null" : from},
                                      {"to", std::to_string(reset.to)}}));
    }
    const std::string text =
        plan.group + (plan.is_dry_run ? "  would be reset\n" : "  is reset\n") + table_text(rows);
    static_cast<void>(write_out(plan.is_json ? json_array(values) + '\n' : text));
}

port::Task<int> reset(Session& session, ResetPlan plan, std::string to) {
    if (!plan.shift) {
        const auto point = parse_start_point(to, session.ports.clock.wall_now());
        if (!point) co_return tell(kUsage, point.error());
        plan.to = *point;
    }
    const auto group =
        co_await client::describe_group(session.cluster, plan.group, session.deadline());
    if (!group && group.error().code != ErrorCode::kGroupIdNotFound) co_return tell(group.error());
    if (group && !group->members.empty()) {
        co_return tell(kFailed, "group " + plan.group + " has " +
                                    std::to_string(group->members.size()) +
                                    " members, which would go on where they are; stop them first "
                                    "(`dlog group describe " +
                                    plan.group + "` shows them)");
    }
    const auto resets = co_await resets_of(session, &plan);
    if (!resets) co_return tell(resets.error());
    if (resets->empty()) {
        co_return tell(kFailed, "group " + plan.group +
                                    " has committed nothing that could be reset; name what it is "
                                    "to begin with: --topic TOPIC --to WHERE");
    }
    if (!plan.is_dry_run) {
        std::vector<CommittedOffset> offsets;
        for (const Reset& one : *resets) {
            offsets.push_back({.topic = one.place.first,
                               .partition = one.place.second,
                               .offset = Offset(one.to)});
        }
        const auto committed =
            co_await client::commit_offsets(session.cluster, plan.group, client::Committer(),
                                            std::move(offsets), session.deadline());
        if (!committed) co_return tell(committed.error());
    }
    print_resets(plan, *resets);
    co_return kOk;
}

// --- delete

port::Task<int> remove(Session& session, std::vector<std::string> names, bool is_json) {
    std::vector<Outcome> outcomes;
    for (const std::string& name : names) {
        outcomes.push_back(
            {name, co_await client::delete_group(session.cluster, name, session.deadline())});
    }
    co_return report(outcomes, "deleted", is_json);
}

}  // namespace

int group_list(const Invocation& invocation) {
    return run_session(invocation, [&](Session& session) {
        return list(session, invocation.all("state"), invocation.is_on("json"));
    });
}

int group_describe(const Invocation& invocation) {
    return run_session(invocation, [&](Session& session) {
        return describe(session, invocation.arguments, invocation.is_on("json"));
    });
}

int group_reset(const Invocation& invocation) {
    auto plan = plan_reset(invocation);
    if (!plan) return tell(kUsage, plan.error());
    return run_session(invocation, [&](Session& session) {
        return reset(session, *std::move(plan), invocation.option("to"));
    });
}

int group_delete(const Invocation& invocation) {
    return run_session(invocation, [&](Session& session) {
        return remove(session, invocation.arguments, invocation.is_on("json"));
    });
}

}  // namespace dlog::cli
