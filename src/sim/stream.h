/// The insides of a simulated stream; only the network's own files include this.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "port/net.h"
#include "sim/loop.h"
#include "sim/net.h"

namespace dlog::sim {

/// What travels from one end of a stream to the other, in order.
struct Packet {
    enum class Kind : std::uint8_t { kData, kFinish, kTaken, kReset };
    Kind kind = Kind::kData;
    std::vector<std::uint8_t> bytes;
    std::uint64_t taken = 0;  // kTaken: the reader took so many bytes
    Instant arrival;
};

struct StreamEnd {
    Place* place = nullptr;
    std::string peer;

    // Towards this end.
    std::vector<std::uint8_t> received;
    std::size_t read_from = 0;       // where in `received` the unread part begins
    std::uint64_t not_reported = 0;  // bytes taken of which the sender has not heard
    bool has_peer_finished = false;
    Doorbell readable;

    // From this end.
    std::deque<Packet> wire;
    Instant last_arrival{0};
    std::uint64_t outstanding = 0;  // bytes sent that the peer's reader has not taken
    EventId delivery;
    bool is_parked = false;
    EventId give_up;
    Doorbell writable;

    std::optional<port::NetError> error;
    bool is_closed = false;    // by its owner
    bool is_vanished = false;  // with its host
    [[nodiscard]] bool is_alive() const { return !is_closed && !is_vanished && !error; }
    [[nodiscard]] std::size_t unread() const { return received.size() - read_from; }
};

/// Ends: 0 connected, 1 was listening.
struct Stream {
    std::uint64_t id = 0;
    std::uint64_t window_bytes = 0;
    bool is_broken = false;
    StreamEnd ends[2];
};

/// One listener of one core.
struct Listening {
    Place* place = nullptr;
    std::uint16_t port = 0;
    bool is_closed = false;
    std::deque<StreamPtr> arrived;
    Doorbell arrival;
};

}  // namespace dlog::sim
