#include "client/quotas.h"

#include "base/result.h"
#include "protocol/messages/alter_client_quotas.h"
#include "protocol/messages/describe_client_quotas.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

constexpr std::int8_t kExactMatch = 0;
constexpr std::int8_t kDefaultMatch = 1;

Result<void> outcome(ErrorCode code, const std::optional<std::string>& message) {
    if (code == ErrorCode::kNone) return {};
    return unexpected(broker_error(code, message.value_or("")));
}

}  // namespace

port::Task<Result<std::vector<Quota>>> describe_quotas(Cluster& cluster, QuotaEntity parts,
                                                       bool is_strict, Instant deadline) {
    protocol::DescribeClientQuotasRequest request;
    request.strict = is_strict;
    for (auto& [type, name] : parts) {
        request.components.push_back({.entity_type = std::move(type),
                                      .match_type = name ? kExactMatch : kDefaultMatch,
                                      .match = std::move(name)});
    }
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await cluster.call_any(std::move(request), deadline));
    DLOG_CO_TRY(outcome(answer->error_code, answer->error_message));
    std::vector<Quota> quotas;
    if (!answer->entries) co_return quotas;
    for (const auto& entry : *answer->entries) {
        Quota& quota = quotas.emplace_back();
        for (const auto& part : entry.entity) {
            quota.entity.emplace_back(part.entity_type, part.entity_name);
        }
        for (const auto& value : entry.values) quota.values.emplace_back(value.key, value.value);
    }
    co_return quotas;
}

port::Task<Result<void>> alter_quota(Cluster& cluster, QuotaChange change, Instant deadline) {
    protocol::AlterClientQuotasRequest request;
    auto& entry = request.entries.emplace_back();
    for (auto& [type, name] : change.entity) {
        entry.entity.push_back({.entity_type = std::move(type), .entity_name = std::move(name)});
    }
    for (auto& [key, value] : change.values) {
        entry.ops.push_back({.key = std::move(key), .value = value.value_or(0), .remove = !value});
    }
    // Setting twice what is set already changes nothing: it may be sent again.
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await cluster.call_any(std::move(request), deadline));
    for (const auto& changed : answer->entries) {
        DLOG_CO_TRY(outcome(changed.error_code, changed.error_message));
    }
    co_return Result<void>();
}

}  // namespace dlog::client
