/// A small seeded generator (xoshiro256**, Blackman and Vigna 2018). Same seed, same numbers, on
/// every machine.
#pragma once

#include <cstdint>

namespace dlog {

class Random {
  public:
    explicit Random(std::uint64_t seed);

    [[nodiscard]] std::uint64_t next();
    /// Uniform in [0, bound); `bound` > 0.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound);
    /// Uniform in [low, high], both included.
    [[nodiscard]] std::int64_t between(std::int64_t low, std::int64_t high);
    /// True with probability numerator/denominator.
    [[nodiscard]] bool chance(std::uint64_t numerator, std::uint64_t denominator);
    /// A generator whose stream is independent of this one's later numbers; one per component keeps
    /// their draws apart.
    [[nodiscard]] Random fork();

  private:
    std::uint64_t state_[4];
};

}  // namespace dlog
