#include "cli/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/assert.h"

namespace dlog::cli {

namespace {

constexpr unsigned kBits = 7;
constexpr std::uint64_t kHalf = std::uint64_t{1} << kBits;
/// Exponents 0 to 55 have 128 buckets each, behind the 128 exact ones.
constexpr std::size_t kBuckets = (63 - kBits + 1) * kHalf;

std::size_t bucket_of(std::uint64_t value) {
    if (value < kHalf) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return shift * kHalf + (value >> shift);
}

/// The greatest number of a bucket.
std::uint64_t top_of(std::size_t bucket) {
    if (bucket < 2 * kHalf) return bucket;
    const std::uint64_t shift = bucket / kHalf - 1;
    const std::uint64_t mantissa = kHalf + bucket % kHalf;
    return ((mantissa + 1) << shift) - 1;
}

}  // namespace

Histogram::Histogram() : buckets_(kBuckets, 0) {}

void Histogram::add(std::int64_t value) {
    const std::int64_t counted = std::max<std::int64_t>(value, 0);
    const std::size_t bucket = bucket_of(static_cast<std::uint64_t>(counted));
    DLOG_ASSERT(bucket < kBuckets, bucket);
    ++buckets_[bucket];
    ++count_;
    sum_ += static_cast<double>(counted);
    max_ = std::max(max_, counted);
}

void Histogram::merge(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
}

void Histogram::clear() {
    std::fill(buckets_.begin(), buckets_.end(), 0);
    count_ = 0;
    sum_ = 0;
    max_ = 0;
}

std::int64_t Histogram::percentile(double percent) const {
    DLOG_ASSERT(percent >= 0 && percent <= 100);
    if (count_ == 0) return 0;
    const double exact_rank = std::ceil(static_cast<double>(count_) * percent / 100);
    const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(exact_rank), 1, count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
        seen += buckets_[i];
        if (seen >= rank) return std::min(static_cast<std::int64_t>(top_of(i)), max_);
    }
    DLOG_UNREACHABLE();
}

double Histogram::mean() const {
    return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

}  // namespace dlog::cli
