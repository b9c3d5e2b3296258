/// DescribeConfigs: the settings of topics and of this broker, where each value comes from and what
/// it means.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker_config.h"
#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "metadata/topic_config.h"
#include "metadata/topic_name.h"
#include "protocol/messages/describe_configs.h"

namespace dlog::broker {

namespace {

using metadata::ConfigSource;
using protocol::DescribeConfigsRequest;
using protocol::DescribeConfigsResponse;
using protocol::ErrorCode;
using Answer = DescribeConfigsResponse::DescribeConfigsResult;
using Line = DescribeConfigsResponse::DescribeConfigsResourceResult;

// Kafka's ConfigResource types.
constexpr std::int8_t kTopicResource = 2;
constexpr std::int8_t kBrokerResource = 4;

bool is_asked(const DescribeConfigsRequest::DescribeConfigsResource& asked, std::string_view name) {
    return !asked.configuration_keys ||
           std::ranges::find(*asked.configuration_keys, name) != asked.configuration_keys->end();
}

void refuse(Answer& answer, ErrorCode code, std::string message) {
    answer.error_code = code;
    answer.error_message = std::move(message);
}

void describe_topic(const Core& core, const DescribeConfigsRequest& body,
                    const DescribeConfigsRequest::DescribeConfigsResource& asked, Answer& answer) {
    if (auto check = metadata::check_topic_name(asked.resource_name); !check) {
        return refuse(answer, ErrorCode::kInvalidTopicException, std::move(check.error()));
    }
    const TopicView* topic = core.view->find(asked.resource_name);
    if (topic == nullptr) {
        return refuse(answer, ErrorCode::kUnknownTopicOrPartition,
                      "There is no topic with this name.");
    }
    for (const metadata::TopicConfigDefinition& entry : metadata::topic_config_table()) {
        if (entry.is_hidden || !is_asked(asked, entry.definition.name)) continue;
        auto config =
            metadata::describe_topic_config(entry, topic->topic->configs, core.config.settings);
        Line& line = answer.configs.emplace_back();
        line.name = entry.definition.name;
        line.value = std::move(config.value);
        line.config_source = static_cast<std::int8_t>(config.source);
        line.config_type = static_cast<std::int8_t>(entry.definition.type);
        if (body.include_documentation) {
            line.documentation = std::string(entry.definition.documentation);
        }
        if (!body.include_synonyms) continue;
        for (auto& synonym : config.synonyms) {
            line.synonyms.push_back({.name = std::move(synonym.name),
                                     .value = std::move(synonym.value),
                                     .source = static_cast<std::int8_t>(synonym.source)});
        }
    }
}

Line broker_line(const BrokerSetting& setting, const metadata::ConfigMap& settings,
                 const DescribeConfigsRequest& body) {
    const std::string_view name = setting.definition.name;
    const auto found = settings.find(name);
    const bool is_set = found != settings.end();
    Line line;
    line.name = name;
    line.read_only = true;  // Set at the start, not while the node runs.
    line.config_source =
        static_cast<std::int8_t>(is_set ? ConfigSource::kStaticBroker : ConfigSource::kDefault);
    line.config_type = static_cast<std::int8_t>(setting.definition.type);
    line.value = std::nullopt;
    if (setting.has_default) line.value = std::string(setting.definition.default_value);
    if (is_set) line.value = found->second;
    if (body.include_documentation) {
        line.documentation = std::string(setting.definition.documentation);
    }
    if (!body.include_synonyms) return line;
    if (is_set) {
        line.synonyms.push_back({.name = std::string(name),
                                 .value = found->second,
                                 .source = static_cast<std::int8_t>(ConfigSource::kStaticBroker)});
    }
    if (setting.has_default) {
        line.synonyms.push_back({.name = std::string(name),
                                 .value = std::string(setting.definition.default_value),
                                 .source = static_cast<std::int8_t>(ConfigSource::kDefault)});
    }
    return line;
}

void describe_broker(const Core& core, const DescribeConfigsRequest& body,
                     const DescribeConfigsRequest::DescribeConfigsResource& asked, Answer& answer) {
    // The empty name stands for the defaults of the whole cluster that were set while it ran: none.
    if (asked.resource_name.empty()) return;
    if (asked.resource_name != std::to_string(core.config.node_id.value)) {
        return refuse(answer, ErrorCode::kInvalidRequest,
                      "This is node " + std::to_string(core.config.node_id.value) + ", not node " +
                          asked.resource_name + ".");
    }
    for (const BrokerSetting& setting : broker_settings()) {
        if (!is_asked(asked, setting.definition.name)) continue;
        answer.configs.push_back(broker_line(setting, core.config.settings, body));
    }
}

}  // namespace

port::Task<Response> handle_describe_configs(Request request) {
    const Core& core = *request.core;
    const auto body = decode_request<DescribeConfigsRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    DescribeConfigsResponse response;
    for (const auto& asked : body->resources) {
        Answer& answer = response.results.emplace_back();
        answer.error_message = std::nullopt;
        answer.resource_type = asked.resource_type;
        answer.resource_name = asked.resource_name;
        switch (asked.resource_type) {
            case kTopicResource:
                describe_topic(core, *body, asked, answer);
                break;
            case kBrokerResource:
                describe_broker(core, *body, asked, answer);
                break;
            default:
                refuse(answer, ErrorCode::kInvalidRequest,
                       "Only topics (2) and brokers (4) have a configuration here.");
        }
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
