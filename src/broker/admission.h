/// Which connections are let in: how many at a time, of one address, and how fast (KIP-402,
/// KIP-612).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "broker/node_config.h"

namespace dlog::broker {

class ConnectionCounts;

/// A connection's place among those that are open; given back when dropped, on any core.
class Admission {
  public:
    Admission() = default;
    Admission(Admission&& other) noexcept
        : counts_(std::exchange(other.counts_, nullptr)), address_(std::move(other.address_)) {}
    Admission& operator=(Admission&& other) noexcept {
        std::swap(counts_, other.counts_);
        std::swap(address_, other.address_);
        return *this;
    }
    ~Admission();

  private:
    friend class ConnectionCounts;
    ConnectionCounts* counts_ = nullptr;
    std::string address_;  // empty when its address is not counted
};

/// The connections that are open, node-wide; used by all cores.
class ConnectionCounts {
  public:
    /// Nothing when max.connections are open.
    [[nodiscard]] std::optional<Admission> enter(const NodeConfig& config);
    /// Counts it for its address; false when that has max.connections.per.ip open.
    [[nodiscard]] bool count_address(Admission& admission, std::string_view address,
                                     const NodeConfig& config);
    /// Addresses that are counted now.
    [[nodiscard]] std::size_t addresses() const;

  private:
    friend class Admission;
    void leave(const std::string& address);

    mutable std::mutex mutex_;
    std::uint32_t open_ = 0;
    std::map<std::string, std::uint32_t, std::less<>> by_address_;
};

}  // namespace dlog::broker
