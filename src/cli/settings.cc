#include "cli/settings.h"

#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/session.h"
#include "protocol/error_code.h"
#include "server/config.h"

namespace dlog::cli {

namespace {

/// "64MiB" as the number that brokers understand; anything else is left for the broker to judge.
std::string plain_bytes(const std::string& text) {
    const auto bytes = server::parse_bytes(text);
    return bytes ? std::to_string(*bytes) : text;
}

std::string outcome_json(const Outcome& outcome, std::string_view done) {
    if (outcome.result) {
        return json_object({{"name", json_string(outcome.name)}, {"result", json_string(done)}});
    }
    const client::Error& error = outcome.result.error();
    return json_object({{"name", json_string(outcome.name)},
                        {"result", json_string("failed")},
                        {"error", json_string(protocol::error_code_name(error.code))},
                        {"message", json_string(error.text())}});
}

}  // namespace

std::expected<std::pair<std::string, std::string>, std::string> parse_setting(
    std::string_view option, const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        return std::unexpected(std::string(option) + "\"" + text + "\" is not KEY=VALUE");
    }
    std::string name = text.substr(0, equals);
    std::string value = text.substr(equals + 1);
    if (name.ends_with(".bytes")) value = plain_bytes(value);
    return std::pair{std::move(name), std::move(value)};
}

std::string_view origin_name(client::ConfigOrigin origin) {
    switch (origin) {
        case client::ConfigOrigin::kTopic:
            return "topic";
        case client::ConfigOrigin::kDynamicBroker:
            return "node";
        case client::ConfigOrigin::kDynamicDefaultBroker:
            return "every node";
        case client::ConfigOrigin::kStaticBroker:
            return "start";
        case client::ConfigOrigin::kDefault:
            return "default";
    }
    return "unknown";
}

std::string setting_json(const client::Setting& setting) {
    return json_object({{"name", json_string(setting.name)},
                        {"value", setting.value ? json_string(*setting.value) : "null"},
                        {"source", json_string(origin_name(setting.origin))},
                        {"read_only", json_bool(setting.is_read_only)}});
}

int report(const std::vector<Outcome>& outcomes, std::string_view done, bool is_json) {
    int exit_code = kOk;
    std::string lines;
    std::vector<std::string> values;
    for (const Outcome& outcome : outcomes) {
        if (is_json) values.push_back(outcome_json(outcome, done));
        if (outcome.result) {
            lines += std::string(done) + ' ' + outcome.name + '\n';
        } else {
            exit_code = tell(outcome.result.error());
        }
    }
    static_cast<void>(write_out(is_json ? json_array(values) + '\n' : lines));
    return exit_code;
}

}  // namespace dlog::cli
