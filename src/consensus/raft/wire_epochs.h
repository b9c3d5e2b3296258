/// Epochs and configurations in generated structs. Several records have them, each as structs of
/// its own with the same fields.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "consensus/error.h"
#include "consensus/raft/history.h"
#include "protocol/record_variant.h"

namespace dlog::consensus::raft {

/// All of `bytes` as one of the records that Variant names.
template <class Variant>
[[nodiscard]] Result<Variant> read_wire(ByteView bytes) {
    auto record = protocol::read_record<Variant>(bytes);
    if (record) return *std::move(record);
    const bool is_newer = record.error().fault == protocol::Fault::kUnsupportedVersion;
    return std::unexpected(is_newer ? Error::kUnsupportedVersion : Error::kMalformed);
}

/// Terms above this are refused: whoever is to stand next needs room for the next slot.
inline constexpr std::int32_t kTermMax = INT32_MAX - 2 * kSlots;

[[nodiscard]] constexpr bool is_term(std::int32_t term) {
    return term >= -1 && term <= kTermMax;
}
[[nodiscard]] constexpr bool is_position(std::int32_t term, std::int64_t offset) {
    return is_term(term) && offset >= 0;
}

template <class Voter>
void put_voters(const Voters& voters, std::vector<Voter>& members, std::int8_t& write_quorum) {
    for (const auto& voter : voters.members) {
        members.push_back({.node = voter.node.value, .slot = static_cast<std::int8_t>(voter.slot)});
    }
    write_quorum = static_cast<std::int8_t>(voters.write_quorum);
}

template <class Wire>
void put_configuration(const Configuration& configuration, Wire& wire) {
    put_voters(configuration.voters, wire.voters, wire.write_quorum);
    put_voters(configuration.outgoing, wire.outgoing, wire.outgoing_write_quorum);
}

template <class Voter>
[[nodiscard]] Voters take_voters(const std::vector<Voter>& members, std::int8_t write_quorum) {
    Voters voters{.write_quorum = static_cast<std::size_t>(std::max<std::int8_t>(write_quorum, 0))};
    for (const auto& voter : members) {
        voters.members.push_back(
            {.node = NodeId(voter.node), .slot = static_cast<std::uint8_t>(voter.slot)});
    }
    return voters;
}

/// Maybe not valid: the caller checks.
template <class Wire>
[[nodiscard]] Configuration take_configuration(const Wire& wire) {
    return {.voters = take_voters(wire.voters, wire.write_quorum),
            .outgoing = take_voters(wire.outgoing, wire.outgoing_write_quorum)};
}

template <class Wire>
void put_epochs(const std::vector<Epoch>& epochs, std::vector<Wire>& wires) {
    for (const Epoch& epoch : epochs) {
        Wire& wire = wires.emplace_back();
        wire.term = epoch.term.value;
        wire.start = epoch.start.value;
        put_configuration(epoch.configuration, wire);
    }
}

/// Ascending in term and start, configurations valid; empty and false otherwise.
template <class Wire>
[[nodiscard]] bool take_epochs(const std::vector<Wire>& wires, std::vector<Epoch>& epochs) {
    for (const Wire& wire : wires) {
        if (!is_position(wire.term, wire.start)) return false;
        const Epoch epoch{.term = LeaderEpoch(wire.term),
                          .start = Offset(wire.start),
                          .configuration = take_configuration(wire)};
        const bool follows = epochs.empty() || (epochs.back().term < epoch.term &&
                                                epochs.back().start <= epoch.start);
        if (!follows || !is_valid(epoch.configuration)) return false;
        epochs.push_back(epoch);
    }
    return true;
}

}  // namespace dlog::consensus::raft
