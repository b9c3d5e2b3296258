#include "metadata/alter_configs.h"

#include <algorithm>
#include <expected>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "metadata/group_config.h"
#include "metadata/state.h"
#include "metadata/topic_config.h"
#include "metadata/topic_name.h"

namespace dlog::metadata {

using protocol::ErrorCode;

namespace {

/// Longer than any value that makes sense; a setting is kept in the memory of every node.
constexpr std::size_t kValueBytesMax = 32'767;

std::unexpected<Refusal> refuse(ErrorCode code, std::string message) {
    return std::unexpected(Refusal{code, std::move(message)});
}

/// What an operation on one setting needs to know of it.
struct Setting {
    ConfigType type = ConfigType::kString;
    std::string value_in_effect;
};

std::vector<std::string> parts_of(std::string_view list) {
    std::vector<std::string> parts;
    while (!trim(list).empty()) {
        const std::size_t comma = list.find(',');
        parts.emplace_back(trim(list.substr(0, comma)));
        list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    }
    return parts;
}

/// `list` with the words of `change` added or taken out.
std::string altered_list(std::string_view list, const ConfigChange& change) {
    std::vector<std::string> words = parts_of(list);
    for (std::string& word : parts_of(*change.value)) {
        const auto found = std::ranges::find(words, word);
        if (change.operation == ConfigOperation::kSubtract) {
            if (found != words.end()) words.erase(found);
        } else if (found == words.end()) {
            words.push_back(std::move(word));
        }
    }
    std::string joined;
    for (const std::string& word : words) {
        if (!joined.empty()) joined += ',';
        joined += word;
    }
    return joined;
}

/// What can be said of the changes without knowing the resource.
std::expected<void, Refusal> check_changes(const AlteredResource& resource) {
    std::set<std::string_view> names;
    for (const ConfigChange& change : resource.changes) {
        if (change.operation < ConfigOperation::kSet ||
            change.operation > ConfigOperation::kSubtract) {
            return refuse(ErrorCode::kInvalidRequest,
                          "Unknown operation " +
                              std::to_string(static_cast<int>(change.operation)) +
                              ": 0 sets, 1 deletes, 2 appends and 3 subtracts.");
        }
        if (!names.insert(change.name).second) {
            return refuse(ErrorCode::kInvalidRequest,
                          "Error due to duplicate config keys: " + change.name + ".");
        }
        if (change.operation == ConfigOperation::kDelete) continue;
        if (!change.value) {
            return refuse(ErrorCode::kInvalidRequest,
                          "Null value not supported for : " + change.name + ".");
        }
        if (change.value->size() > kValueBytesMax) {
            return refuse(ErrorCode::kInvalidRequest,
                          "The value for " + change.name + " is longer than " +
                              std::to_string(kValueBytesMax) + " bytes.");
        }
    }
    return {};
}

/// The value that a change sets; `find(name)` gives an optional Setting.
template <class Find>
std::expected<std::string, Refusal> changed_value(const ConfigChange& change, const Find& find) {
    if (change.operation == ConfigOperation::kSet) return *change.value;
    const std::optional<Setting> setting = find(change.name);
    if (!setting) return *change.value;  // The check of the whole resource names it.
    if (setting->type != ConfigType::kList) {
        return refuse(ErrorCode::kInvalidConfig, "Can't append to or subtract from " + change.name +
                                                     " because its type is not LIST.");
    }
    return altered_list(setting->value_in_effect, change);
}

/// The settings that a resource has after the changes.
template <class Find>
std::expected<ConfigMap, Refusal> changed(ConfigMap configs, const AlteredResource& resource,
                                          const Find& find) {
    for (const ConfigChange& change : resource.changes) {
        if (change.operation == ConfigOperation::kDelete) {
            configs.erase(change.name);
            continue;
        }
        auto value = changed_value(change, find);
        if (!value) return std::unexpected(std::move(value.error()));
        configs[change.name] = *std::move(value);
    }
    return configs;
}

/// Calls `record(name, value)` for everything that makes `now` into `next`.
template <class AddRecord>
void record_difference(const ConfigMap& now, const ConfigMap& next, const AddRecord& record) {
    for (const auto& [name, value] : now) {
        if (!next.contains(name)) record(name, std::optional<std::string>());
    }
    for (const auto& [name, value] : next) {
        const auto found = now.find(name);
        if (found == now.end() || found->second != value) record(name, std::optional(value));
    }
}

/// Of the partitions as they are and as they are to be.
std::size_t smallest_factor(const TopicState& topic) {
    std::size_t factor = kReplicationFactorMax;
    for (const PartitionState& partition : topic.partitions) {
        factor = std::min({factor, partition.replicas.size(), partition.wanted().size()});
    }
    return factor;
}

/// Decides one request, resource by resource; each sees what the accepted ones before it changed.
class Alteration {
  public:
    Alteration(const State& state, const AlterConfigs& request, const BrokerRules& rules)
        : state_(state),
          replaces_all_(request.replaces_all),
          rules_(rules),
          broker_(broker_configs(state, rules.node, rules.at_start)) {}

