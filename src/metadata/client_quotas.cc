#include "metadata/client_quotas.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/assert.h"
#include "metadata/state.h"

namespace dlog::metadata {

using protocol::ErrorCode;

namespace {

constexpr std::string_view kTypeNames[] = {"user", "client-id", "ip"};

std::unexpected<Refusal> refuse(std::string message) {
    return std::unexpected(Refusal{ErrorCode::kInvalidRequest, std::move(message)});
}

}  // namespace

std::string_view entity_type_name(QuotaEntityType type) {
    const auto index = static_cast<std::size_t>(type);
    DLOG_ASSERT(index < std::size(kTypeNames), index);
    return kTypeNames[index];
}

std::optional<QuotaEntityType> parse_entity_type(std::string_view name) {
    for (std::size_t i = 0; i < std::size(kTypeNames); ++i) {
        if (kTypeNames[i] == name) return static_cast<QuotaEntityType>(i);
    }
    return std::nullopt;
}

std::string entity_text(const QuotaEntity& entity) {
    std::string text;
    for (const auto& [type, name] : entity) {
        if (!text.empty()) text += ", ";
        const std::string_view type_name = entity_type_name(type);
        if (name) {
            text.append(type_name).append(" '").append(*name).append("'");
        } else {
            text.append("default ").append(type_name);
        }
    }
    return text;
}

// ---- the table ----

void ClientQuotas::set(const QuotaEntity& entity, const std::string& key, double value) {
    DLOG_ASSERT(!entity.empty());
    entries_[entity][key] = value;
}

void ClientQuotas::remove(const QuotaEntity& entity, const std::string& key) {
    const auto found = entries_.find(entity);
    if (found == entries_.end()) return;
    found->second.erase(key);
    if (found->second.empty()) entries_.erase(found);
}

const QuotaValues* ClientQuotas::values_of(const QuotaEntity& entity) const {
    const auto found = entries_.find(entity);
    return found == entries_.end() ? nullptr : &found->second;
}

std::optional<double> ClientQuotas::value(const QuotaEntity& entity, std::string_view key) const {
    const QuotaValues* values = values_of(entity);
    if (values == nullptr) return std::nullopt;
    const auto found = values->find(key);
    return found == values->end() ? std::nullopt : std::optional(found->second);
}

std::optional<QuotaMatch> ClientQuotas::find(std::string_view key, const std::string& user,
                                             const std::string& client_id) const {
    using enum QuotaEntityType;
    const QuotaEntity in_order[] = {
        {{kUser, user}, {kClientId, client_id}},
        {{kUser, user}, {kClientId, std::nullopt}},
        {{kUser, user}},
        {{kUser, std::nullopt}, {kClientId, client_id}},
        {{kUser, std::nullopt}, {kClientId, std::nullopt}},
        {{kUser, std::nullopt}},
        {{kClientId, client_id}},
        {{kClientId, std::nullopt}},
    };
    for (const QuotaEntity& entity : in_order) {
        if (const auto found = value(entity, key)) {
            return QuotaMatch{.value = *found,
                              .is_per_user = entity.contains(kUser),
                              .is_per_client = entity.contains(kClientId)};
        }
    }
    return std::nullopt;
}

std::optional<double> ClientQuotas::connection_rate(const std::string& ip) const {
    const auto own = value({{QuotaEntityType::kIp, ip}}, kConnectionCreationRate);
    return own ? own : value({{QuotaEntityType::kIp, std::nullopt}}, kConnectionCreationRate);
}

std::vector<std::pair<QuotaEntity, QuotaValues>> ClientQuotas::matching(
    const QuotaFilter& filter) const {
    const std::size_t parts = filter.exact.size() + filter.any.size();
    const auto matches = [&filter, parts](const QuotaEntity& entity) {
        if (filter.is_strict && entity.size() != parts) return false;
        for (const auto& [type, name] : filter.exact) {
            const auto part = entity.find(type);
            if (part == entity.end() || part->second != name) return false;
        }
        return std::ranges::all_of(
            filter.any, [&entity](QuotaEntityType type) { return entity.contains(type); });
    };
    std::vector<std::pair<QuotaEntity, QuotaValues>> found;
    std::ranges::copy_if(entries_, std::back_inserter(found),
                         [&matches](const auto& entry) { return matches(entry.first); });
    return found;
}

// ---- altering it ----

namespace {

std::expected<QuotaEntity, Refusal> check_entity(const NamedEntity& named) {
    if (named.empty()) return refuse("Invalid empty client quota entity.");
    QuotaEntity entity;
    for (const auto& [type_name, name] : named) {
        const auto type = parse_entity_type(type_name);
        if (!type) return refuse("Unhandled client quota entity type: " + type_name + ".");
        if (name && name->empty()) return refuse("Empty " + type_name + " not supported.");
        if (!entity.emplace(*type, name).second) {
            return refuse("Invalid client quota entity, duplicate entity entry " + type_name + ".");
        }
    }
    if (entity.contains(QuotaEntityType::kIp) && entity.size() > 1) {
        return refuse(
            "Invalid quota entity combination: an ip is not combined with a user or client-id.");
    }
    return entity;
}

bool is_key_of(const QuotaEntity& entity, std::string_view key) {
    if (entity.contains(QuotaEntityType::kIp)) return key == kConnectionCreationRate;
    return key == kProducerByteRate || key == kConsumerByteRate || key == kRequestPercentage ||
           key == kControllerMutationRate;
}

std::expected<void, Refusal> check_value(const QuotaEntity& entity, const std::string& key,
                                         double value) {
    if (!is_key_of(entity, key)) return refuse("Invalid configuration key " + key + ".");
    if (!std::isfinite(value) || value <= 0) {
        return refuse("Quota " + key + " must be greater than 0.");
    }
    if (key == kRequestPercentage || key == kControllerMutationRate) return {};
    constexpr double kInt64End = 0x1p63;
    const bool is_too_large =
        key == kConnectionCreationRate ? value > INT32_MAX : value >= kInt64End;
    if (is_too_large) return refuse("The value of " + key + " is too large.");
    if (std::fmod(value, 1.0) > 1e-6) return refuse(key + " cannot be a fractional value.");
    return {};
}

/// The records of one entity; a refusal leaves it as it is.
std::expected<std::vector<Record>, Refusal> decide_entity(
    const ClientQuotas* quotas, const QuotaEntity& entity,
    const std::vector<QuotaOperation>& operations) {
    const QuotaValues* current = quotas == nullptr ? nullptr : quotas->values_of(entity);
    std::vector<Record> records;
    std::set<std::string_view> keys;
    for (const QuotaOperation& operation : operations) {
        if (!keys.insert(operation.key).second) {
            return refuse("Duplicate quota key " + operation.key + ".");
        }
        std::optional<double> old;
        if (current != nullptr) {
            const auto found = current->find(operation.key);
            if (found != current->end()) old = found->second;
        }
        if (operation.value) {
            auto check = check_value(entity, operation.key, *operation.value);
            if (!check) return std::unexpected(std::move(check.error()));
        }
        if (operation.value == old) continue;
        records.emplace_back(quota_record(entity, operation.key, operation.value));
    }
    return records;
}

}  // namespace

Decision<AlterClientQuotasReply> decide(const State& state, const AlterClientQuotas& request) {
    Decision<AlterClientQuotasReply> decision;
    std::map<QuotaEntity, std::size_t> places;  // in the reply
    for (const QuotaAlteration& alteration : request.alterations) {
        const auto entity = check_entity(alteration.entity);
        if (!entity) {
            decision.reply.emplace_back(alteration.entity, entity.error());
            continue;
        }
        const auto [place, is_new] = places.emplace(*entity, decision.reply.size());
        if (!is_new) {
            decision.reply[place->second].second = {
                ErrorCode::kInvalidRequest,
                "Ignoring duplicate entity " + entity_text(*entity) + "."};
            continue;
        }
        auto records = decide_entity(state.client_quotas().get(), *entity, alteration.operations);
        decision.reply.emplace_back(alteration.entity, records ? Refusal{} : records.error());
        if (!records || request.validate_only) continue;
        std::ranges::move(*records, std::back_inserter(decision.records));
    }
    return decision;
}

std::expected<QuotaFilter, Refusal> make_filter(const std::vector<QuotaCondition>& conditions,
                                                bool is_strict) {
    enum MatchType : std::int8_t { kExact = 0, kDefault = 1, kAny = 2 };
    QuotaFilter filter{.exact = {}, .any = {}, .is_strict = is_strict};
    std::set<QuotaEntityType> seen;
    for (const QuotaCondition& condition : conditions) {
        if (condition.entity_type.empty()) return refuse("Invalid empty entity type.");
        const auto type = parse_entity_type(condition.entity_type);
        if (!type) {
            return std::unexpected(
                Refusal{ErrorCode::kUnsupportedVersion,
                        "Unsupported entity type " + condition.entity_type + "."});
        }
        if (!seen.insert(*type).second) {
            return refuse("Entity type " + condition.entity_type +
                          " cannot appear more than once in the filter.");
        }
        if (condition.match_type < kExact || condition.match_type > kAny) {
            return refuse("Unknown match type " + std::to_string(condition.match_type) + ".");
        }
        if ((condition.match_type == kExact) != condition.match.has_value()) {
            return refuse(condition.match ? "Only an exact match has a match string."
                                          : "An exact match needs a match string.");
        }
        if (condition.match_type == kAny) {
            filter.any.insert(*type);
        } else {
            filter.exact.emplace(*type, condition.match);
        }
    }
    if (seen.contains(QuotaEntityType::kIp) && seen.size() > 1) {
        return refuse(
            "Invalid entity filter component combination: ip is not used with user or client-id.");
    }
    return filter;
}

ClientQuotaRecord quota_record(const QuotaEntity& entity, const std::string& key,
                               std::optional<double> value) {
    ClientQuotaRecord record;
    for (const auto& [type, name] : entity) {
        record.entity.push_back(
            {.entity_type = std::string(entity_type_name(type)), .entity_name = name});
    }
    record.key = key;
    record.value = value.value_or(0);
    record.is_removed = !value;
    return record;
}

QuotaEntity entity_of(const ClientQuotaRecord& record) {
    QuotaEntity entity;
    for (const auto& part : record.entity) {
        const auto type = parse_entity_type(part.entity_type);
        if (!type) return {};
        entity.emplace(*type, part.entity_name);
    }
    return entity;
}

}  // namespace dlog::metadata
