/// Strong types for the numbers that mean something. They do not convert into each other or into
/// integers by themselves; `.value` is the number.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace dlog {

/// An integer with a meaning. `Tag` only tells the types apart.
template <class Tag, class Rep>
struct StrongId {
    using Representation = Rep;
    Rep value{};

    constexpr StrongId() = default;
    constexpr explicit StrongId(Rep v) : value(v) {}
    constexpr auto operator<=>(const StrongId&) const = default;

    constexpr StrongId operator+(Rep delta) const {
        return StrongId(static_cast<Rep>(value + delta));
    }
    constexpr StrongId operator-(Rep delta) const {
        return StrongId(static_cast<Rep>(value - delta));
    }
    constexpr StrongId& operator++() {
        ++value;
        return *this;
    }
    /// The distance between two values, `*this - other`.
    [[nodiscard]] constexpr Rep since(StrongId other) const {
        return static_cast<Rep>(value - other.value);
    }
};

/// A record's position in its partition. Dense from 0.
using Offset = StrongId<struct OffsetTag, std::int64_t>;
/// The term in which a leader wrote a batch (Kafka's leader epoch, later Raft's term).
using LeaderEpoch = StrongId<struct LeaderEpochTag, std::int32_t>;
using NodeId = StrongId<struct NodeIdTag, std::int32_t>;
using PartitionId = StrongId<struct PartitionIdTag, std::int32_t>;
using ProducerId = StrongId<struct ProducerIdTag, std::int64_t>;
using ProducerEpoch = StrongId<struct ProducerEpochTag, std::int16_t>;
/// The index of a core's loop in this process, 0 to cores - 1.
using CoreId = StrongId<struct CoreIdTag, std::uint32_t>;

inline constexpr Offset kNoOffset{-1};
inline constexpr LeaderEpoch kNoEpoch{-1};
inline constexpr ProducerId kNoProducer{-1};

/// A topic's identity, which outlives its name (KIP-516): 128 random bits, zero for none.
struct TopicId {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    constexpr auto operator<=>(const TopicId&) const = default;
    [[nodiscard]] constexpr bool is_zero() const { return high == 0 && low == 0; }
};

/// Mixes a 64-bit value well enough for hash tables (the finalizer of MurmurHash3).
[[nodiscard]] constexpr std::uint64_t mix_bits(std::uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

/// Hash for unordered containers keyed by any of the types above.
struct IdHash {
    template <class Tag, class Rep>
    std::size_t operator()(StrongId<Tag, Rep> id) const {
        return mix_bits(static_cast<std::uint64_t>(id.value));
    }
    std::size_t operator()(TopicId id) const { return mix_bits(id.high ^ mix_bits(id.low)); }
};

}  // namespace dlog
