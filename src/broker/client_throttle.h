/// What quotas do to the requests of one connection: which of them hold, what each request costs,
/// and for how long the connection then rests (KIP-13, KIP-124,
/// KIP-219, KIP-599).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "broker/quota_meters.h"
#include "metadata/client_quotas.h"

namespace dlog::broker {

struct Core;
struct Request;

/// The user of a connection that has not authenticated, by Kafka's name.
inline constexpr std::string_view kAnonymousUser = "ANONYMOUS";

/// One quota as it holds for one client.
struct RateLimit {
    MeterKey meter = 0;
    double rate = 0;  ///< A second; 0: no limit.

    [[nodiscard]] bool is_set() const { return rate > 0; }
    bool operator==(const RateLimit&) const = default;
};

/// The quotas that hold for one client.
struct ClientLimits {
    RateLimit produce;
    RateLimit fetch;
    RateLimit request_time;
    RateLimit mutations;  ///< Partitions made and deleted.

    bool operator==(const ClientLimits&) const = default;
};

/// What quotas say of one request. Lives until the request is answered.
struct RequestQuota {
    ClientLimits limits;
    /// What the client is told, and from when it is listened to again.
    Duration throttle;
    Instant muted_until;
    /// Of a request whose time is metered: when it was begun, and how long it held the core until
    /// it first waited.
    Instant begun;
    Duration busy;
    bool has_waited = false;
};

/// Belongs to a connection. As long as no quota is set, a request costs a look at the view.
class ClientThrottle {
  public:
    explicit ClientThrottle(Core& core) : core_(core) {}

    /// What holds for the next request.
    [[nodiscard]] RequestQuota begin(std::string_view client_id);
    /// Whether the client of the last request has other quotas now than it had then. What it used
    /// under those need not be waited for.
    [[nodiscard]] bool have_changed();

  private:
    /// Names that are longer are looked up with each request rather than kept.
    static constexpr std::size_t kNameBytesMax = 256;

    Core& core_;
    /// Those that `limits_` were taken from, and the client that they hold for.
    metadata::ClientQuotasPtr quotas_;
    std::string client_id_;
    ClientLimits limits_;
};

/// Books the bytes of a Produce request.
void charge_produce(const Request& request, std::size_t bytes);

/// Books the making or deleting of so many partitions. False, and nothing is booked, when the
/// client has to wait first; one whose version of the request does not know
/// THROTTLING_QUOTA_EXCEEDED has to wait afterwards instead.
[[nodiscard]] bool admit_mutations(const Request& request, std::size_t partitions,
                                   bool knows_refusal);

/// The most bytes that a Fetch is answered with under its client's quota: those of half a
/// burst, so that it is throttled for a short time, often.
[[nodiscard]] std::size_t fetch_bytes_allowed(const Request& request, std::size_t bytes_max);
/// Books the bytes of a Fetch's records.
void charge_fetch(const Request& request, std::size_t bytes);
/// Books the time that `request` held its core. Returns what its answer says in throttle_time_ms.
[[nodiscard]] std::int32_t throttle_ms(const Request& request);

}  // namespace dlog::broker
