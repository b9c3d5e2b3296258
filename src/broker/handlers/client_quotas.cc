/// DescribeClientQuotas and AlterClientQuotas.
#include <utility>
#include <vector>

#include "broker/controller.h"
#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "broker/peer_address.h"
#include "metadata/client_quotas.h"
#include "protocol/messages/alter_client_quotas.h"
#include "protocol/messages/describe_client_quotas.h"

namespace dlog::broker {

namespace {

using protocol::AlterClientQuotasRequest;
using protocol::AlterClientQuotasResponse;
using protocol::DescribeClientQuotasRequest;
using protocol::DescribeClientQuotasResponse;
using protocol::ErrorCode;

constexpr std::string_view kAddressType = "ip";

DescribeClientQuotasResponse::EntryData described(const metadata::QuotaEntity& entity,
                                                  const metadata::QuotaValues& values) {
    DescribeClientQuotasResponse::EntryData entry;
    for (const auto& [type, name] : entity) {
        entry.entity.push_back(
            {.entity_type = std::string(metadata::entity_type_name(type)), .entity_name = name});
    }
    for (const auto& [key, value] : values) entry.values.push_back({.key = key, .value = value});
    return entry;
}

metadata::QuotaAlteration alteration(AlterClientQuotasRequest::EntryData& asked) {
    metadata::QuotaAlteration alteration;
    for (auto& part : asked.entity) {
        alteration.entity.emplace_back(std::move(part.entity_type), std::move(part.entity_name));
    }
    for (auto& operation : asked.ops) {
        alteration.operations.push_back(
            {.key = std::move(operation.key),
             .value = operation.remove ? std::nullopt : std::optional(operation.value)});
    }
    return alteration;
}

/// Writes an address in the one form in which connections are looked up; false when it is none.
bool has_valid_address(metadata::QuotaAlteration& alteration) {
    for (auto& [type, name] : alteration.entity) {
        if (type != kAddressType || !name || name->empty()) continue;
        auto canonical = canonical_address(*name);
        if (!canonical) return false;
        name = *std::move(canonical);
    }
    return true;
}

void add_answer(AlterClientQuotasResponse& response, const metadata::NamedEntity& entity,
                metadata::Refusal refusal) {
    auto& answer = response.entries.emplace_back();
    answer.error_code = refusal.code;
    if (refusal.code != ErrorCode::kNone) answer.error_message = std::move(refusal.message);
    for (const auto& [type, name] : entity) {
        answer.entity.push_back({.entity_type = type, .entity_name = name});
    }
}

}  // namespace

port::Task<Response> handle_describe_client_quotas(Request request) {
    Core& core = *request.core;
    auto body = decode_request<DescribeClientQuotasRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    std::vector<metadata::QuotaCondition> conditions;
    for (auto& component : body->components) {
        if (component.entity_type == kAddressType && component.match) {
            component.match = canonical_address(*component.match).value_or(*component.match);
        }
        conditions.push_back({.entity_type = std::move(component.entity_type),
                              .match_type = component.match_type,
                              .match = std::move(component.match)});
    }
    DescribeClientQuotasResponse response;
    auto filter = metadata::make_filter(conditions, body->strict);
    if (!filter) {
        response.error_code = filter.error().code;
        response.error_message = std::move(filter.error().message);
        response.entries.reset();
        co_return respond(request, response);
    }
    const metadata::ClientQuotasPtr quotas = core.view->state().client_quotas();
    if (quotas == nullptr) co_return respond(request, response);
    for (const auto& [entity, values] : quotas->matching(*filter)) {
        response.entries->push_back(described(entity, values));
    }
    co_return respond(request, response);
}

port::Task<Response> handle_alter_client_quotas(Request request) {
    Core& core = *request.core;
    auto body = decode_request<AlterClientQuotasRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    AlterClientQuotasResponse response;
    metadata::AlterClientQuotas change{.alterations = {}, .validate_only = body->validate_only};
    for (auto& entry : body->entries) {
        metadata::QuotaAlteration asked = alteration(entry);
        if (has_valid_address(asked)) {
            change.alterations.push_back(std::move(asked));
        } else {
            add_answer(response, asked.entity,
                       {ErrorCode::kInvalidRequest,
                        "An ip entity is named by an IPv4 or IPv6 "
                        "address, such as 192.0.2.10."});
        }
    }
    auto reply = co_await alter_client_quotas(core, std::move(change));
    for (auto& [entity, refusal] : reply) add_answer(response, entity, std::move(refusal));
    co_return respond(request, response);
}

}  // namespace dlog::broker
