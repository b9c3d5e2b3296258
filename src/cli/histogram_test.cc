#include "cli/histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace dlog::cli {
namespace {

TEST_CASE("an empty histogram answers 0") {
    const Histogram histogram;
    CHECK(histogram.count() == 0);
    CHECK(histogram.percentile(50) == 0);
    CHECK(histogram.max() == 0);
    CHECK(histogram.mean() == 0);
}

TEST_CASE("small numbers are exact, negative ones count as 0") {
    Histogram histogram;
    for (std::int64_t i = 1; i <= 100; ++i) histogram.add(i);
    CHECK(histogram.percentile(50) == 50);
    CHECK(histogram.percentile(99) == 99);
    CHECK(histogram.percentile(100) == 100);
    CHECK(histogram.percentile(0) == 1);
    CHECK(histogram.mean() == 50.5);
    histogram.add(-7);
    CHECK(histogram.percentile(0) == 0);
}

TEST_CASE("a percentile is at most 1/128 too large and never too small") {
    Random random(11);
    Histogram histogram;
    std::vector<std::int64_t> values;
    for (int i = 0; i < 20'000; ++i) {
        // Every magnitude alike.
        const auto value = static_cast<std::int64_t>(random.next() >> (1 + random.below(62)));
        values.push_back(value);
        histogram.add(value);
    }
    std::sort(values.begin(), values.end());
    for (const double percent : {0.1, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
        const auto rank =
            static_cast<std::size_t>(std::ceil(static_cast<double>(values.size()) * percent / 100));
        const std::int64_t exact = values[std::max<std::size_t>(rank, 1) - 1];
        const std::int64_t answer = histogram.percentile(percent);
        CHECK_MESSAGE(answer >= exact, percent);
        CHECK_MESSAGE(answer - exact <= exact / 128, percent);
    }
    CHECK(histogram.max() == values.back());
}

TEST_CASE("the greatest number that there is has a bucket") {
    Histogram histogram;
    histogram.add(INT64_MAX);
    CHECK(histogram.percentile(50) == INT64_MAX);
}

TEST_CASE("merged histograms answer as one that counted everything") {
    Random random(5);
    Histogram left;
    Histogram right;
    Histogram all;
    for (int i = 0; i < 5'000; ++i) {
        const auto value = static_cast<std::int64_t>(random.below(1'000'000'000));
        (random.chance(1, 3) ? left : right).add(value);
        all.add(value);
    }
    left.merge(right);
    CHECK(left.count() == all.count());
    CHECK(left.max() == all.max());
    CHECK(left.mean() == doctest::Approx(all.mean()));
    for (const double percent : {1.0, 50.0, 99.0, 99.99}) {
        CHECK(left.percentile(percent) == all.percentile(percent));
    }
    left.clear();
    CHECK(left.count() == 0);
    CHECK(left.percentile(99) == 0);
}

}  // namespace
}  // namespace dlog::cli
