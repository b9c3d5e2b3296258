/// What the simulation's producers write: every record says who wrote it and which of his it is,
/// and all its bytes follow from that, so that a reader knows a record that nobody wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace dlog::simtest {

/// Names one record of a run: its producer and its number, from 0.
struct RecordName {
    std::uint32_t producer = 0;
    std::uint64_t number = 0;
    auto operator<=>(const RecordName&) const = default;
};

[[nodiscard]] std::vector<std::uint8_t> make_payload(RecordName name, std::size_t size_bytes);
/// nullopt when the bytes are not exactly what `make_payload` makes.
[[nodiscard]] std::optional<RecordName> read_payload(ByteView payload);

inline constexpr std::size_t kPayloadBytesMin = 20;

/// Which key a record has in a log with `key_count` keys that are written often, and whether it
/// deletes its key: it then has no value, and its payload is in a header.
[[nodiscard]] std::uint32_t key_of(RecordName name, std::uint32_t key_count);
[[nodiscard]] bool is_tombstone(RecordName name, std::uint32_t key_count);
/// Of the others no record is a tombstone.
[[nodiscard]] inline bool may_be_deleted(std::uint32_t key) {
    return key % 4 == 0;
}

}  // namespace dlog::simtest
