/// The Entropy port: numbers that nobody can predict (the system's generator), or that a seed
/// decides (the simulator).
#pragma once

#include <cstdint>

namespace dlog::port {

class Entropy {
  public:
    virtual ~Entropy() = default;
    [[nodiscard]] virtual std::uint64_t next() = 0;
};

}  // namespace dlog::port
