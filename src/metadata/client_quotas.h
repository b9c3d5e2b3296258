/// The quotas that were set, and which of them holds for a client (KIP-55, KIP-546, KIP-599).
#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metadata/controller.h"
#include "metadata/records.h"

namespace dlog::metadata {

inline constexpr std::string_view kProducerByteRate = "producer_byte_rate";
inline constexpr std::string_view kConsumerByteRate = "consumer_byte_rate";
inline constexpr std::string_view kRequestPercentage = "request_percentage";
inline constexpr std::string_view kControllerMutationRate = "controller_mutation_rate";
inline constexpr std::string_view kConnectionCreationRate = "connection_creation_rate";

/// In the order in which Kafka's tools write the parts of an entity.
enum class QuotaEntityType : std::uint8_t { kUser, kClientId, kIp };

[[nodiscard]] std::string_view entity_type_name(QuotaEntityType type);
[[nodiscard]] std::optional<QuotaEntityType> parse_entity_type(std::string_view name);

/// Whom a quota is for: a user, a client id, both together, or an address. A part without a name is
/// the default of its type: everybody who has no quota of their own.
using QuotaEntity = std::map<QuotaEntityType, std::optional<std::string>>;

/// "user 'alice', default client-id", for messages.
[[nodiscard]] std::string entity_text(const QuotaEntity& entity);

/// By key: producer_byte_rate and so on.
using QuotaValues = std::map<std::string, double, std::less<>>;

/// A quota that holds for a client, and who shares it.
struct QuotaMatch {
    double value = 0;
    /// Each user by itself.
    bool is_per_user = false;
    /// Each client id by itself.
    bool is_per_client = false;

    bool operator==(const QuotaMatch&) const = default;
};

/// What DescribeClientQuotas looks for.
struct QuotaFilter {
    /// Exactly this name, or exactly the default.
    QuotaEntity exact;
    /// Any name, and the default.
    std::set<QuotaEntityType> any;
    /// Entities with further parts are not meant.
    bool is_strict = false;
};

/// All quotas of a cluster. A value: whoever shares one copies it to change it.
class ClientQuotas {
  public:
    void set(const QuotaEntity& entity, const std::string& key, double value);
    void remove(const QuotaEntity& entity, const std::string& key);
    [[nodiscard]] bool is_empty() const { return entries_.empty(); }

    /// The most specific quota with this key, in KIP-55's order: of the user and the client id
    /// together, then of the user, then of the client id; at each step, names come before defaults.
    [[nodiscard]] std::optional<QuotaMatch> find(std::string_view key, const std::string& user,
                                                 const std::string& client_id) const;
    /// connection_creation_rate of an address: its own, or the default one.
    [[nodiscard]] std::optional<double> connection_rate(const std::string& ip) const;
    /// Null when nothing is set.
    [[nodiscard]] const QuotaValues* values_of(const QuotaEntity& entity) const;
    [[nodiscard]] std::vector<std::pair<QuotaEntity, QuotaValues>> matching(
        const QuotaFilter& filter) const;

  private:
    [[nodiscard]] std::optional<double> value(const QuotaEntity& entity,
                                              std::string_view key) const;
    std::map<QuotaEntity, QuotaValues> entries_;
};
using ClientQuotasPtr = std::shared_ptr<const ClientQuotas>;

struct QuotaOperation {
    std::string key;
    /// Nothing: removes it.
    std::optional<double> value;
};

/// Parts as a client named them, unchecked.
using NamedEntity = std::vector<std::pair<std::string, std::optional<std::string>>>;

struct QuotaAlteration {
    NamedEntity entity;
    std::vector<QuotaOperation> operations;
};

struct AlterClientQuotas {
    std::vector<QuotaAlteration> alterations;
    bool validate_only = false;
};

/// One for each entity asked for, in order; an entity that was given twice has one answer, a
/// refusal.
using AlterClientQuotasReply = std::vector<std::pair<NamedEntity, Refusal>>;

[[nodiscard]] Decision<AlterClientQuotasReply> decide(const State& state,
                                                      const AlterClientQuotas& request);

/// One condition of DescribeClientQuotas, unchecked. `match_type`: 0 exactly `match`, 1 the
/// default, 2 any.
struct QuotaCondition {
    std::string entity_type;
    std::int8_t match_type = 0;
    std::optional<std::string> match;
};

[[nodiscard]] std::expected<QuotaFilter, Refusal> make_filter(
    const std::vector<QuotaCondition>& conditions, bool is_strict);

/// The record that sets `key` of `entity`, or removes it.
[[nodiscard]] ClientQuotaRecord quota_record(const QuotaEntity& entity, const std::string& key,
                                             std::optional<double> value);
/// The entity that a record names; empty when this program does not know one of its parts.
[[nodiscard]] QuotaEntity entity_of(const ClientQuotaRecord& record);

}  // namespace dlog::metadata