    [[nodiscard]] std::expected<void, Refusal> alter(const AlteredResource& resource) {
        if (auto check = check_changes(resource); !check) return check;
        switch (resource.type) {
            case ConfigResource::kTopic:
                return alter_topic(resource);
            case ConfigResource::kBroker:
                return alter_broker(resource);
            case ConfigResource::kGroup:
                return alter_group(resource);
        }
        return refuse(
            ErrorCode::kInvalidRequest,
            "Unknown resource type " + std::to_string(static_cast<int>(resource.type)) +
                ": only topics (2), brokers (4) and groups (32) have settings that can be "
                "altered.");
    }
    [[nodiscard]] std::vector<Record> take_records() { return std::move(records_); }

  private:
    std::expected<void, Refusal> alter_topic(const AlteredResource& resource) {
        if (auto check = check_topic_name(resource.name); !check) {
            return refuse(ErrorCode::kInvalidTopicException, std::move(check.error()));
        }
        const TopicPtr topic = state_.topic(resource.name);
        if (topic == nullptr) {
            return refuse(ErrorCode::kUnknownTopicOrPartition,
                          "There is no topic named '" + resource.name + "'.");
        }
        const auto find = [&](std::string_view name) -> std::optional<Setting> {
            const TopicConfigDefinition* entry = find_topic_config(name);
            if (entry == nullptr) return std::nullopt;
            return Setting{entry->definition.type,
                           describe_topic_config(*entry, topic->configs, broker_).value};
        };
        auto next = changed(replaces_all_ ? ConfigMap() : topic->configs, resource, find);
        if (!next) return std::unexpected(std::move(next.error()));
        if (auto check = check_topic_configs(*next, broker_.effective()); !check) {
            return refuse(ErrorCode::kInvalidConfig, std::move(check.error()));
        }
        if (auto check = check_write_quorum(*next, smallest_factor(*topic), rules_.is_clustered);
            !check) {
            return refuse(ErrorCode::kInvalidConfig, std::move(check.error()));
        }
        record_difference(topic->configs, *next, [&](const std::string& name, auto value) {
            TopicConfigRecord record;
            record.topic_id = topic->id;
            record.name = name;
            record.value = std::move(value);
            records_.emplace_back(std::move(record));
        });
        return {};
    }

    std::expected<void, Refusal> alter_broker(const AlteredResource& resource) {
        auto target = target_node(resource.name);
        if (!target) return std::unexpected(std::move(target.error()));
        const ConfigMap now = state_.broker_configs(*target);
        const auto find = [&](std::string_view name) -> std::optional<Setting> {
            const BrokerSetting* setting = find_setting(rules_.settings, name);
            if (setting == nullptr) return std::nullopt;
            const auto places = broker_.places_of(name);
            return Setting{setting->definition.type,
                           places.empty() ? std::string(setting->definition.default_value)
                                          : places.front().value};
        };
        auto next = changed(replaces_all_ ? ConfigMap() : now, resource, find);
        if (!next) return std::unexpected(std::move(next.error()));
        // Kafka answers INVALID_REQUEST, not INVALID_CONFIG, for a broker's settings (KAFKA-13609).
        const auto check = check_broker(*target, *next);
        if (!check) return refuse(ErrorCode::kInvalidRequest, check.error());
        record_difference(now, *next, [&](const std::string& name, auto value) {
            BrokerConfigRecord record;
            record.node_id = target->value;
            record.name = name;
            record.value = std::move(value);
            records_.emplace_back(std::move(record));
        });
        return {};
    }

