/// Points and spans of time as plain values. Nothing here reads a clock.
#pragma once

#include <compare>
#include <cstdint>

namespace dlog {

/// A span of time in nanoseconds.
struct Duration {
    std::int64_t ns = 0;
    constexpr auto operator<=>(const Duration&) const = default;
    [[nodiscard]] constexpr std::int64_t ms() const { return ns / 1'000'000; }
    [[nodiscard]] constexpr double seconds() const { return static_cast<double>(ns) * 1e-9; }
    constexpr Duration operator+(Duration other) const { return {ns + other.ns}; }
    constexpr Duration operator-(Duration other) const { return {ns - other.ns}; }
    constexpr Duration operator*(std::int64_t factor) const { return {ns * factor}; }
};

[[nodiscard]] constexpr Duration nanoseconds(std::int64_t n) {
    return {n};
}
[[nodiscard]] constexpr Duration microseconds(std::int64_t n) {
    return {n * 1'000};
}
[[nodiscard]] constexpr Duration milliseconds(std::int64_t n) {
    return {n * 1'000'000};
}
[[nodiscard]] constexpr Duration seconds(std::int64_t n) {
    return {n * 1'000'000'000};
}

/// A point on a monotonic clock, in nanoseconds since an arbitrary start. Comparable only within
/// one process.
struct Instant {
    std::int64_t ns = 0;
    constexpr auto operator<=>(const Instant&) const = default;
    constexpr Instant operator+(Duration d) const { return {ns + d.ns}; }
    constexpr Instant operator-(Duration d) const { return {ns - d.ns}; }
    constexpr Duration operator-(Instant other) const { return {ns - other.ns}; }
};

inline constexpr Instant kNever{INT64_MAX};

/// Wall-clock time in milliseconds since the Unix epoch, as in a record's timestamp.
struct Timestamp {
    std::int64_t ms = 0;
    constexpr auto operator<=>(const Timestamp&) const = default;
};

inline constexpr Timestamp kNoTimestamp{-1};

}  // namespace dlog
