#include "cli/quota.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "client/quotas.h"
#include "server/config.h"

namespace dlog::cli {

namespace {

using client::QuotaEntity;

constexpr std::string_view kEntityTypes[] = {"user", "client-id", "ip"};

/// The parts that the options name; a usage error in words when one is named twice.
std::expected<QuotaEntity, std::string> entity_of(const Invocation& invocation) {
    QuotaEntity entity;
    for (const std::string_view type : kEntityTypes) {
        const std::string fallback = "default-" + std::string(type);
        const bool is_default = invocation.is_on(fallback);
        const std::vector<std::string> names = invocation.all(type);
        if (names.size() + (is_default ? 1U : 0U) > 1) {
            return std::unexpected("--" + std::string(type) + " and --" + fallback +
                                   " name one entity: give one of them, once");
        }
        if (is_default) entity.emplace_back(type, std::nullopt);
        for (const std::string& name : names) entity.emplace_back(type, name);
    }
    return entity;
}

std::expected<QuotaEntity, std::string> required_entity_of(const Invocation& invocation) {
    auto entity = entity_of(invocation);
    if (entity && entity->empty()) {
        return std::unexpected(
            "say whom it is for: --user, --client-id, both, or --ip, or one of the --default "
            "options");
    }
    return entity;
}

std::string entity_text(const QuotaEntity& entity) {
    std::string text;
    for (const auto& [type, name] : entity) {
        if (!text.empty()) text += ", ";
        text += name ? type + " " + *name : "default " + type;
    }
    return text;
}

std::string number_text(double value) {
    constexpr double kExactMax = 0x1p53;
    if (std::abs(value) < kExactMax && value == std::floor(value)) {
        return std::to_string(static_cast<std::int64_t>(value));
    }
    char text[64];
    const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
    DLOG_ASSERT(error == std::errc{});
    return {text, end};
}

/// "KEY=NUMBER"; the number of a byte rate may have a unit.
std::expected<std::pair<std::string, double>, std::string> parse_value(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
        return std::unexpected("\"" + text + "\" is not KEY=VALUE");
    }
    const std::string key = text.substr(0, equals);
    const std::string value = text.substr(equals + 1);
    if (key.ends_with("_byte_rate")) {
        const auto bytes = server::parse_bytes(value);
        if (!bytes) return std::unexpected(key + ": " + bytes.error());
        return std::pair(key, static_cast<double>(*bytes));
    }
    double number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size()) {
        return std::unexpected(key + ": \"" + value + "\" is not a number");
    }
    return std::pair(key, number);
}

std::string quota_json(const client::Quota& quota) {
    std::vector<std::string> parts;
    for (const auto& [type, name] : quota.entity) {
        parts.push_back(json_object(
            {{"type", json_string(type)}, {"name", name ? json_string(*name) : "null"}}));
    }
    std::vector<std::string> values;
    for (const auto& [key, value] : quota.values) {
        values.push_back(json_object({{"key", json_string(key)}, {"value", number_text(value)}}));
    }
    return json_object({{"entity", json_array(parts)}, {"values", json_array(values)}});
}

port::Task<int> list(Session& session, QuotaEntity parts, bool is_json) {
    const auto quotas =
        co_await client::describe_quotas(session.cluster, parts, false, session.deadline());
    if (!quotas) co_return tell(quotas.error());
    std::vector<std::string> objects;
    std::string lines;
    for (const client::Quota& quota : *quotas) {
        objects.push_back(quota_json(quota));
        lines += entity_text(quota.entity) + ":";
        for (const auto& [key, value] : quota.values) lines += " " + key + "=" + number_text(value);
        lines += '\n';
    }
    static_cast<void>(write_out(is_json ? json_array(objects) + "\n" : lines));
    co_return kOk;
}

port::Task<int> change(Session& session, client::QuotaChange change, std::string_view done,
                       bool is_json) {
    const std::string entity = entity_text(change.entity);
    std::vector<std::string> keys;
    for (const auto& [key, value] : change.values) keys.push_back(json_string(key));
    const auto outcome =
        co_await client::alter_quota(session.cluster, std::move(change), session.deadline());
    if (!outcome) co_return tell(outcome.error());
    static_cast<void>(write_out(is_json ? json_object({{std::string_view(done), json_array(keys)},
                                                       {"entity", json_string(entity)}}) +
                                              "\n"
                                        : std::string(done) + " " + entity + "\n"));
    co_return kOk;
}

/// Removes `keys`, or all that the entity has.
port::Task<int> remove(Session& session, QuotaEntity entity, std::vector<std::string> keys,
                       bool is_json) {
    const auto quotas =
        co_await client::describe_quotas(session.cluster, entity, true, session.deadline());
    if (!quotas) co_return tell(quotas.error());
    std::vector<std::string> present;
    for (const client::Quota& quota : *quotas) {
        for (const auto& [key, value] : quota.values) present.push_back(key);
    }
    for (const std::string& key : keys) {
        if (std::ranges::find(present, key) != present.end()) continue;
        co_return tell(kFailed, entity_text(entity) + " has no quota " + key);
    }
    if (present.empty()) co_return tell(kFailed, entity_text(entity) + " has no quota");
    client::QuotaChange removal{.entity = std::move(entity), .values = {}};
    for (const std::string& key : keys.empty() ? present : keys) {
        removal.values.emplace_back(key, std::nullopt);
    }
    co_return co_await change(session, std::move(removal), "deleted", is_json);
}

}  // namespace

int quota_list(const Invocation& invocation) {
    auto entity = entity_of(invocation);
    if (!entity) return tell(kUsage, entity.error());
    const bool is_json = invocation.is_on("json");
    return run_session(invocation,
                       [&](Session& session) { return list(session, *entity, is_json); });
}

int quota_set(const Invocation& invocation) {
    auto entity = required_entity_of(invocation);
    if (!entity) return tell(kUsage, entity.error());
    client::QuotaChange wanted{.entity = *std::move(entity), .values = {}};
    for (const std::string& text : invocation.arguments) {
        auto value = parse_value(text);
        if (!value) return tell(kUsage, value.error());
        wanted.values.emplace_back(std::move(value->first), value->second);
    }
    const bool is_json = invocation.is_on("json");
    return run_session(invocation, [&](Session& session) {
        return change(session, std::move(wanted), "set", is_json);
    });
}

int quota_delete(const Invocation& invocation) {
    auto entity = required_entity_of(invocation);
    if (!entity) return tell(kUsage, entity.error());
    const bool is_json = invocation.is_on("json");
    return run_session(invocation, [&](Session& session) {
        return remove(session, *entity, invocation.arguments, is_json);
    });
}

}  // namespace dlog::cli
