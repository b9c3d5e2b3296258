#include "storage/offset_map.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/assert.h"

namespace dlog::storage {
namespace {

/// 384 KiB.
constexpr std::size_t kFirstSlots = std::size_t{1} << 14;

class SipState {
  public:
    explicit SipState(HashKey secret)
        : v0_(secret.low ^ 0x736f6d6570736575ULL),
          // 0xee marks the variant of 128 bits.
          v1_(secret.high ^ 0x646f72616e646f6dULL ^ 0xee),
          v2_(secret.low ^ 0x6c7967656e657261ULL),
          v3_(secret.high ^ 0x7465646279746573ULL) {}

    void add(std::uint64_t word) {
        v3_ ^= word;
        mix(2);
        v0_ ^= word;
    }
    [[nodiscard]] KeyHash finish() {
        KeyHash hash;
        v2_ ^= 0xee;
        mix(4);
        hash.low = v0_ ^ v1_ ^ v2_ ^ v3_;
        v1_ ^= 0xdd;
        mix(4);
        hash.high = v0_ ^ v1_ ^ v2_ ^ v3_;
        return hash;
    }

  private:
    void mix(int rounds) {
        for (int round = 0; round < rounds; ++round) {
            v0_ += v1_;
            v2_ += v3_;
            v1_ = std::rotl(v1_, 13) ^ v0_;
            v3_ = std::rotl(v3_, 16) ^ v2_;
            v0_ = std::rotl(v0_, 32);
            v2_ += v1_;
            v0_ += v3_;
            v1_ = std::rotl(v1_, 17) ^ v2_;
            v3_ = std::rotl(v3_, 21) ^ v0_;
            v2_ = std::rotl(v2_, 32);
        }
    }

    std::uint64_t v0_;
    std::uint64_t v1_;
    std::uint64_t v2_;
    std::uint64_t v3_;
};

}  // namespace

KeyHash hash_key(ByteView key, HashKey secret) {
    SipState state(secret);
    std::uint64_t last = static_cast<std::uint64_t>(key.size()) << 56;
    for (; key.size() >= 8; key = key.subspan(8)) {
        state.add(load_little_endian<std::uint64_t>(key.data()));
    }
    for (std::size_t i = 0; i < key.size(); ++i) {
        last |= static_cast<std::uint64_t>(key[i]) << (8 * i);
    }
    state.add(last);
    return state.finish();
}

void OffsetMap::Free::operator()(Slot* slots) const {
    std::free(slots);
}

OffsetMap::OffsetMap(std::size_t bytes_max, std::uint64_t keys_max, HashKey secret)
    : secret_(secret) {
    // A tenth stays free: a fuller table searches long, and a full one for ever.
    const std::uint64_t fitting_slots = std::max<std::uint64_t>(bytes_max / sizeof(Slot), 2);
    const std::uint64_t fitting = fitting_slots - std::max<std::uint64_t>(fitting_slots / 10, 1);
    keys_max_ = std::clamp<std::uint64_t>(keys_max, 1, fitting);
    slots_max_ = static_cast<std::size_t>(std::min(fitting_slots, keys_max_ + keys_max_ / 9 + 1));
    // While it grows there are two.
    const bool can_grow = slots_max_ * 2 <= fitting_slots;
    allocate(can_grow ? std::min(slots_max_, kFirstSlots) : slots_max_);
}

std::size_t OffsetMap::bytes_for(std::uint64_t keys) {
    constexpr std::uint64_t kSlotsMax = SIZE_MAX / sizeof(Slot) / 4;
    return 2 * sizeof(Slot) * static_cast<std::size_t>(std::min(keys, kSlotsMax / 2) / 9 * 10 + 12);
}

void OffsetMap::allocate(std::size_t slot_count) {
    // calloc takes large tables as pages that the system zeroes when they are touched: no pause.
    slots_.reset(static_cast<Slot*>(std::calloc(slot_count, sizeof(Slot))));
    slot_count_ = slot_count;
    room_ = slot_count == slots_max_ ? keys_max_ : slot_count / 4 * 3;
    DLOG_ASSERT(slots_ != nullptr && room_ < slot_count, slot_count, room_);
}

void OffsetMap::grow() {
    const auto old = std::move(slots_);
    const std::size_t old_count = slot_count_;
    allocate(slot_count_ > slots_max_ / 2 ? slots_max_ : slot_count_ * 2);
    for (std::size_t i = 0; i < old_count; ++i) {
        if (old[i].offset_plus_one != 0) slots_[slot_of(old[i].hash)] = old[i];
    }
}

std::size_t OffsetMap::memory_bytes() const {
    return slot_count_ * sizeof(Slot);
}

std::size_t OffsetMap::home_of(const KeyHash& hash) const {
    return static_cast<std::size_t>((static_cast<unsigned __int128>(hash.high) * slot_count_) >>
                                    64);
}

/// Where the hash is, or would be.
std::size_t OffsetMap::slot_of(const KeyHash& hash) const {
    std::size_t at = home_of(hash);
    while (slots_[at].offset_plus_one != 0 && slots_[at].hash != hash) {
        if (++at == slot_count_) at = 0;
    }
    return at;
}

KeyHash OffsetMap::hash(ByteView key) const {
    const KeyHash hash = hash_key(key, secret_);
    const Slot& home = slots_[home_of(hash)];
    __builtin_prefetch(&home);
    __builtin_prefetch(&home.offset_plus_one);  // often in the next line
    return hash;
}

bool OffsetMap::put(const KeyHash& key, Offset offset) {
    DLOG_ASSERT(offset.value >= 0, offset);
    Slot* slot = &slots_[slot_of(key)];
    if (slot->offset_plus_one == 0) {
        if (size_ == keys_max_) return false;
        if (size_ == room_) {
            grow();
            slot = &slots_[slot_of(key)];
        }
        ++size_;
        slot->hash = key;
    }
    slot->offset_plus_one = std::max(slot->offset_plus_one, offset.value + 1);
    return true;
}

std::optional<Offset> OffsetMap::find(const KeyHash& key) const {
    const Slot& slot = slots_[slot_of(key)];
    if (slot.offset_plus_one == 0) return std::nullopt;
    return Offset{slot.offset_plus_one - 1};
}

}  // namespace dlog::storage
