#include "broker/connection.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "broker/api_table.h"
#include "broker/core.h"
#include "broker/node_config.h"
#include "port/ports.h"
#include "port/spawn.h"
#include "protocol/reader.h"

namespace dlog::broker {

namespace {

/// While a client is muted: how often its quotas are looked at, which may have been raised.
constexpr Duration kMuteCheckInterval = seconds(1);

/// A write takes at most this much, so that a slow peer which does read is seen to move.
constexpr std::size_t kWriteBytesMax = 1 << 20;

std::size_t size_of(const port::OutPart& part) {
    if (const auto* buffer = std::get_if<Buffer>(&part)) return buffer->size();
    return std::get<port::FileRange>(part).length;
}

/// Cuts the first `size` bytes off `part`.
port::OutPart cut_front(port::OutPart& part, std::size_t size) {
    if (auto* buffer = std::get_if<Buffer>(&part)) {
        Buffer front = buffer->slice(0, size);
        *buffer = buffer->slice(size, buffer->size() - size);
        return front;
    }
    auto& range = std::get<port::FileRange>(part);
    port::FileRange front{range.file, range.position, size};
    range.position += size;
    range.length -= size;
    return front;
}

port::Task<void> answer_apart(Request request, ReplyTo reply) {
    const Handler handler = request.api->handler;
    reply.send(co_await handler(std::move(request)));
}

}  // namespace

std::size_t Response::size_bytes() const {
    std::size_t total = 0;
    for (const port::OutPart& part : parts) total += size_of(part);
    return total;
}

Response broken_request(std::string why) {
    return {.parts = {}, .broken = std::move(why)};
}

void ReplyTo::send(Response response) {
    DLOG_ASSERT(connection_ != nullptr);
    ClientConnection& connection = *std::exchange(connection_, nullptr);
    --connection.produce_in_flight_;
    connection.produce_bytes_in_flight_ -= request_bytes_;
    connection.fill_slot(sequence_, std::move(response));
    // Many produce requests end at one sync: the writer runs after all of them and writes once.
    connection.wake_writer(false);
    connection.changed_.notify_all();
}

ClientConnection::ClientConnection(Core& core, Arrival arrival)
    : core_(core),
      admission_(std::move(arrival.admission)),
      connection_(std::move(arrival.connection)),
      reader_(*connection_, core.budget, core.config.request_bytes_max),
      affinity_(core.id(), core.ports.spawn.core_count()),
      throttle_(core),
      watchdog_(*this) {
    reader_.begin_with(std::move(arrival.unread));
    if (arrival.fetch_session != nullptr) {
        fetch_session_id_ = arrival.fetch_session->id();
        core_.sessions.insert(std::move(arrival.fetch_session), core_.ports.clock.now());
    }
    const Duration shortest =
        std::min(core.config.connection_idle_max, core.config.write_stall_max);
    watch_period_ = std::clamp(Duration{shortest.ns / 4}, milliseconds(10), seconds(15));
}

port::Task<std::optional<CoreId>> ClientConnection::run() {
    watch_again();
    core_.ports.spawn.spawn(write_responses());
    co_await serve();
    if (next_home_) {
        // Only the writer is left, which is idle.
        is_closing_ = true;
        wake_writer(false);
    } else {
        close();
    }
    while (gate_.held() > 0) co_await gate_.left().wait();
    core_.ports.clock.disarm(watchdog_);
    co_return next_home_;
}

Arrival ClientConnection::depart() {
    DLOG_ASSERT(next_home_ && is_closing_ && slots_.empty());
    connection_->leave();
    return {.connection = std::move(connection_),
            .unread = reader_.take_unread(),
            .fetch_session = core_.sessions.extract(fetch_session_id_),
            .admission = std::move(admission_)};
}

void ClientConnection::close() {
    if (is_closing_) return;
    is_closing_ = true;
    // What ends now may be the last that `run` waits for, which then destroys this connection.
    const port::Gate::Hold hold = gate_.enter();
    connection_->close();
    wake_writer(false);
    changed_.notify_all();
}

port::Task<void> ClientConnection::serve() {
    while (!is_closing_) {
        if (affinity_.better_home() && co_await prepare_to_move()) co_return;
        if (muted_until_ != Instant{}) {
            co_await rest_while_muted();
            if (is_closing_) co_return;
        }
        Frame frame;
        if (!reader_.take(frame)) {
            auto next = co_await reader_.next();
            if (is_closing_) co_return;
            if (!next) {
                log_end(next.error());
                co_return;
            }
            frame = *std::move(next);
        }
        std::optional<Request> request = parse(std::move(frame));
        if (!request) co_return;
        ++moves_;
        if (request->api->pipelined == nullptr) {
            if (!co_await serve_one(*std::move(request))) co_return;
            continue;
        }
        while (!has_window() && !is_closing_) co_await changed_.wait();
        if (is_closing_) co_return;
        const RequestQuota quota = throttle_.begin(request->client_id);
        begin_apart(*std::move(request), quota);
    }
}

/// Does not wait for the answer.
void ClientConnection::begin_apart(Request request, RequestQuota begun) {
    const std::size_t bytes = request.frame.bytes.size();
    ++produce_in_flight_;
    produce_bytes_in_flight_ += bytes;
    ReplyTo reply(*this, reserve_slot(request), bytes, gate_);
    RequestQuota& quota = slots_.back().quota = begun;
    request.quota = &quota;
    if (const PipelinedHandler handler = request.api->pipelined) {
        charge_produce(request, bytes);
        muted_until_ = std::max(muted_until_, quota.muted_until);
        core_.ports.spawn.spawn(handler(std::move(request), std::move(reply)));
    } else {
        core_.ports.spawn.spawn(answer_apart(std::move(request), std::move(reply)));
    }
    // The slot stays until the writer runs, which is not within this call.
    if (quota.limits.request_time.is_set()) {
        quota.busy = core_.ports.clock.now() - quota.begun;
        quota.has_waited = true;
    }
}

port::Task<void> ClientConnection::rest_while_muted() {
    port::Clock& clock = core_.ports.clock;
    while (clock.now() < muted_until_ && !is_closing_ && !throttle_.have_changed()) {
        const Instant look_at = clock.now() + kMuteCheckInterval;
        co_await changed_.wait_until(clock, std::min(muted_until_, look_at));
    }
    muted_until_ = {};
}

/// Answers everything that was asked; true when the connection then is to go on where its
/// partitions are.
port::Task<bool> ClientConnection::prepare_to_move() {
    while ((!slots_.empty() || is_writing_) && !is_closing_) co_await changed_.wait();
    if (is_closing_ || muted_until_ != Instant{}) co_return false;
    next_home_ = affinity_.better_home();
    co_return next_home_.has_value();
}

port::Task<bool> ClientConnection::serve_one(Request request) {
    // What was produced before on this connection is answered, and visible, before this is begun.
    while (!slots_.empty() && !is_closing_) co_await changed_.wait();
    if (is_closing_) co_return false;
    const RequestQuota quota = throttle_.begin(request.client_id);
    if (quota.limits.request_time.is_set()) {
        begin_apart(std::move(request), quota);
        while (!slots_.empty() && !is_closing_) co_await changed_.wait();
        co_return !is_closing_;
    }
    const std::uint64_t sequence = reserve_slot(request);
    slots_.back().quota = quota;
    request.quota = &slots_.back().quota;
    const Handler handler = request.api->handler;
    Response response = co_await handler(std::move(request));
    fill_slot(sequence, std::move(response));
    wake_writer(true);
    while (!slots_.empty() && !is_closing_) co_await changed_.wait();
    co_return !is_closing_;
}

bool ClientConnection::has_window() const {
    return slots_.size() < core_.config.produce_in_flight_max &&
           (produce_in_flight_ == 0 ||
            produce_bytes_in_flight_ < core_.config.produce_in_flight_bytes_max);
}

std::optional<Request> ClientConnection::parse(Frame frame) {
    Request request;
    request.core = &core_;
    request.received = core_.ports.clock.exact_now();
    request.peer = connection_->peer();
    protocol::Reader reader(frame.bytes.view());
    std::int16_t key = -1;
    std::int16_t client_id_size = -1;
    reader.read(key);
    reader.read(request.version);
    reader.read(request.correlation_id);
    reader.read(client_id_size);
    if (!reader.ok() || client_id_size < -1 ||
        (client_id_size > 0 && static_cast<std::size_t>(client_id_size) > reader.remaining())) {
        close_because("the request's header is broken", nullptr);
        return std::nullopt;
    }
    const std::size_t id_bytes = client_id_size > 0 ? static_cast<std::size_t>(client_id_size) : 0;
    request.client_id = as_text(reader.rest().subspan(0, id_bytes));
    request.api = find_api(key);
    if (request.api == nullptr) {
        close_because("the API with key " + std::to_string(key) + " is not served", nullptr);
        return std::nullopt;
    }
    const bool is_served = request.api->serves(request.version);
    if (!is_served && key != kApiVersionsKey) {
        close_because("this version of the API is not served", &request);
        return std::nullopt;
    }
    protocol::Reader rest(reader.rest().subspan(id_bytes));
    if (request.api->is_flexible(request.version)) rest.skip_tags();
    if (!rest.ok()) {
        close_because("the request's header is broken", &request);
        return std::nullopt;
    }
    request.body = rest.rest();
    request.affinity = &affinity_;
    request.fetch_session_id = &fetch_session_id_;
    core_.metrics.request_bytes += frame.bytes.size();
    ++core_.metrics.requests[static_cast<std::size_t>(key)];
    request.frame = std::move(frame);
    return request;
}

void ClientConnection::log_end(FrameEnd end) {
    LogSink& log = core_.ports.log;
    switch (end) {
        case FrameEnd::kFinished:
            log.debug("the client closed the connection", {{"peer", peer()}});
            break;
        case FrameEnd::kBroken:
            log.debug("the connection broke", {{"peer", peer()}});
            break;
        case FrameEnd::kBadLength:
            ++core_.metrics.broken_requests;
            if (reader_.refused_bytes() > 0) ++core_.metrics.oversized_requests;
            log.warn("closed a connection: its next request has an impossible length",
                     {{"peer", peer()}, {"length", reader_.refused_length()}});
            break;
    }
}

void ClientConnection::close_because(std::string_view why, const Request* request) {
    ++core_.metrics.broken_requests;
    if (request == nullptr) {
        core_.ports.log.warn("closed a connection", {{"peer", peer()}, {"reason", why}});
    } else {
        core_.ports.log.warn("closed a connection",
                             {{"peer", peer()},
                              {"reason", why},
                              {"api", request->api->name},
                              {"version", request->version},
                              {"client", request->client_id.substr(0, 100)}});
    }
    close();
}

std::uint64_t ClientConnection::reserve_slot(const Request& request) {
    Slot& slot = slots_.emplace_back();
    slot.latencies = &core_.metrics.latencies[static_cast<std::size_t>(request.api->key)];
    slot.received = request.received;
    return first_sequence_ + slots_.size() - 1;
}

void ClientConnection::fill_slot(std::uint64_t sequence, Response response) {
    DLOG_ASSERT(sequence >= first_sequence_ && sequence - first_sequence_ < slots_.size(), sequence,
                first_sequence_);
    Slot& slot = slots_[sequence - first_sequence_];
    DLOG_ASSERT(!slot.is_ready, sequence);
    if (response.broken.empty()) {
        slot.latencies->record(core_.ports.clock.exact_now() - slot.received);
    } else {
        close_because(response.broken, nullptr);
    }
    muted_until_ = std::max(muted_until_, slot.quota.muted_until);
    slot.response = std::move(response);
    slot.is_ready = true;
}

void ClientConnection::wake_writer(bool at_once) {
    if (writer_ == nullptr) return;  // It is writing, or about to run, and looks again afterwards.
    const std::coroutine_handle<> writer = std::exchange(writer_, nullptr);
    if (at_once) {
        writer.resume();
    } else {
        core_.ports.spawn.post(core_.ports.spawn.core(), writer);
    }
}

port::Task<void> ClientConnection::write_responses() {
    const port::Gate::Hold hold = gate_.enter();
    while (true) {
        co_await WriterIdle{*this};
        if (is_closing_) break;
        while (has_ready_response() && !is_closing_) {
            std::vector<port::OutPart> output = take_output();
            if (output.empty()) continue;
            is_writing_ = true;
            auto written = co_await connection_->write(std::move(output));
            is_writing_ = false;
            ++moves_;
            if (!written) close();
        }
        changed_.notify_all();
    }
}

std::vector<port::OutPart> ClientConnection::take_output() {
    std::vector<port::OutPart> output;
    std::size_t bytes = 0;
    while (has_ready_response() && bytes < kWriteBytesMax) {
        std::vector<port::OutPart>& parts = slots_.front().response.parts;
        std::size_t taken = 0;
        for (; taken < parts.size() && bytes < kWriteBytesMax; ++taken) {
            const std::size_t size = size_of(parts[taken]);
            if (bytes + size > kWriteBytesMax) {
                output.push_back(cut_front(parts[taken], kWriteBytesMax - bytes));
                bytes = kWriteBytesMax;
                break;
            }
            bytes += size;
            output.push_back(std::move(parts[taken]));
        }
        if (taken == parts.size()) {
            slots_.pop_front();
            ++first_sequence_;
        } else {
            parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(taken));
        }
    }
    core_.metrics.response_bytes += bytes;
    return output;
}

