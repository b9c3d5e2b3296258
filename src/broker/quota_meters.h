/// How far the clients of this node are ahead of their quotas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/time.h"

namespace dlog::broker {

/// Names one thing that is metered: a kind of use by an entity. Never 0.
using MeterKey = std::uint64_t;

/// Meters of virtual scheduling (GCRA, ITU-T I.371): a meter is the time at which all use so far
/// would have been paid for at the rate allowed. Node-wide and used by all cores. The number of
/// meters is fixed: a meter whose time is past knows nothing that a new one does not, and gives its
/// place; when a place is needed and there is none such, the one that is least ahead does.
class QuotaMeters {
  public:
    /// Use up to this span ahead of the rate is free, so that short bursts are not throttled.
    static constexpr Duration kBurst = seconds(1);
    /// Nobody is ahead by more than this.
    static constexpr Duration kAheadMax = seconds(3600);
    static constexpr std::size_t kMetersMax = std::size_t{1} << 14;

    /// `seed` keeps clients from choosing names that share a place.
    explicit QuotaMeters(std::uint64_t seed);

    /// The meter of use `kind` by the parts of an entity.
    [[nodiscard]] MeterKey key_of(std::uint64_t kind, std::string_view first,
                                  std::string_view second) const;

    /// Books use that takes `cost` to pay for. Returns how long to wait until it is within the
    /// rate, of which use up to `burst` is free.
    [[nodiscard]] Duration charge(MeterKey key, Duration cost, Instant now,
                                  Duration burst = kBurst);
    /// The same, but books it only when nothing is to be waited for of what was used before: the
    /// whole of a use is one, however large it is.
    [[nodiscard]] Duration admit(MeterKey key, Duration cost, Instant now, Duration burst);
    /// The same, but books it only when nothing is to be waited for.
    [[nodiscard]] Duration try_charge(MeterKey key, Duration cost, Instant now);

  private:
    static constexpr std::size_t kWays = 8;
    struct Meter {
        MeterKey key = 0;
        Instant paid_at;  // the theoretical arrival time of the next use
    };
    struct Set {
        std::mutex mutex;
        Meter meters[kWays];
    };

    [[nodiscard]] static Meter& place_of(Set& set, MeterKey key, Instant now);
    [[nodiscard]] Set& set_of(MeterKey key) const;

    std::uint64_t seed_;
    std::unique_ptr<Set[]> sets_;
};

/// What `amount` costs at `rate` a second.
[[nodiscard]] Duration cost_of(double amount, double rate);

}  // namespace dlog::broker
