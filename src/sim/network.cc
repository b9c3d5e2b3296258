#include <algorithm>
#include <charconv>
#include <utility>

#include "base/assert.h"
#include "sim/core.h"
#include "sim/net.h"
#include "sim/stream.h"

namespace dlog::sim {

using port::NetError;

Network::Network(Loop& loop, NetOptions& options)
    : loop_(loop), options_(options), random_(loop.random().fork()) {}

Network::~Network() = default;

void Network::add_host(std::uint32_t number, std::string name) {
    const bool is_new = hosts_.emplace(std::move(name), number).second;
    DLOG_ASSERT(is_new, number);
    hosts_.emplace(address_of(number), number);
}

std::string Network::address_of(std::uint32_t host) {
    return "10.0.0." + std::to_string(host + 1);
}

bool Network::resolve(const std::string& name, std::uint32_t from, std::uint32_t& host) const {
    if (name == "127.0.0.1" || name == "localhost") {
        host = from;
        return true;
    }
    const auto found = hosts_.find(name);
    if (found == hosts_.end()) return false;
    host = found->second;
    return true;
}

bool Network::can_pass(std::uint32_t from, std::uint32_t to) const {
    return !blocked_.contains({from, to}) && !down_.contains(to);
}

void Network::set_blocked(std::uint32_t from, std::uint32_t to, bool is_blocked) {
    loop_.effects().fold(Effect::kNet, from, to);
    if (is_blocked) {
        blocked_.insert({from, to});
    } else {
        blocked_.erase({from, to});
        wake_parked();
    }
}

void Network::open_all_links() {
    blocked_.clear();
    wake_parked();
}

std::size_t Network::live_streams() const {
    return static_cast<std::size_t>(
        std::count_if(streams_.begin(), streams_.end(), [](const auto& entry) {
            return entry.second->ends[0].is_alive() && entry.second->ends[1].is_alive();
        }));
}

bool Network::reset_one() {
    const std::size_t count = live_streams();
    if (count == 0) return false;
    std::size_t skip = random_.below(count);
    for (const auto& [id, stream] : streams_) {
        if (!stream->ends[0].is_alive() || !stream->ends[1].is_alive()) continue;
        if (skip-- > 0) continue;
        break_stream(StreamPtr(stream));
        return true;
    }
    return false;
}

StreamPtr Network::make_stream(Place& client, Place& server, std::uint16_t server_port) {
    auto stream = std::make_shared<Stream>();
    stream->id = next_stream_++;
    stream->window_bytes = static_cast<std::uint64_t>(
        random_.between(options_.window_bytes_least, options_.window_bytes_most));
    stream->ends[0].place = &client;
    stream->ends[0].peer = address_of(server.host) + ":" + std::to_string(server_port);
    stream->ends[1].place = &server;
    const std::uint16_t client_port = next_port_++;
    if (next_port_ == 0) next_port_ = 32768;
    stream->ends[1].peer = address_of(client.host) + ":" + std::to_string(client_port);
    streams_.emplace(stream->id, stream);
    return stream;
}

void Network::send(const StreamPtr& stream, unsigned from, Packet packet) {
    if (stream->is_broken) return;
    StreamEnd& end = stream->ends[from];
    const auto transfer = static_cast<std::int64_t>(packet.bytes.size() * 1'000'000'000ULL /
                                                    options_.bytes_per_second);
    const Instant earliest = loop_.now() + draw(random_, options_.latency);
    packet.arrival =
        (earliest < end.last_arrival ? end.last_arrival : earliest) + nanoseconds(transfer);
    end.last_arrival = packet.arrival;
    end.wire.push_back(std::move(packet));
    await_delivery(stream, from);
}

void Network::await_delivery(const StreamPtr& stream, unsigned from) {
    StreamEnd& end = stream->ends[from];
    if (end.wire.empty() || end.is_parked || end.delivery.is_set()) return;
    end.delivery = loop_.schedule(end.wire.front().arrival, nullptr,
                                  [this, stream, from] { deliver_first(stream, from); });
}

void Network::deliver_first(const StreamPtr& stream, unsigned from) {
    StreamEnd& end = stream->ends[from];
    end.delivery = EventId{};
    if (!can_pass(end.place->host, stream->ends[1 - from].place->host)) {
        park(stream, from);
        return;
    }
    Packet packet = std::move(end.wire.front());
    end.wire.pop_front();
    await_delivery(stream, from);
    receive(stream, 1 - from, std::move(packet));
}

void Network::park(const StreamPtr& stream, unsigned from) {
    StreamEnd& end = stream->ends[from];
    DLOG_ASSERT(!end.is_parked && !end.give_up.is_set());
    end.is_parked = true;
    end.give_up =
        loop_.schedule(loop_.now() + options_.give_up_after, nullptr, [this, stream, from] {
            StreamEnd& sender = stream->ends[from];
            sender.give_up = EventId{};
            stop_sending(sender);
            fail(stream, from, NetError::kTimedOut);
        });
}

void Network::wake_parked() {
    // A copy: waking may retire streams later, never here, but the map must not depend on that.
    for (const auto& [id, stream] : std::map<std::uint64_t, StreamPtr>(streams_)) {
        for (unsigned from = 0; from < 2; ++from) {
            StreamEnd& end = stream->ends[from];
            if (!end.is_parked) continue;
            if (!can_pass(end.place->host, stream->ends[1 - from].place->host)) continue;
            loop_.cancel(end.give_up);
            end.give_up = EventId{};
            end.is_parked = false;
            if (end.wire.empty()) continue;
            end.wire.front().arrival = loop_.now() + draw(random_, options_.latency);
            await_delivery(stream, from);
        }
    }
}

void Network::receive(const StreamPtr& stream, unsigned to, Packet packet) {
    StreamEnd& end = stream->ends[to];
    loop_.effects().fold(Effect::kNet, stream->id << 1 | to,
                         static_cast<std::uint64_t>(packet.kind));
    if (end.is_closed || end.is_vanished) {
        // Nobody is there to take it (RFC 9293 §3.5.2).
        if (packet.kind == Packet::Kind::kData) {
            Packet reset;
            reset.kind = Packet::Kind::kReset;
            send(stream, to, std::move(reset));
        }
        return;
    }
    switch (packet.kind) {
        case Packet::Kind::kData:
            loop_.effects().fold_bytes(packet.bytes);
            end.received.insert(end.received.end(), packet.bytes.begin(), packet.bytes.end());
            end.readable.ring();
            break;
        case Packet::Kind::kFinish:
            end.has_peer_finished = true;
            end.readable.ring();
            break;
        case Packet::Kind::kTaken:
            DLOG_ASSERT(end.outstanding >= packet.taken, end.outstanding, packet.taken);
            end.outstanding -= packet.taken;
            end.writable.ring();
            break;
        case Packet::Kind::kReset:
            // A reset may overtake what was received and not yet read.
            if (random_.chance(1, 2)) end.read_from = end.received.size();
            fail(stream, to, NetError::kReset);
            break;
    }
}

void Network::fail(const StreamPtr& stream, unsigned end, NetError error) {
    StreamEnd& failed = stream->ends[end];
    if (failed.is_alive()) {
        failed.error = error;
        failed.readable.ring();
        failed.writable.ring();
    }
    retire_if_dead(stream);
}

void Network::stop_sending(StreamEnd& end) {
    if (end.delivery.is_set()) loop_.cancel(end.delivery);
    if (end.give_up.is_set()) loop_.cancel(end.give_up);
    end.delivery = EventId{};
    end.give_up = EventId{};
    end.is_parked = false;
    end.wire.clear();
}

void Network::break_stream(const StreamPtr& stream) {
    stream->is_broken = true;
    loop_.effects().fold(Effect::kNet, stream->id, UINT64_MAX);
    for (unsigned end = 0; end < 2; ++end) {
        stop_sending(stream->ends[end]);
        const Instant heard = loop_.now() + draw(random_, options_.latency);
        loop_.schedule(heard, nullptr,
                       [this, stream, end] { fail(stream, end, NetError::kReset); });
    }
}

void Network::close_end(const StreamPtr& stream, unsigned end) {
    StreamEnd& closed = stream->ends[end];
    if (closed.is_closed) return;
    const bool was_alive = closed.is_alive();
    const bool leaves_bytes_unread = closed.unread() > 0;
    closed.is_closed = true;
    closed.readable.ring();
    closed.writable.ring();
    if (was_alive) {
        Packet last;
        last.kind = leaves_bytes_unread ? Packet::Kind::kReset : Packet::Kind::kFinish;
        send(stream, end, std::move(last));
    }
    retire_if_dead(stream);
}

void Network::retire_if_dead(const StreamPtr& stream) {
    if (stream->ends[0].is_alive() || stream->ends[1].is_alive()) return;
    // A kept copy: the map's may be the last reference but the caller's.
    const StreamPtr keep = stream;
    stop_sending(keep->ends[0]);
    stop_sending(keep->ends[1]);
    streams_.erase(keep->id);
}

void Network::drop_host(std::uint32_t host, bool is_silent) {
    for (auto& [key, listeners] : listening_) {
        if (key.first != host) continue;
        for (Listening* listening : listeners) {
            listening->is_closed = true;
            listening->arrived.clear();
        }
        listeners.clear();
    }
    for (const auto& [id, stream] : std::map<std::uint64_t, StreamPtr>(streams_)) {
        for (unsigned end = 0; end < 2; ++end) {
            StreamEnd& dropped = stream->ends[end];
            if (dropped.place->host != host || dropped.is_vanished) continue;
            const bool was_alive = dropped.is_alive();
            dropped.is_vanished = true;
            if (is_silent || !was_alive) continue;
            Packet last;
            last.kind = random_.chance(1, 2) ? Packet::Kind::kReset : Packet::Kind::kFinish;
            send(stream, end, std::move(last));
        }
        retire_if_dead(stream);
    }
}

void Network::host_lost_power(std::uint32_t host) {
    drop_host(host, true);
    down_.insert(host);
}

void Network::process_died(std::uint32_t host) {
    drop_host(host, false);
}

void Network::host_came_up(std::uint32_t host) {
    down_.erase(host);
    wake_parked();
}

}  // namespace dlog::sim
