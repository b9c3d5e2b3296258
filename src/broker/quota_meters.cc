#include "broker/quota_meters.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/ids.h"

namespace dlog::broker {

namespace {

std::uint64_t hash_text(std::uint64_t state, std::string_view text) {
    state = mix_bits(state ^ text.size());
    while (!text.empty()) {
        std::uint64_t word = 0;
        const std::size_t size = std::min(text.size(), sizeof(word));
        std::memcpy(&word, text.data(), size);
        text.remove_prefix(size);
        state = mix_bits(state ^ word) + word;
    }
    return state;
}

}  // namespace

QuotaMeters::QuotaMeters(std::uint64_t seed)
    : seed_(seed), sets_(std::make_unique<Set[]>(kMetersMax / kWays)) {}

MeterKey QuotaMeters::key_of(std::uint64_t kind, std::string_view first,
                             std::string_view second) const {
    const MeterKey key = hash_text(hash_text(mix_bits(seed_ ^ kind), first), second);
    return key == 0 ? 1 : key;
}

QuotaMeters::Set& QuotaMeters::set_of(MeterKey key) const {
    DLOG_ASSERT(key != 0);
    return sets_[key % (kMetersMax / kWays)];
}

QuotaMeters::Meter& QuotaMeters::place_of(Set& set, MeterKey key, Instant now) {
    Meter* least = &set.meters[0];
    for (Meter& meter : set.meters) {
        if (meter.key == key) return meter;
        if (meter.paid_at < least->paid_at) least = &meter;
    }
    *least = {.key = key, .paid_at = now};
    return *least;
}

Duration QuotaMeters::charge(MeterKey key, Duration cost, Instant now, Duration burst) {
    DLOG_ASSERT(cost.ns >= 0 && cost <= kAheadMax, cost.ns);
    Set& set = set_of(key);
    const std::lock_guard lock(set.mutex);
    Meter& meter = place_of(set, key, now);
    meter.paid_at = std::min(std::max(meter.paid_at, now) + cost, now + kAheadMax);
    return std::max(meter.paid_at - now - burst, Duration{});
}

Duration QuotaMeters::admit(MeterKey key, Duration cost, Instant now, Duration burst) {
    DLOG_ASSERT(cost.ns >= 0 && cost <= kAheadMax, cost.ns);
    Set& set = set_of(key);
    const std::lock_guard lock(set.mutex);
    Meter& meter = place_of(set, key, now);
    const Duration ahead = meter.paid_at - now - burst;
    if (ahead.ns > 0) return ahead;
    meter.paid_at = std::min(std::max(meter.paid_at, now) + cost, now + kAheadMax);
    return {};
}

Duration QuotaMeters::try_charge(MeterKey key, Duration cost, Instant now) {
    DLOG_ASSERT(cost.ns >= 0 && cost <= kAheadMax, cost.ns);
    Set& set = set_of(key);
    const std::lock_guard lock(set.mutex);
    Meter& meter = place_of(set, key, now);
    const Instant paid_at = std::max(meter.paid_at, now) + cost;
    const Duration ahead = paid_at - now - kBurst;
    if (ahead.ns > 0) return ahead;
    meter.paid_at = paid_at;
    return {};
}

Duration cost_of(double amount, double rate) {
    DLOG_ASSERT(amount >= 0 && rate > 0, amount, rate);
    const double most = QuotaMeters::kAheadMax.seconds();
    const double cost = std::min(amount / rate, most);
    return {static_cast<std::int64_t>(cost * 1e9)};
}

}  // namespace dlog::broker
