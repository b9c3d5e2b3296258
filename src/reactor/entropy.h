/// The real Entropy: the kernel's generator.
#pragma once

#include <array>
#include <cstdint>

#include "port/entropy.h"

namespace dlog::reactor {

/// Owned by one core. Draws 32 numbers a system call and wipes each as it gives it out.
class CoreEntropy final : public port::Entropy {
  public:
    [[nodiscard]] std::uint64_t next() override;

  private:
    std::array<std::uint64_t, 32> numbers_{};
    std::size_t used_ = 32;
};

}  // namespace dlog::reactor
