#include "peers/link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "peers/desk.h"
#include "port/close_after.h"

namespace dlog::peers {

namespace raft = consensus::raft;

Link::Link(Desk& desk, NodeId to, raft::Purpose purpose, Cargo& cargo, Duration backoff_most)
    : desk_(desk), to_(to), purpose_(purpose), cargo_(cargo), backoff_most_(backoff_most) {}

void Link::wake() {
    if (is_closed_) return;
    if (is_running_) return changed_.notify_all();
    is_running_ = true;
    desk_.ports.spawn.spawn(run());
}

void Link::reset(std::uint64_t incarnation) {
    if (connection_ != nullptr && incarnation_ < incarnation) connection_->close();
}

void Link::close() {
    is_closed_ = true;
    cargo_.stop();
    if (connection_ != nullptr) connection_->close();
    // Each may end `run`, and with it what the next line would look at: none of that is freed.
    const std::shared_ptr<Attempt> attempt = attempt_;
    if (attempt != nullptr) attempt->done.notify_all();
    heard_.notify_all();
    changed_.notify_all();
}

port::Task<void> Link::run() {
    const port::Gate::Hold hold = desk_.gate.enter();
    port::Clock& clock = desk_.ports.clock;
    Duration pause;
    while (!is_closed_) {
        if (cargo_.is_empty()) {
            co_await changed_.wait();
            continue;
        }
        const Instant begin = clock.now();
        const bool is_open = co_await open();
        if (is_open) co_await carry();
        connection_.reset();
        if (is_closed_) break;
        cargo_.drop();
        // A connection that is refused right after its greeting has not been a success.
        const bool was_good = is_open && clock.now() - begin > backoff_most_;
        pause = was_good ? desk_.shared.config.backoff_least
                         : std::clamp(pause * 2, desk_.shared.config.backoff_least, backoff_most_);
        co_await heard_.wait_until(clock, clock.now() + pause);
    }
    cargo_.stop();
}

port::Task<void> Link::connect_into(port::Net* net, port::Endpoint endpoint,
                                    std::shared_ptr<Attempt> attempt) {
    attempt->result = co_await net->connect(std::move(endpoint));
    attempt->is_done = true;
    attempt->done.notify_all();
}

port::Task<port::NetResult<port::ConnectionPtr>> Link::connect(Instant deadline) {
    const auto attempt = std::make_shared<Attempt>();
    attempt_ = attempt;
    desk_.ports.spawn.spawn(
        connect_into(&desk_.ports.net, desk_.shared.config.nodes.at(to_), attempt));
    while (!attempt->is_done && !is_closed_) {
        if (!co_await attempt->done.wait_until(desk_.ports.clock, deadline)) break;
    }
    attempt_.reset();
    if (!attempt->is_done) co_return std::unexpected(port::NetError::kTimedOut);
    co_return std::move(attempt->result);
}

port::Task<bool> Link::open() {
    NodeMetrics& metrics = desk_.metrics.nodes[to_];
    const Instant deadline = desk_.ports.clock.now() + desk_.shared.config.greeting_timeout;
    auto connected = co_await connect(deadline);
    bool is_open = false;
    if (connected && !is_closed_) {
        connection_ = *std::move(connected);
        is_open = co_await greet(deadline);
    }
    ++(is_open ? metrics.connects : metrics.connect_failures);
    co_return is_open && !is_closed_;
}

port::Task<bool> Link::greet(Instant deadline) {
    port::Clock& clock = desk_.ports.clock;
    const port::CloseAfter limit(clock, *connection_, deadline - clock.now());
    std::vector<port::OutPart> parts;
    parts.emplace_back(raft::encode_greeting(desk_.greeting_to(to_, purpose_, desk_.id())));
    const auto written = co_await connection_->write(std::move(parts));
    if (!written) co_return false;
    const auto answer = co_await read_frame(connection_.get(), kGreetingBounds);
    if (answer) co_return is_answer(*answer);
    // Whoever closes without a word has said why in its own log.
    const bool is_odd = answer.error() == FrameFault::kMalformed ||
                        answer.error() == FrameFault::kUnsupportedVersion;
    if (is_odd) complain(frame_fault_name(answer.error()));
    co_return false;
}

bool Link::is_answer(const Frame& frame) {
    const auto greeting = frame.head.kind == raft::FrameKind::kGreeting
                              ? raft::decode_greeting(frame.text.view())
                              : std::unexpected(consensus::Error::kMalformed);
    if (!greeting) {
        complain(frame_fault_name(FrameFault::kMalformed));
    } else if (greeting->cluster_id != desk_.shared.config.cluster_id) {
        complain("it is of cluster " + greeting->cluster_id);
    } else if (greeting->from != to_) {
        complain("it is node " + std::to_string(greeting->from.value));
    } else {
        raft::Greeting expected = desk_.greeting_to(to_, purpose_, desk_.id());
        std::swap(expected.from, expected.to);
        expected.incarnation = greeting->incarnation;
        incarnation_ = greeting->incarnation;
        return *greeting == expected;
    }
    return false;
}

void Link::complain(std::string_view reason) {
    desk_.complain("a node cannot be spoken to", to_, desk_.shared.config.nodes.at(to_).text(),
                   reason);
}

port::Task<void> Link::carry() {
    NodeMetrics& metrics = desk_.metrics.nodes[to_];
    is_broken_ = false;
    is_listening_ = true;
    desk_.ports.spawn.spawn(listen());
    while (!is_broken_ && !is_closed_) {
        if (cargo_.is_empty()) {
            co_await changed_.wait();
            continue;
        }
        Cargo::Load load = cargo_.take();
        if (load.parts.empty()) continue;
        std::uint64_t bytes = 0;
        for (const port::OutPart& part : load.parts) bytes += std::get<Buffer>(part).size();
        const auto written = co_await connection_->write(std::move(load.parts));
        if (!written) break;
        metrics.bytes_sent += bytes;
        metrics.frames_sent += load.frames;
    }
    connection_->close();
    while (is_listening_) co_await changed_.wait();
}

/// Reads what comes back, and by that learns that the other side has gone while nothing is sent.
port::Task<void> Link::listen() {
    const port::Gate::Hold hold = desk_.gate.enter();
    const FrameBounds bounds{.text_bytes = kCallTextMax};
    while (!is_closed_) {
        auto frame = co_await read_frame(connection_.get(), bounds);
        if (!frame || !cargo_.came(*std::move(frame))) break;
    }
    is_broken_ = true;
    connection_->close();
    is_listening_ = false;
    changed_.notify_all();
}

}  // namespace dlog::peers