    std::expected<void, Refusal> alter_group(const AlteredResource& resource) {
        if (resource.name.empty()) {
            return refuse(ErrorCode::kInvalidRequest, "Default group resources are not allowed.");
        }
        const ConfigMap now = state_.group_configs(resource.name);
        const auto find = [](std::string_view name) -> std::optional<Setting> {
            const GroupConfigDefinition* entry = find_group_config(name);
            if (entry == nullptr) return std::nullopt;
            return Setting{entry->definition.type, {}};
        };
        auto next = changed(replaces_all_ ? ConfigMap() : now, resource, find);
        if (!next) return std::unexpected(std::move(next.error()));
        const auto check = check_group_configs(*next, broker_.effective(), rules_.settings);
        if (!check) return refuse(ErrorCode::kInvalidConfig, check.error());
        record_difference(now, *next, [&](const std::string& name, auto value) {
            GroupConfigRecord record;
            record.group_id = resource.name;
            record.name = name;
            record.value = std::move(value);
            records_.emplace_back(std::move(record));
        });
        return {};
    }

    [[nodiscard]] std::expected<NodeId, Refusal> target_node(const std::string& name) const {
        if (name.empty()) return kEveryNode;
        const auto number = parse_integer(name);
        if (!number || std::to_string(*number) != name) {
            return refuse(ErrorCode::kInvalidRequest,
                          "Node id must be an integer, but it is: " + name.substr(0, 128));
        }
        if (*number != rules_.node.value) {
            return refuse(ErrorCode::kInvalidRequest, "Unexpected broker id, expected " +
                                                          std::to_string(rules_.node.value) +
                                                          " or empty string, but received " + name);
        }
        return rules_.node;
    }

    /// Takes `next` as the settings of `target` over when nothing speaks against it.
    std::expected<void, std::string> check_broker(NodeId target, const ConfigMap& next) {
        std::string fixed;
        for (const auto& [name, value] : next) {
            const BrokerSetting* setting = find_setting(rules_.settings, name);
            if (setting == nullptr) return std::unexpected(unknown_text(name));
            if (!setting->is_dynamic) {
                fixed += (fixed.empty() ? "" : ", ") + name;
                continue;
            }
            if (auto check = check_config(setting->definition, value); !check) return check;
        }
        if (!fixed.empty()) {
            return std::unexpected(
                "Cannot update these configs dynamically: " + fixed +
                ". They are given in the configuration file, at the next start.");
        }
        BrokerConfigs candidate = broker_;
        (target == kEveryNode ? candidate.every_node : candidate.own) = next;
        const ConfigMap effective = candidate.effective();
        if (auto check = check_topic_configs({}, effective); !check) return check;
        for (const auto& [name, topic] : state_.topics()) {
            if (auto check = check_topic_configs(topic->configs, effective); !check) {
                return std::unexpected("Topic '" + name + "' rules it out: " + check.error());
            }
        }
        broker_ = std::move(candidate);
        return {};
    }

    [[nodiscard]] std::string unknown_text(std::string_view name) const {
        std::vector<std::string> known;
        for (const BrokerSetting& setting : rules_.settings) {
            if (setting.is_dynamic) known.emplace_back(setting.definition.name);
        }
        return unknown_config_text("broker", name, known);
    }

    const State& state_;
    const bool replaces_all_;
    const BrokerRules& rules_;
    BrokerConfigs broker_;
    std::vector<Record> records_;
};

}  // namespace

Decision<AlterConfigsReply> decide(const State& state, const AlterConfigs& request,
                                   const BrokerRules& rules) {
    std::map<std::pair<ConfigResource, std::string_view>, int> times_named;
    for (const AlteredResource& resource : request.resources) {
        ++times_named[{resource.type, resource.name}];
    }
    Alteration alteration(state, request, rules);
    Decision<AlterConfigsReply> decision;
    for (const AlteredResource& resource : request.resources) {
        if (times_named[{resource.type, resource.name}] > 1) {
            decision.reply.push_back(
                {ErrorCode::kInvalidRequest, "Each resource must appear at most once."});
            continue;
        }
        auto outcome = alteration.alter(resource);
        decision.reply.push_back(outcome ? Refusal{} : std::move(outcome.error()));
    }
    if (!request.validate_only) decision.records = alteration.take_records();
    DLOG_ASSERT(decision.reply.size() == request.resources.size(), decision.reply.size());
    return decision;
}

BrokerConfigs broker_configs(const State& state, NodeId node, const ConfigMap& at_start) {
    DLOG_ASSERT(node != kEveryNode);
    return {.own = state.broker_configs(node),
            .every_node = state.broker_configs(kEveryNode),
            .at_start = at_start};
}

}  // namespace dlog::metadata
