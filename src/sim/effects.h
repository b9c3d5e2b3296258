/// The running hash over everything that a simulated world did. Two runs of one seed must agree on
/// it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"

namespace dlog::sim {

/// What kind of effect is folded in; it keeps equal numbers of different kinds apart.
enum class Effect : std::uint8_t {
    kEvent,
    kCrash,
    kDisk,
    kNet,
    kLog,
    kClock,
    kSpawn,
    kEntropy,
    kTest,
};

class EffectHash {
  public:
    [[nodiscard]] std::uint64_t value() const { return value_; }
    [[nodiscard]] std::uint64_t count() const { return count_; }

    void fold(std::uint64_t number) { value_ = mix_bits(value_ * 0x9e3779b97f4a7c15ULL + number); }
    void fold(Effect effect, std::uint64_t a, std::uint64_t b = 0) {
        ++count_;
        fold((static_cast<std::uint64_t>(effect) << 56) ^ a);
        fold(b);
    }
    void fold_bytes(ByteView bytes) {
        fold(bytes.size());
        std::size_t at = 0;
        for (; at + 8 <= bytes.size(); at += 8) {
            fold(load_little_endian<std::uint64_t>(bytes.data() + at));
        }
        std::uint64_t rest = 0;
        for (; at < bytes.size(); ++at) rest = rest << 8 | bytes[at];
        fold(rest);
    }
    void fold_text(std::string_view text) { fold_bytes(as_bytes(text)); }

  private:
    std::uint64_t value_ = 0x6a09e667f3bcc908ULL;
    std::uint64_t count_ = 0;
};

}  // namespace dlog::sim
