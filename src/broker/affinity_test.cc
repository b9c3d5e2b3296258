#include "broker/affinity.h"

#include <doctest/doctest.h>

namespace dlog::broker {
namespace {

constexpr CoreId kHome{0};
constexpr CoreId kOther{1};

TEST_CASE("a connection whose partitions lie on one other core belongs there") {
    Affinity affinity(kHome, 4);
    for (std::uint32_t i = 1; i < Affinity::kWindow; ++i) {
        affinity.visited(kOther, 1);
        CHECK_FALSE(affinity.better_home());
    }
    affinity.visited(kOther, 1);
    CHECK(affinity.better_home() == kOther);
}

TEST_CASE("a connection whose partitions lie on many cores, or at home, stays") {
    Affinity spread(kHome, 4);
    for (std::uint32_t i = 0; i < 10 * Affinity::kWindow; ++i) spread.visited(CoreId(i % 4), 1);
    CHECK_FALSE(spread.better_home());
    Affinity at_home(kHome, 4);
    for (std::uint32_t i = 0; i < 10; ++i) at_home.visited(kHome, Affinity::kWindow);
    CHECK_FALSE(at_home.better_home());
}

TEST_CASE("only the last window counts") {
    Affinity affinity(kHome, 2);
    affinity.visited(kOther, Affinity::kWindow);
    CHECK(affinity.better_home() == kOther);
    affinity.visited(kOther, Affinity::kWindow / 2);
    affinity.visited(kHome, Affinity::kWindow / 2);
    CHECK_FALSE(affinity.better_home());
}

}  // namespace
}  // namespace dlog::broker