void ClientConnection::watch_again() {
    // Rounded, so that the watchdogs of thousands go off in few wakes.
    const std::int64_t step_ns = watch_period_.ns / 16;
    const Instant wanted = core_.ports.clock.now() + watch_period_;
    core_.ports.clock.arm(watchdog_, Instant{(wanted.ns / step_ns + 1) * step_ns});
}

void ClientConnection::look_after() {
    const std::uint64_t moves = moves_ + reader_.reads();
    const bool is_muted = muted_until_ != Instant{} && !is_writing_;
    unmoved_ = moves == watched_moves_ && !is_muted ? unmoved_ + watch_period_ : Duration{};
    watched_moves_ = moves;
    const bool is_waiting_for_peer = is_writing_ || (slots_.empty() && reader_.is_within_frame());
    if (is_waiting_for_peer && unmoved_ >= core_.config.write_stall_max) {
        core_.ports.log.warn(
            "closed a connection",
            {{"peer", peer()},
             {"reason", is_writing_ ? "the client does not take its responses"
                                    : "the client stopped in the middle of a request"}});
        ++core_.metrics.stalled_connections;
        return close();
    }
    if (slots_.empty() && unmoved_ >= core_.config.connection_idle_max) {
        core_.ports.log.debug("closed an idle connection", {{"peer", peer()}});
        return close();
    }
    watch_again();
}

}  // namespace dlog::broker
