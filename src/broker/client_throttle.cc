#include "broker/client_throttle.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "broker/core.h"
#include "broker/request.h"

namespace dlog::broker {

namespace {

/// Kafka bounds what the quota of request time throttles by its window, so that heartbeats are not
/// held back for long.
constexpr Duration kRequestThrottleMax = seconds(1);

/// Kafka's controller.quota.window.num, of one second each: what may be made at once.
constexpr Duration kMutationBurst = seconds(11);

enum Kind : std::uint64_t { kProduce = 1, kFetch, kRequestTime, kMutations };

void throttle(RequestQuota& quota, Duration wait, Instant now, ThrottleMetrics& metrics) {
    if (wait.ns <= 0) return;
    ++metrics.requests;
    metrics.milliseconds += static_cast<std::uint64_t>(wait.ms());
    quota.throttle = std::max(quota.throttle, wait);
    quota.muted_until = std::max(quota.muted_until, now + wait);
}

void charge(Core& core, const RateLimit& limit, double amount, RequestQuota& quota,
            ThrottleMetrics& metrics) {
    const Instant now = core.ports.clock.now();
    const Duration wait = core.shared.meters->charge(limit.meter, cost_of(amount, limit.rate), now);
    throttle(quota, wait, now, metrics);
}

RateLimit limit_of(const QuotaMeters& meters, const metadata::ClientQuotas& quotas,
                   std::string_view key, Kind kind, const std::string& client_id) {
    const auto match = quotas.find(key, std::string(kAnonymousUser), client_id);
    if (!match) return {};
    // Whoever shares a quota shares its meter. A new rate begins a new one: nobody waits for what
    // was used at the old rate.
    const std::uint64_t shared_by =
        (kind << 2) | (match->is_per_user ? 2U : 0U) | (match->is_per_client ? 1U : 0U);
    const std::uint64_t rate = std::bit_cast<std::uint64_t>(match->value);
    return {
        .meter = meters.key_of(
            mix_bits(rate) ^ shared_by, match->is_per_user ? kAnonymousUser : std::string_view{},
            match->is_per_client ? std::string_view(client_id) : std::string_view{}),
        .rate = match->value};
}

ClientLimits limits_of(const QuotaMeters& meters, const metadata::ClientQuotas& quotas,
                       const std::string& client_id) {
    const auto limit = [&](std::string_view key, Kind kind) {
        return limit_of(meters, quotas, key, kind, client_id);
    };
    return {.produce = limit(metadata::kProducerByteRate, kProduce),
            .fetch = limit(metadata::kConsumerByteRate, kFetch),
            .request_time = limit(metadata::kRequestPercentage, kRequestTime),
            .mutations = limit(metadata::kControllerMutationRate, kMutations)};
}

}  // namespace

RequestQuota ClientThrottle::begin(std::string_view client_id) {
    const metadata::ClientQuotasPtr& quotas = core_.view->state().client_quotas();
    if (quotas == nullptr) {
        quotas_.reset();
        return {};
    }
    if (quotas != quotas_ || client_id != client_id_) {
        const bool is_kept = client_id.size() <= kNameBytesMax;
        quotas_ = is_kept ? quotas : nullptr;
        client_id_ = is_kept ? client_id : std::string_view{};
        limits_ = limits_of(*core_.shared.meters, *quotas, std::string(client_id));
    }
    RequestQuota quota{.limits = limits_};
    if (limits_.request_time.is_set()) quota.begun = core_.ports.clock.now();
    return quota;
}

bool ClientThrottle::have_changed() {
    const metadata::ClientQuotasPtr& quotas = core_.view->state().client_quotas();
    if (quotas == quotas_ || (quotas != nullptr && quotas_ == nullptr)) return false;
    ClientLimits limits;
    if (quotas != nullptr) limits = limits_of(*core_.shared.meters, *quotas, client_id_);
    quotas_ = quotas;
    return std::exchange(limits_, limits) != limits;
}

void charge_produce(const Request& request, std::size_t bytes) {
    RequestQuota& quota = *request.quota;
    if (!quota.limits.produce.is_set()) return;
    Core& core = *request.core;
    charge(core, quota.limits.produce, static_cast<double>(bytes), quota,
           core.metrics.produce_throttles);
}

bool admit_mutations(const Request& request, std::size_t partitions, bool knows_refusal) {
    RequestQuota& quota = *request.quota;
    const RateLimit& limit = quota.limits.mutations;
    if (!limit.is_set()) return true;
    Core& core = *request.core;
    const Instant now = core.ports.clock.now();
    const Duration cost = cost_of(static_cast<double>(partitions), limit.rate);
    QuotaMeters& meters = *core.shared.meters;
    const Duration wait = knows_refusal ? meters.admit(limit.meter, cost, now, kMutationBurst)
                                        : meters.charge(limit.meter, cost, now, kMutationBurst);
    throttle(quota, wait, now, core.metrics.mutation_throttles);
    return !knows_refusal || wait.ns <= 0;
}

std::size_t fetch_bytes_allowed(const Request& request, std::size_t bytes_max) {
    const RateLimit& limit = request.quota->limits.fetch;
    if (!limit.is_set()) return bytes_max;
    // At least one byte, so that a Fetch still waits for records.
    const double allowed = std::max(limit.rate * QuotaMeters::kBurst.seconds() / 2, 1.0);
    return static_cast<std::size_t>(std::min(allowed, static_cast<double>(bytes_max)));
}

void charge_fetch(const Request& request, std::size_t bytes) {
    RequestQuota& quota = *request.quota;
    if (!quota.limits.fetch.is_set()) return;
    Core& core = *request.core;
    charge(core, quota.limits.fetch, static_cast<double>(bytes), quota,
           core.metrics.fetch_throttles);
}

std::int32_t throttle_ms(const Request& request) {
    RequestQuota& quota = *request.quota;
    if (quota.limits.request_time.is_set()) {
        Core& core = *request.core;
        const Instant now = core.ports.clock.now();
        const Duration busy = quota.has_waited ? quota.busy : now - quota.begun;
        // The rate is in hundredths of one core.
        const Duration cost = cost_of(busy.seconds() * 100, quota.limits.request_time.rate);
        const Duration wait =
            core.shared.meters->charge(quota.limits.request_time.meter, cost, now);
        throttle(quota, std::min(wait, kRequestThrottleMax), now,
                 core.metrics.request_time_throttles);
    }
    // Rounded up: who comes back after this time is listened to.
    const std::int64_t ms = (quota.throttle + nanoseconds(999'999)).ms();
    return static_cast<std::int32_t>(std::min<std::int64_t>(ms, INT32_MAX));
}

}  // namespace dlog::broker
