#include "cli/start_point.h"

#include <charconv>

#include "base/result.h"

namespace dlog::cli {

namespace {

using Number = std::expected<std::int64_t, std::string>;

constexpr std::int64_t kDayMs = 86'400'000;

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level
/// date algorithms", days_from_civil).
std::int64_t days_from_civil(std::int64_t year, std::int64_t month, std::int64_t day) {
    year -= month <= 2 ? 1 : 0;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const std::int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146'097 + day_of_era - 719'468;
}

struct CivilDate {
    std::int64_t year = 0;
    std::int64_t month = 0;
    std::int64_t day = 0;
};

/// The inverse (civil_from_days of the same paper).
CivilDate civil_from_days(std::int64_t days) {
    days += 719'468;
    const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
    const std::int64_t day_of_era = days - era * 146'097;
    const std::int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    const std::int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
    const std::int64_t month = shifted_month + (shifted_month < 10 ? 3 : -9);
    return {.year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
            .month = month,
            .day = day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

int days_in_month(std::int64_t year, std::int64_t month) {
    static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : kDays[month - 1];
}

/// Takes exactly `count` digits off the front of `text`.
bool take_digits(std::string_view& text, std::size_t count, std::int64_t& number) {
    if (text.size() < count) return false;
    number = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (text[i] < '0' || text[i] > '9') return false;
        number = number * 10 + (text[i] - '0');
    }
    text.remove_prefix(count);
    return true;
}

bool take(std::string_view& text, char wanted) {
    if (text.empty() || text[0] != wanted) return false;
    text.remove_prefix(1);
    return true;
}

/// The milliseconds of ".5", ".123456"; further digits are cut off.
bool take_fraction(std::string_view& text, std::int64_t& ms) {
    ms = 0;
    if (!take(text, '.')) return true;
    std::size_t count = 0;
    std::int64_t unit = 100;
    while (count < text.size() && text[count] >= '0' && text[count] <= '9') {
        ms += (text[count] - '0') * unit;
        unit /= 10;
        ++count;
    }
    text.remove_prefix(count);
    return count > 0;
}

/// "Z" or "+01:00" as milliseconds east of UTC.
bool take_zone(std::string_view& text, std::int64_t& ms) {
    ms = 0;
    if (take(text, 'Z') || take(text, 'z')) return true;
    const bool is_west = text.starts_with('-');
    if (!take(text, '+') && !take(text, '-')) return false;
    std::int64_t hours = 0;
    std::int64_t minutes = 0;
    if (!take_digits(text, 2, hours) || !take(text, ':') || !take_digits(text, 2, minutes) ||
        hours > 23 || minutes > 59) {
        return false;
    }
    ms = (hours * 60 + minutes) * 60'000 * (is_west ? -1 : 1);
    return true;
}

bool take_date(std::string_view& text, std::int64_t& days) {
    std::int64_t year = 0;
    std::int64_t month = 0;
    std::int64_t day = 0;
    if (!take_digits(text, 4, year) || !take(text, '-') || !take_digits(text, 2, month) ||
        !take(text, '-') || !take_digits(text, 2, day)) {
        return false;
    }
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
    days = days_from_civil(year, month, day);
    return true;
}

bool take_time_of_day(std::string_view& text, std::int64_t& ms) {
    std::int64_t hour = 0;
    std::int64_t minute = 0;
    std::int64_t second = 0;
    std::int64_t fraction_ms = 0;
    if (!take_digits(text, 2, hour) || !take(text, ':') || !take_digits(text, 2, minute) ||
        !take(text, ':') || !take_digits(text, 2, second) || !take_fraction(text, fraction_ms)) {
        return false;
    }
    if (hour > 23 || minute > 59 || second > 60) return false;
    ms = ((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms;
    return true;
}

/// "1h" -> 3600000.
Number parse_span(std::string_view text) {
    struct Unit {
        std::string_view name;
        std::int64_t ms;
    };
    static constexpr Unit kUnits[] = {{"ms", 1},        {"s", 1000},   {"m", 60'000},
                                      {"h", 3'600'000}, {"d", kDayMs}, {"w", 7 * kDayMs}};
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    std::int64_t ms = 0;
    for (const Unit& known : kUnits) {
        if (error != std::errc() || unit != known.name) continue;
        if (number < 0 || __builtin_mul_overflow(number, known.ms, &ms)) break;
        return ms;
    }
    return unexpected(
        "\"-" + std::string(text) +
        "\" is not a span of time: write a number and ms, s, m, h, d or w, as in -90s "
        "or -1h");
}

std::string padded(std::int64_t number, std::size_t width) {
    std::string digits = std::to_string(number);
    return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
}

}  // namespace

std::expected<std::int64_t, std::string> parse_rfc3339(std::string_view text) {
    const std::string_view whole = text;
    std::int64_t days = 0;
    std::int64_t ms = 0;
    std::int64_t zone_ms = 0;
    if (take_date(text, days)) {
        if (text.empty()) return days * kDayMs;
        const bool has_separator = take(text, 'T') || take(text, 't') || take(text, ' ');
        if (has_separator && take_time_of_day(text, ms) && take_zone(text, zone_ms) &&
            text.empty()) {
            return days * kDayMs + ms - zone_ms;
        }
    }
    return unexpected("\"" + std::string(whole) +
                      "\" is not a time: write 2026-11-22T20:00:00Z, 2026-11-22T21:00:00+01:00 or "
                      "2026-11-22");
}

std::expected<StartPoint, std::string> parse_start_point(std::string_view text, Timestamp now) {
    using Kind = StartPoint::Kind;
    if (text == "beginning" || text == "earliest") return StartPoint{Kind::kBeginning};
    if (text == "end" || text == "latest") return StartPoint{Kind::kEnd};
    std::int64_t number = 0;
    const bool is_before_end = text.starts_with("end-");
    const std::string_view digits = is_before_end ? text.substr(4) : text;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool is_number = error == std::errc() && end == digits.data() + digits.size();
    if (is_number && number >= 0 && !digits.starts_with('-')) {
        return StartPoint{is_before_end ? Kind::kBeforeEnd : Kind::kOffset, number};
    }
    if (text.starts_with('-')) {
        DLOG_TRY_ASSIGN(const std::int64_t span_ms, parse_span(text.substr(1)));
        return StartPoint{Kind::kTime, span_ms > now.ms ? 0 : now.ms - span_ms};
    }
    const auto time = parse_rfc3339(text);
    if (time.has_value()) return StartPoint{Kind::kTime, *time};
    return unexpected("cannot tell where to begin: \"" + std::string(text) +
                      "\" is none of beginning, end, end-N, an offset, a time "
                      "(2026-11-22T20:00:00Z) or a span before now (-1h)");
}

std::string format_time(std::int64_t unix_ms) {
    std::int64_t days = unix_ms / kDayMs;
    std::int64_t rest = unix_ms % kDayMs;
    if (rest < 0) {
        rest += kDayMs;
        --days;
    }
    const CivilDate date = civil_from_days(days);
    return padded(date.year, 4) + "-" + padded(date.month, 2) + "-" + padded(date.day, 2) + "T" +
           padded(rest / 3'600'000, 2) + ":" + padded(rest / 60'000 % 60, 2) + ":" +
           padded(rest / 1000 % 60, 2) + "." + padded(rest % 1000, 3) + "Z";
}

}  // namespace dlog::cli
