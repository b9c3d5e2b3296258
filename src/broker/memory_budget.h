/// How much memory the large request frames of one core may take together.
#pragma once

#include <cstddef>
#include <utility>

#include "base/assert.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::broker {

/// Belongs to one core. A request waits here until there is room; one that is larger than the whole
/// budget waits until it is alone.
class MemoryBudget {
  public:
    /// A part of the budget, given back when dropped.
    class Hold {
      public:
        Hold() = default;
        Hold(Hold&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), bytes_(other.bytes_) {}
        Hold& operator=(Hold&& other) noexcept {
            std::swap(owner_, other.owner_);
            std::swap(bytes_, other.bytes_);
            return *this;
        }
        ~Hold() {
            if (owner_ != nullptr) owner_->give_back(bytes_);
        }

      private:
        friend class MemoryBudget;
        Hold(MemoryBudget* owner, std::size_t bytes) : owner_(owner), bytes_(bytes) {}
        MemoryBudget* owner_ = nullptr;
        std::size_t bytes_ = 0;
    };

    explicit MemoryBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    /// The hold is empty when the budget closed meanwhile.
    [[nodiscard]] port::Task<Hold> take(std::size_t bytes);
    /// Nobody waits any longer.
    void close();
    [[nodiscard]] std::size_t used() const { return used_; }

  private:
    void give_back(std::size_t bytes);

    std::size_t bytes_max_;
    std::size_t used_ = 0;
    bool is_closed_ = false;
    port::Notifier freed_;
};

}  // namespace dlog::broker
