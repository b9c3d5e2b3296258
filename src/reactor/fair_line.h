/// Whose turn it is among the connections of one core.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dlog::reactor {

/// Start-time fair queuing (Goyal, Vin, Cheng 1996): who waits stands by what its connection has
/// used so far, in a virtual time that is that of whoever was last let through. So a connection
/// that asks little is let through before those that ask all the time, however many they are, and
/// among these work is divided evenly. What a connection did not use is to its credit, up to a
/// limit. Owned by one core.
class FairLine {
  public:
    /// What one connection has used. Costs are in steps: a system call with little data is one.
    class Share {
      public:
        void use(std::uint64_t cost) {
            used_until_ += cost;
            since_let_through_ += cost;
        }
        /// Whether it has used enough for others to come first.
        [[nodiscard]] bool must_wait() const { return since_let_through_ >= kQuantum; }

      private:
        friend class FairLine;
        std::uint64_t used_until_ = 0;
        std::uint64_t since_let_through_ = 0;
    };

    /// Steps of a connection before it stands in line again.
    static constexpr std::uint64_t kQuantum = 4;
    /// How far ahead of the others a connection comes that has asked little: a few dozen requests.
    static constexpr std::uint64_t kCreditMax = 64;

    /// `share` outlives the wait.
    void wait(Share& share, std::coroutine_handle<> handle);
    /// Lets the next one through; the line is not empty.
    [[nodiscard]] std::coroutine_handle<> next();
    [[nodiscard]] bool is_empty() const { return heap_.empty(); }
    void clear() { heap_.clear(); }

  private:
    struct Place {
        std::uint64_t start = 0;
        std::uint64_t sequence = 0;  // first come, first served
        Share* share = nullptr;
        std::coroutine_handle<> handle;
        [[nodiscard]] bool operator<(const Place& other) const {
            return start != other.start ? start > other.start : sequence > other.sequence;
        }
    };

    std::vector<Place> heap_;
    std::uint64_t now_ = 0;
    std::uint64_t next_sequence_ = 0;
};

}  // namespace dlog::reactor
