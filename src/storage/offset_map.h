/// Which offset of each key is the latest, in a fixed number of bytes: what compaction decides by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/ids.h"

namespace dlog::storage {

/// The secret of the hash, so that nobody can choose keys that collide.
struct HashKey {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

struct KeyHash {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool operator==(const KeyHash&) const = default;
};

/// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012).
[[nodiscard]] KeyHash hash_key(ByteView key, HashKey secret);

/// An open-addressing table of 128-bit hashes, 24 bytes a key. It begins small and doubles, so that
/// a few keys of many records stay near; where two would not fit in the memory given, it is made
/// whole at once. Two keys of one hash would lose a
/// record: among 2^40 keys that has a chance of 2^-49. Owned by one round of cleaning; it may be
/// touched on another thread while its owner waits.
class OffsetMap {
  public:
    /// As many keys as fit in `bytes_max`, but not more than `keys_max`; room for one at least.
    OffsetMap(std::size_t bytes_max, std::uint64_t keys_max, HashKey secret);

    /// What a map for so many keys takes, while it grows too.
    [[nodiscard]] static std::size_t bytes_for(std::uint64_t keys);

    /// How this map knows the key. Its slot is on the way from memory then: hash some keys before
    /// the first of them is put or looked for, so that their misses overlap.
    [[nodiscard]] KeyHash hash(ByteView key) const;
    /// Offsets of a key ascend. False when the key is new and there is no room: nothing changed.
    [[nodiscard]] bool put(const KeyHash& key, Offset offset);
    /// The latest offset put for `key`.
    [[nodiscard]] std::optional<Offset> find(const KeyHash& key) const;

    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] std::uint64_t keys_max() const { return keys_max_; }
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    struct Slot {
        KeyHash hash;
        std::int64_t offset_plus_one;  ///< 0 while the slot is free
    };
    struct Free {
        void operator()(Slot* slots) const;
    };
    void allocate(std::size_t slot_count);
    void grow();
    [[nodiscard]] std::size_t home_of(const KeyHash& hash) const;
    [[nodiscard]] std::size_t slot_of(const KeyHash& hash) const;

    HashKey secret_;
    std::uint64_t keys_max_;
    std::size_t slots_max_;  ///< of the table when it has grown
    std::size_t slot_count_ = 0;
    std::uint64_t room_ = 0;  ///< how many keys the table takes before it grows
    std::unique_ptr<Slot[], Free> slots_;
    std::uint64_t size_ = 0;
};

}  // namespace dlog::storage
