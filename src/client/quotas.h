/// Client quotas as plain calls: what is set for whom, and setting it (KIP-546).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "client/cluster.h"
#include "client/error.h"
#include "port/task.h"

namespace dlog::client {

/// Whom a quota is for: parts of type "user", "client-id" or "ip"; one without a name is the
/// default of its type.
using QuotaEntity = std::vector<std::pair<std::string, std::optional<std::string>>>;

struct Quota {
    QuotaEntity entity;
    std::vector<std::pair<std::string, double>> values;
};

/// The quotas of entities that have all `parts`, and of those only when `is_strict`.
[[nodiscard]] port::Task<Result<std::vector<Quota>>> describe_quotas(Cluster& cluster,
                                                                     QuotaEntity parts,
                                                                     bool is_strict,
                                                                     Instant deadline);

/// Sets keys to values; a key without one is removed.
struct QuotaChange {
    QuotaEntity entity;
    std::vector<std::pair<std::string, std::optional<double>>> values;
};

[[nodiscard]] port::Task<Result<void>> alter_quota(Cluster& cluster, QuotaChange change,
                                                   Instant deadline);

}  // namespace dlog::client
