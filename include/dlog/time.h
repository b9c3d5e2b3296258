/// Spans of time and points on the calendar. Whatever <chrono> has converts into them by itself,
/// without this header including <chrono>, which alone takes longer to compile than all of ours.
#pragma once

#include <cstdint>

namespace dlog {

/// A span of time in nanoseconds. `dlog::TimeSpan t = std::chrono::milliseconds(5);` works, and so
/// does every function that takes one: `consumer.poll(100ms)`.
struct TimeSpan {
    std::int64_t ns = 0;

    constexpr TimeSpan() = default;
    template <class ChronoDuration>
        requires requires(const ChronoDuration& d) {
            ChronoDuration::period::num;
            ChronoDuration::period::den;
            d.count();
        }
    // NOLINTNEXTLINE(google-explicit-constructor): made to convert
    constexpr TimeSpan(const ChronoDuration& d) : ns(in_ns<typename ChronoDuration::period>(d)) {}

    [[nodiscard]] static constexpr TimeSpan nanoseconds(std::int64_t count) {
        TimeSpan span;
        span.ns = count;
        return span;
    }
    [[nodiscard]] static constexpr TimeSpan milliseconds(std::int64_t count) {
        return nanoseconds(count * 1'000'000);
    }
    [[nodiscard]] static constexpr TimeSpan seconds(std::int64_t count) {
        return nanoseconds(count * 1'000'000'000);
    }
    [[nodiscard]] constexpr std::int64_t ms() const { return ns / 1'000'000; }
    friend constexpr bool operator==(TimeSpan, TimeSpan) = default;

  private:
    /// Beyond 146 years either way it stays there.
    template <class Period, class ChronoDuration>
    [[nodiscard]] static constexpr std::int64_t in_ns(const ChronoDuration& d) {
        constexpr double kLimit = 4.6e18;
        const double estimate = static_cast<double>(d.count()) * 1e9 *
                                static_cast<double>(Period::num) / static_cast<double>(Period::den);
        if (estimate > kLimit) return static_cast<std::int64_t>(kLimit);
        if (estimate < -kLimit) return static_cast<std::int64_t>(-kLimit);
        if constexpr (Period::num == 1 && 1'000'000'000 % Period::den == 0) {
            return static_cast<std::int64_t>(d.count() * (1'000'000'000 / Period::den));
        } else {
            return static_cast<std::int64_t>(estimate);
        }
    }
};

/// A point in time as a record's timestamp has it: milliseconds since 1970-01-01 UTC. A
/// `std::chrono::system_clock::time_point` converts into it.
struct TimePoint {
    std::int64_t ms = -1;  ///< -1: none

    constexpr TimePoint() = default;
    constexpr explicit TimePoint(std::int64_t ms_since_1970) : ms(ms_since_1970) {}
    template <class SystemTime>
        requires requires(const SystemTime& t) {
            t.time_since_epoch();
            SystemTime::clock::to_time_t(t);
        }
    // NOLINTNEXTLINE(google-explicit-constructor): made to convert
    constexpr TimePoint(const SystemTime& t) : ms(TimeSpan(t.time_since_epoch()).ms()) {}

    [[nodiscard]] constexpr bool is_set() const { return ms >= 0; }
    friend constexpr bool operator==(TimePoint, TimePoint) = default;
};

}  // namespace dlog
