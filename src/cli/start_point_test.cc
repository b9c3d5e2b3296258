#include "cli/start_point.h"

#include <doctest/doctest.h>

using namespace dlog;
using namespace dlog::cli;
using Kind = StartPoint::Kind;

namespace {

constexpr Timestamp kNow{1'763'841'600'000};  // 2025-11-22T20:00:00Z

StartPoint at(std::string_view text) {
    const auto start = parse_start_point(text, kNow);
    REQUIRE_MESSAGE(start.has_value(), start.error());
    return *start;
}

}  // namespace

TEST_CASE("--from takes names, offsets, times and spans before now") {
    CHECK(at("beginning") == StartPoint{Kind::kBeginning});
    CHECK(at("end") == StartPoint{Kind::kEnd});
    CHECK(at("end-10") == StartPoint{Kind::kBeforeEnd, 10});
    CHECK(at("0") == StartPoint{Kind::kOffset, 0});
    CHECK(at("9223372036854775807") == StartPoint{Kind::kOffset, INT64_MAX});
    CHECK(at("2025-11-22T20:00:00Z") == StartPoint{Kind::kTime, kNow.ms});
    CHECK(at("-1h") == StartPoint{Kind::kTime, kNow.ms - 3'600'000});
    CHECK(at("-90s") == StartPoint{Kind::kTime, kNow.ms - 90'000});
    CHECK(at("-7d") == StartPoint{Kind::kTime, kNow.ms - 7 * 86'400'000LL});
    CHECK(at("-500ms") == StartPoint{Kind::kTime, kNow.ms - 500});
    CHECK(at("-99999999w") == StartPoint{Kind::kTime, 0});
}

TEST_CASE("what --from cannot be is refused with what it can be") {
    for (const char* text : {"", "yesterday", "-", "-5", "-h", "--1h", "1.5", "end-", "end--1",
                             "-99999999999999999999d", "2025-13-01", "18446744073709551616"}) {
        CAPTURE(text);
        const auto start = parse_start_point(text, kNow);
        REQUIRE_FALSE(start.has_value());
        CHECK(start.error().find("-1h") != std::string::npos);
    }
}

TEST_CASE("RFC 3339 times are read with zone and fraction (RFC 3339 §5.8)") {
    CHECK(parse_rfc3339("1970-01-01T00:00:00Z").value() == 0);
    CHECK(parse_rfc3339("1985-04-12T23:20:50.52Z").value() == 482'196'050'520);
    CHECK(parse_rfc3339("1996-12-19T16:39:57-08:00").value() == 851'042'397'000);
    CHECK(parse_rfc3339("1990-12-31T23:59:60Z").value() == 662'688'000'000);
    CHECK(parse_rfc3339("1937-01-01T12:00:27.87+00:20").value() == -1'041'337'172'130);
    CHECK(parse_rfc3339("2024-02-29").value() == 1'709'164'800'000);
    for (const char* text : {"2023-02-29", "2025-11-22T20:00:00", "2025-11-22T24:00:00Z",
                             "2025-11-22T20:00Z", "2025-11-22T20:00:00.Z", "2025-11-22T20:00:00Zx",
                             "25-11-22", "2025-11-22T20:00:00+1:00", "2025-00-10"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_rfc3339(text).has_value());
    }
}

TEST_CASE("a time that is written is read back") {
    CHECK(format_time(kNow.ms) == "2025-11-22T20:00:00.000Z");
    for (const std::int64_t ms : {0LL, 1LL, 951'782'399'999LL, 951'782'400'000LL,
                                  1'709'164'800'123LL, -1LL, 253'402'300'799'999LL}) {
        CHECK(parse_rfc3339(format_time(ms)).value() == ms);
    }
}
