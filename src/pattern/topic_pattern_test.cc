#include "pattern/topic_pattern.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/random.h"

namespace dlog::pattern {
namespace {

using Names = std::vector<std::string>;

Names matched(std::string_view pattern, const Names& names) {
    return matching_names(pattern, {names.begin(), names.end()}).value_or(Names{"(refused)"});
}

TEST_CASE("a pattern matches names from end to end") {
    const Names names = {"__consumer_offsets", "orders", "orders-eu", "old-orders"};
    CHECK(matched("orders", names) == Names{"orders"});
    CHECK(matched("^orders.*$", names) == Names{"orders", "orders-eu"});
    CHECK(matched("orders|old-.*", names) == Names{"orders", "old-orders"});
    CHECK(matched("(?i)ORDERS", names) == Names{"orders"});
    CHECK(matched(".*", names) == names);
    CHECK(matched("", names).empty());
    CHECK(matched("(", names) == Names{"(refused)"});
}

TEST_CASE("a pattern that is none, or would cost too much, is refused in words") {
    CHECK(check_pattern("orders-[0-9]+").has_value());
    CHECK(check_pattern(std::string(kPatternBytesMax, '.')).error().contains("too large"));
    CHECK(check_pattern("(orders").error() == "missing ): (orders");
    CHECK(check_pattern("(?=orders)").has_value() == false);  // RE2 looks at each letter once.
    CHECK(check_pattern("\xff").error() == "invalid UTF-8");
    CHECK(check_pattern("(a{1000}){1000}").has_value() == false);
    CHECK(check_pattern("((.?){500}(.?){400})").error() == "it would be too large when compiled");
    const auto long_one = check_pattern(std::string(100'000, 'a'));
    CHECK(long_one.error() == "it has 100000 bytes and may have at most 4096");
    CHECK(matched("((.?){500}(.?){400})", {"orders"}) == Names{"(refused)"});
    CHECK(matched(std::string(100'000, 'a'), {"orders"}) == Names{"(refused)"});
}

TEST_CASE("a pattern that meets something new at every letter is given up, and harms no other") {
    Random random(1);
    Names names;
    for (int number = 0; number < 2'000; ++number) {
        std::string& name = names.emplace_back();
        while (name.size() < 200) name += random.chance(1, 2) ? 'a' : 'b';
    }
    const std::string slow = "(.*a.{20}|.*b.{19})";
    CHECK(matched(slow, names) == Names{"(refused)"});
    CHECK(matched(slow, {"a01234567890123456789"}).size() == 1);
    CHECK(matched(".*", names).size() == names.size());
}

}  // namespace
}  // namespace dlog::pattern
