// What one core leaves of the budget another can use.
#include "replication/cleaner_budget.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace dlog::replication {
namespace {

TEST_CASE("a core alone has all memory but a quarter of the others' shares") {
    CleanerBudget budget(1600, 1e300, 4);
    CHECK(budget.take(200).size_bytes() == 200);
    const auto first = budget.take(SIZE_MAX);
    CHECK(first.size_bytes() == 1300);
    const auto second = budget.take(SIZE_MAX);
    CHECK(second.size_bytes() == 100);
    {
        const auto third = budget.take(60);
        CHECK(third.size_bytes() == 60);
        CHECK(budget.take(SIZE_MAX).size_bytes() == 140);
    }
    CHECK(budget.take(SIZE_MAX).size_bytes() == 100);
    // More rounds than cores share what is left, if only nothing.
    const auto third = budget.take(SIZE_MAX);
    const auto fourth = budget.take(SIZE_MAX);
    CHECK(fourth.size_bytes() == 100);
    CHECK(budget.take(SIZE_MAX).size_bytes() == 0);
}

TEST_CASE("memory comes back when a round ends") {
    CleanerBudget budget(1000, 1e300, 2);
    for (int i = 0; i < 3; ++i) CHECK(budget.take(SIZE_MAX).size_bytes() == 875);
}

TEST_CASE("all cores together move no more than the rate, and one alone as much") {
    CleanerBudget budget(0, 1000, 2);
    const Instant start{5'000'000'000};
    CHECK(budget.spend(start, 500) == start + milliseconds(500));
    CHECK(budget.spend(start, 500) == start + seconds(1));
    // Time that nobody used is lost.
    CHECK(budget.spend(start + seconds(10), 1000) == start + seconds(11));
    CHECK(budget.spend(start + seconds(10), UINT64_MAX) == start + seconds(3611));
    CleanerBudget unlimited(0, 1e300, 2);
    CHECK(unlimited.spend(start, UINT64_MAX) == start);
}

}  // namespace
}  // namespace dlog::replication
