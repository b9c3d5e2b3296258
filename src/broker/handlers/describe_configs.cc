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
#include "metadata/group_config.h"
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
constexpr std::int8_t kGroupResource = 32;

bool is_asked(const DescribeConfigsRequest::DescribeConfigsResource& asked, std::string_view name) {
    return !asked.configuration_keys ||
           std::ranges::find(*asked.configuration_keys, name) != asked.configuration_keys->end();
}

void refuse(Answer& answer, ErrorCode code, std::string message) {
    answer.error_code = code;
    answer.error_message = std::move(message);
}

void add_synonyms(Line& line, const std::vector<metadata::DescribedSynonym>& synonyms) {
    for (const metadata::DescribedSynonym& synonym : synonyms) {
        line.synonyms.push_back({.name = synonym.name,
                                 .value = synonym.value,
                                 .source = static_cast<std::int8_t>(synonym.source)});
    }
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
            metadata::describe_topic_config(entry, topic->topic->configs, core.view->broker());
        Line& line = answer.configs.emplace_back();
        line.name = entry.definition.name;
        line.value = std::move(config.value);
        line.config_source = static_cast<std::int8_t>(config.source);
        line.config_type = static_cast<std::int8_t>(entry.definition.type);
        if (body.include_documentation) {
            line.documentation = std::string(entry.definition.documentation);
        }
        if (body.include_synonyms) add_synonyms(line, config.synonyms);
    }
}

Line broker_line(const BrokerSetting& setting, const metadata::BrokerConfigs& configs,
                 const DescribeConfigsRequest& body) {
    const metadata::ConfigDefinition& definition = setting.definition;
    std::vector<metadata::DescribedSynonym> places = configs.places_of(definition.name);
    if (setting.has_default) {
        places.push_back({std::string(definition.name), std::string(definition.default_value)});
    }
    Line line;
    line.name = definition.name;
    line.read_only = !setting.is_dynamic;
    line.value = std::nullopt;
    line.config_source = static_cast<std::int8_t>(ConfigSource::kDefault);
    if (!places.empty()) {
        line.value = places.front().value;
        line.config_source = static_cast<std::int8_t>(places.front().source);
    }
    line.config_type = static_cast<std::int8_t>(definition.type);
    if (body.include_documentation) line.documentation = std::string(definition.documentation);
    if (body.include_synonyms) add_synonyms(line, places);
    return line;
}

/// There need be no group of the name: a setting may come first.
void describe_group(const Core& core, const DescribeConfigsRequest& body,
                    const DescribeConfigsRequest::DescribeConfigsResource& asked, Answer& answer) {
    if (asked.resource_name.empty()) {
        return refuse(answer, ErrorCode::kInvalidRequest, "Group name must not be empty.");
    }
    const metadata::ConfigMap& own = core.view->state().group_configs(asked.resource_name);
    for (const metadata::GroupConfigDefinition& entry : metadata::group_config_table()) {
        const std::string_view name = entry.definition.name;
        if (!is_asked(asked, name)) continue;
        const BrokerSetting* const setting =
            metadata::find_setting(broker_settings(), entry.node_setting);
        DLOG_ASSERT(setting != nullptr, entry.node_setting);
        Line line = broker_line(*setting, core.view->broker(), body);
        line.name = name;
        line.read_only = false;
        if (body.include_documentation) line.documentation = entry.definition.documentation;
        const auto found = own.find(name);
        if (found != own.end()) {
            line.value = found->second;
            line.config_source = static_cast<std::int8_t>(ConfigSource::kGroup);
            if (body.include_synonyms) {
                line.synonyms.insert(
                    line.synonyms.begin(),
                    {.name = found->first, .value = found->second, .source = line.config_source});
            }
        }
        answer.configs.push_back(std::move(line));
    }
}

/// What was set for every node while they ran, and nothing else.
void describe_every_node(const Core& core, const DescribeConfigsRequest& body,
                         const DescribeConfigsRequest::DescribeConfigsResource& asked,
                         Answer& answer) {
    const metadata::BrokerConfigs configs{.every_node = core.view->broker().every_node};
    for (const BrokerSetting& setting : broker_settings()) {
        const std::string_view name = setting.definition.name;
        if (!configs.every_node.contains(name) || !is_asked(asked, name)) continue;
        answer.configs.push_back(broker_line(setting, configs, body));
    }
}

void describe_broker(const Core& core, const DescribeConfigsRequest& body,
                     const DescribeConfigsRequest::DescribeConfigsResource& asked, Answer& answer) {
    if (asked.resource_name.empty()) return describe_every_node(core, body, asked, answer);
    if (asked.resource_name != std::to_string(core.config.node_id.value)) {
        return refuse(answer, ErrorCode::kInvalidRequest,
                      "This is node " + std::to_string(core.config.node_id.value) + ", not node " +
                          asked.resource_name + ".");
    }
    for (const BrokerSetting& setting : broker_settings()) {
        if (!is_asked(asked, setting.definition.name)) continue;
        answer.configs.push_back(broker_line(setting, core.view->broker(), body));
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
            case kGroupResource:
                describe_group(core, *body, asked, answer);
                break;
            default:
                refuse(answer, ErrorCode::kInvalidRequest,
                       "Only topics (2), brokers (4) and groups (32) have a configuration here.");
        }
    }
    co_return respond(request, response);
}

}  // namespace dlog::broker
