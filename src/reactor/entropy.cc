#include "reactor/entropy.h"

#include <errno.h>
#include <sys/random.h>

#include <utility>

#include "base/assert.h"

namespace dlog::reactor {

std::uint64_t CoreEntropy::next() {
    if (used_ == numbers_.size()) {
        // Up to 256 bytes come whole once the kernel's generator is seeded (getrandom(2)).
        ssize_t count = -1;
        do {
            count = ::getrandom(numbers_.data(), sizeof(numbers_), 0);
        } while (count < 0 && errno == EINTR);
        DLOG_ASSERT(count == static_cast<ssize_t>(sizeof(numbers_)), count, errno);
        used_ = 0;
    }
    return std::exchange(numbers_[used_++], 0);
}

}  // namespace dlog::reactor
