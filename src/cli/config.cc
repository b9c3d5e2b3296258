#include "cli/config.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "cli/settings.h"
#include "client/admin.h"

namespace dlog::cli {

namespace {

/// Whose settings --topic or --broker names.
std::expected<client::ConfigTarget, std::string> target_of(const Invocation& invocation) {
    if (invocation.is_given("topic") == invocation.is_given("broker")) {
        return unexpected(
            "say whose settings: --topic NAME, --broker ID, or --broker default for every node");
    }
    if (invocation.is_given("topic")) {
        return client::ConfigTarget{client::ConfigTarget::Kind::kTopic, invocation.option("topic")};
    }
    std::string name = invocation.option("broker");
    if (name == "default") name.clear();
    return client::ConfigTarget{client::ConfigTarget::Kind::kBroker, std::move(name)};
}

struct GetPlan {
    client::ConfigTarget target;
    std::vector<std::string> names;  ///< Empty: all that are not at their defaults.
    bool shows_all = false;
    bool is_json = false;

    [[nodiscard]] bool shows(const client::Setting& setting) const {
        if (!names.empty()) return std::ranges::find(names, setting.name) != names.end();
        return shows_all || setting.origin != client::ConfigOrigin::kDefault;
    }
};

std::string setting_line(const client::Setting& setting) {
    return setting.name + " = " + setting.value.value_or("") + "  (" +
           std::string(origin_name(setting.origin)) + ")\n";
}

/// The first of `names` that is no setting there.
std::string absent_name(const std::vector<std::string>& names,
                        const std::vector<client::Setting>& settings) {
    for (const std::string& name : names) {
        if (std::ranges::find(settings, name, &client::Setting::name) == settings.end()) {
            return name;
        }
    }
    return {};
}

std::string absent_text(const std::string& absent, const client::ConfigTarget& target,
                        const std::vector<client::Setting>& settings) {
    std::vector<std::string> names;
    for (const client::Setting& setting : settings) names.push_back(setting.name);
    const std::string_view nearest = nearest_name(absent, names);
    std::string text = "there is no setting \"" + absent + "\" of " + target.text();
    if (!nearest.empty()) text += "; did you mean \"" + std::string(nearest) + "\"?";
    return text;
}

port::Task<int> get(Session& session, GetPlan plan) {
    const auto settings =
        co_await client::describe_settings(session.cluster, plan.target, session.deadline());
    if (!settings) co_return tell(settings.error());
    const std::string absent = absent_name(plan.names, *settings);
    // Of every node only what is set is told.
    if (!absent.empty() && !plan.target.name.empty()) {
        co_return tell(kFailed, absent_text(absent, plan.target, *settings));
    }
    std::string lines;
    std::vector<std::string> values;
    for (const client::Setting& setting : *settings) {
        if (!plan.shows(setting)) continue;
        lines += setting_line(setting);
        values.push_back(setting_json(setting));
    }
    static_cast<void>(write_out(plan.is_json ? json_array(values) + '\n' : lines));
    co_return kOk;
}

struct SetPlan {
    client::ConfigTarget target;
    std::vector<client::SettingChange> changes;
    bool validates_only = false;
    bool is_json = false;
};

std::expected<SetPlan, std::string> plan_set(const Invocation& invocation) {
    SetPlan plan{.validates_only = invocation.is_on("dry-run"),
                 .is_json = invocation.is_on("json")};
    DLOG_TRY_ASSIGN(plan.target, target_of(invocation));
    for (const std::string& text : invocation.arguments) {
        DLOG_TRY_ASSIGN(auto setting, parse_setting("", text));
        plan.changes.push_back({std::move(setting.first), std::move(setting.second)});
    }
    for (const std::string& name : invocation.all("delete")) {
        plan.changes.push_back({name, std::nullopt});
    }
    if (plan.changes.empty()) return unexpected("nothing to set: give KEY=VALUE or --delete KEY");
    return plan;
}

port::Task<int> set(Session& session, SetPlan plan) {
    std::vector<Outcome> outcomes;
    std::string name = plan.target.text();
    outcomes.push_back({std::move(name),
                        co_await client::alter_settings(session.cluster, plan.target, plan.changes,
                                                        plan.validates_only, session.deadline())});
    co_return report(outcomes, plan.validates_only ? "valid for" : "altered", plan.is_json);
}

}  // namespace

int config_get(const Invocation& invocation) {
    auto target = target_of(invocation);
    if (!target) return tell(kUsage, target.error());
    GetPlan plan{.target = *std::move(target),
                 .names = invocation.arguments,
                 .shows_all = invocation.is_on("all"),
                 .is_json = invocation.is_on("json")};
    return run_session(invocation, [&](Session& session) { return get(session, std::move(plan)); });
}

int config_set(const Invocation& invocation) {
    auto plan = plan_set(invocation);
    if (!plan) return tell(kUsage, plan.error());
    return run_session(invocation,
                       [&](Session& session) { return set(session, *std::move(plan)); });
}

}  // namespace dlog::cli
