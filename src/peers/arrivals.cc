#include "peers/arrivals.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "consensus/raft/wire.h"
#include "peers/pulses.h"
#include "port/close_after.h"

namespace dlog::peers {

namespace {

/// Counts one who has come and is not seated.
class Stranger {
  public:
    explicit Stranger(Desk& desk) : desk_(&desk) { ++desk_->strangers; }
    Stranger(const Stranger&) = delete;
    Stranger& operator=(const Stranger&) = delete;
    ~Stranger() { seated(); }
    void seated() {
        if (desk_ != nullptr) --std::exchange(desk_, nullptr)->strangers;
    }

  private:
    Desk* desk_;
};

/// A connection that its desk may close.
class Visit {
  public:
    Visit(Desk& desk, port::Connection& connection) : desk_(desk), number_(desk.next_guest++) {
        desk_.guests.emplace(number_, &connection);
        if (desk_.is_stopping) connection.close();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() { desk_.guests.erase(number_); }
    [[nodiscard]] std::uint64_t number() const { return number_; }

  private:
    Desk& desk_;
    std::uint64_t number_;
};

void refuse(Desk& desk, NodeId node, const port::Connection& connection, std::string_view reason) {
    ++desk.metrics.refused;
    desk.complain("refused a connection between nodes", node, connection.peer(), reason);
}

std::optional<std::string> fault_of(const Desk& desk, const raft::Greeting& greeting) {
    const Config& config = desk.shared.config;
    if (greeting.cluster_id != config.cluster_id) return "of cluster " + greeting.cluster_id;
    if (greeting.to != config.self) return "for node " + std::to_string(greeting.to.value);
    if (!config.nodes.contains(greeting.from)) return "of no node of this cluster";
    return std::nullopt;
}

port::Task<bool> answer_greeting(Desk* desk, port::Connection* connection, NodeId to,
                                 raft::Purpose purpose, CoreId core) {
    std::vector<port::OutPart> parts;
    parts.emplace_back(raft::encode_greeting(desk->greeting_to(to, purpose, core)));
    const auto written = co_await connection->write(std::move(parts));
    co_return written.has_value();
}

/// What a connection begins with; nothing when it is refused.
port::Task<std::optional<raft::Greeting>> hear_greeting(Desk* desk, port::Connection* connection) {
    const Visit visit(*desk, *connection);
    const port::CloseAfter limit(desk->ports.clock, *connection,
                                 desk->shared.config.greeting_timeout);
    const auto frame = co_await read_frame(connection, kGreetingBounds);
    if (desk->is_stopping) co_return std::nullopt;
    if (!frame) {
        refuse(*desk, NodeId(-1), *connection, frame_fault_name(frame.error()));
        co_return std::nullopt;
    }
    const auto greeting = frame->head.kind == raft::FrameKind::kGreeting
                              ? raft::decode_greeting(frame->text.view())
                              : std::unexpected(consensus::Error::kMalformed);
    if (!greeting) {
        refuse(*desk, NodeId(-1), *connection, frame_fault_name(FrameFault::kMalformed));
        co_return std::nullopt;
    }
    const std::optional<std::string> fault = fault_of(*desk, *greeting);
    if (!fault) co_return *greeting;
    refuse(*desk, greeting->from, *connection, *fault);
    // It is told whom it has met, so that its own log names what is wrong there.
    if (greeting->cluster_id != desk->shared.config.cluster_id ||
        greeting->to != desk->shared.config.self) {
        (void)co_await answer_greeting(desk, connection, greeting->from, greeting->purpose,
                                       greeting->core);
    }
    co_return std::nullopt;
}

port::Task<void> close_guest(Desk* home, Desk* desk, std::uint64_t number) {
    const port::Gate::Hold hold = home->gate.enter();
    port::Spawn* const there = &desk->ports.spawn;
    co_await port::hop(home->ports.spawn, there->core());
    const auto at = desk->guests.find(number);
    if (at != desk->guests.end()) at->second->close();
    co_await port::hop(*there, home->id());
}

/// On core 0: takes the seat once whoever has it, or any of an older process of that node, is gone
/// with all that came of it: order within a seat holds over connections. Refused, with the reason,
/// for a process that is older itself.
port::Task<std::optional<std::string_view>> take_seat(Desk* home, SeatId id, Guest guest) {
    Shared& shared = home->shared;
    const auto is_in_the_way = [&](const auto& seat) {
        return seat.first == id ||
               (seat.first.node == id.node && seat.second.incarnation < guest.incarnation);
    };
    while (!home->is_stopping) {
        const std::uint64_t known = shared.pulses->incarnation_of(id.node);
        if (guest.incarnation < known) co_return "of a process that is gone";
        bool is_free = true;
        for (const auto& seat : shared.seats) {
            if (!is_in_the_way(seat)) continue;
            is_free = false;
            home->ports.spawn.spawn(
                close_guest(home, shared.desks[seat.second.at.value], seat.second.number));
        }
        if (!is_free) {
            co_await shared.seats_changed.wait();
        } else if (guest.incarnation > known) {
            co_await shared.pulses->met(id.node, guest.incarnation);
        } else {
            shared.seats.emplace(id, guest);
            co_return std::nullopt;
        }
    }
    co_return "this node is stopping";
}

port::Task<std::optional<std::string_view>> claim(Desk* desk, SeatId id, Guest guest) {
    Desk* const home = desk->shared.desks[kPulseCore.value];
    port::Spawn* const there = &home->ports.spawn;
    co_await port::hop(desk->ports.spawn, there->core());
    const auto refused = co_await take_seat(home, id, guest);
    co_await port::hop(*there, desk->id());
    co_return refused;
}

/// Gives the seat back, if `guest` still has it.
port::Task<void> release(Desk* desk, SeatId id, Guest guest) {
    Desk* const home = desk->shared.desks[kPulseCore.value];
    port::Spawn* const there = &home->ports.spawn;
    co_await port::hop(desk->ports.spawn, there->core());
    const auto at = home->shared.seats.find(id);
    if (at != home->shared.seats.end() && at->second.at == guest.at &&
        at->second.number == guest.number) {
        home->shared.seats.erase(at);
        home->shared.seats_changed.notify_all();
    }
    co_await port::hop(*there, desk->id());
}

port::Task<void> receive_pulses(Desk* desk, port::Connection* connection, raft::Greeting greeting) {
    const NodeId from = greeting.from;
    while (!desk->is_stopping) {
        const auto frame = co_await read_frame(connection, kPulseBounds);
        if (!frame) {
            desk->note_end(from, frame.error());
            break;
        }
        const auto pulse = frame->head.kind == raft::FrameKind::kPulse
                               ? raft::decode_pulse(frame->text.view())
                               : std::unexpected(consensus::Error::kMalformed);
        if (!pulse || pulse->incarnation != greeting.incarnation) {
            desk->note_end(from, FrameFault::kMalformed);
            break;
        }
        NodeMetrics& metrics = desk->metrics.nodes[from];
        metrics.bytes_received += frame->size_bytes();
        ++metrics.frames_received;
        co_await desk->shared.pulses->received(from, *pulse);
    }
    connection->close();
}

/// What a seated connection is there for. Returns when the seat may be another's.
port::Task<void> receive(Desk* desk, port::Connection* connection, raft::Greeting greeting,
                         CallServer* calls) {
    switch (greeting.purpose) {
        case raft::Purpose::kMessages:
            co_await receive_messages(desk, connection, greeting.from);
            break;
        case raft::Purpose::kCalls:
            co_await calls->receive();
            break;
        case raft::Purpose::kPulses:
            co_await receive_pulses(desk, connection, std::move(greeting));
            break;
    }
}

/// All of a connection after its greeting, on the core where it stays.
port::Task<void> attend(Desk* desk, port::Connection* connection, raft::Greeting greeting,
                        Stranger* stranger) {
    const Visit visit(*desk, *connection);
    const SeatId seat{.node = greeting.from, .purpose = greeting.purpose, .core = greeting.core};
    const Guest guest{
        .at = desk->id(), .number = visit.number(), .incarnation = greeting.incarnation};
    if (const auto refused = co_await claim(desk, seat, guest)) {
        if (!desk->is_stopping) refuse(*desk, greeting.from, *connection, *refused);
        co_return;
    }
    stranger->seated();
    CallServer calls(*desk, *connection, greeting.from);
    bool is_greeted = false;
    {
        const port::CloseAfter limit(desk->ports.clock, *connection,
                                     desk->shared.config.greeting_timeout);
        is_greeted = co_await answer_greeting(desk, connection, greeting.from, greeting.purpose,
                                              greeting.core);
    }
    if (is_greeted) co_await receive(desk, connection, std::move(greeting), &calls);
    co_await release(desk, seat, guest);
    co_await calls.finish();
}

port::Task<void> serve(Desk* desk, port::ConnectionPtr connection) {
    const port::Gate::Hold hold = desk->gate.enter();
    Stranger stranger(*desk);
    std::optional<raft::Greeting> greeting = co_await hear_greeting(desk, connection.get());
    if (!greeting) co_return;
    // Pulses are read where they are kept: a core that is busy with records delays none.
    Desk* const home =
        greeting->purpose == raft::Purpose::kPulses ? desk->shared.desks[kPulseCore.value] : desk;
    if (home == desk) {
        co_await attend(desk, connection.get(), *std::move(greeting), &stranger);
        co_return;
    }
    connection->leave();
    port::Spawn* const there = &home->ports.spawn;
    co_await port::hop(desk->ports.spawn, there->core());
    if (!home->is_stopping && home->ports.net.adopt(*connection)) {
        co_await attend(home, connection.get(), *std::move(greeting), &stranger);
    }
    connection.reset();
    co_await port::hop(*there, desk->id());
}

}  // namespace

port::Task<void> accept_nodes(Desk* desk) {
    const port::Gate::Hold hold = desk->gate.enter();
    while (!desk->is_stopping) {
        auto accepted = co_await desk->listener->accept();
        if (!accepted) {
            if (desk->is_stopping || accepted.error() == port::NetError::kClosed) break;
            desk->complain("a connection between nodes could not be accepted", NodeId(-1), "",
                           port::net_error_name(accepted.error()));
            // Too many open files, most likely: it gets no better by asking again at once.
            port::Clock& clock = desk->ports.clock;
            co_await desk->stopping.wait_until(clock, clock.now() + milliseconds(100));
            continue;
        }
        ++desk->metrics.accepted;
        if (desk->strangers >= desk->shared.config.strangers_max) {
            refuse(*desk, NodeId(-1), **accepted, "too many that have not greeted yet");
            continue;
        }
        desk->ports.spawn.spawn(serve(desk, *std::move(accepted)));
    }
}

}  // namespace dlog::peers
