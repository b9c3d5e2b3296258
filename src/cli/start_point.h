/// Where `dlog consume --from` begins.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/time.h"

namespace dlog::cli {

struct StartPoint {
    enum class Kind : std::uint8_t {
        kBeginning,
        kEnd,
        kBeforeEnd,  ///< `number` records before the end
        kOffset,     ///< at offset `number`
        kTime,       ///< the first record at or after `number` ms since the Unix epoch
    };
    Kind kind = Kind::kBeginning;
    std::int64_t number = 0;

    bool operator==(const StartPoint&) const = default;
};

/// Reads "beginning", "end", "end-10", "1234", "2026-11-22T20:00:00Z" (RFC 3339), "2026-11-22"
/// (midnight UTC) or "-1h". The error says what would be right.
[[nodiscard]] std::expected<StartPoint, std::string> parse_start_point(std::string_view text,
                                                                       Timestamp now);

/// "2026-11-22T20:00:00.5+01:00" -> ms since the Unix epoch. A leap second (:60) counts as the next
/// second.
[[nodiscard]] std::expected<std::int64_t, std::string> parse_rfc3339(std::string_view text);

/// ms since the Unix epoch -> "2026-11-22T20:00:00.000Z".
[[nodiscard]] std::string format_time(std::int64_t unix_ms);

}  // namespace dlog::cli
