#include "sim/net.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "port/teardown.h"
#include "sim/core.h"
#include "sim/disk.h"
#include "sim/stream.h"

namespace dlog::sim {

using port::ConnectionPtr;
using port::Endpoint;
using port::FileRange;
using port::ListenerPtr;
using port::NetError;
using port::NetResult;
using port::OutPart;
using port::Task;

class SimConnection final : public port::Connection {
  public:
    SimConnection(Network& network, StreamPtr stream, unsigned end)
        : network_(network), stream_(std::move(stream)), end_(end) {}
    ~SimConnection() override {
        DLOG_ASSERT((!is_reading_ && !is_writing_) || port::Teardown::is_under_way());
        close();
    }

    Task<NetResult<std::size_t>> read(MutableBytes into) override;
    Task<NetResult<void>> write(std::vector<OutPart> parts) override;
    void close() override { network_.close_end(stream_, end_); }
    void leave() override;
    [[nodiscard]] bool join(Place& place);
    [[nodiscard]] const std::string& peer() const override { return mine().peer; }

  private:
    [[nodiscard]] StreamEnd& mine() const { return stream_->ends[end_]; }
    [[nodiscard]] std::optional<NetError> failure() const {
        if (mine().is_closed) return NetError::kClosed;
        return mine().error;
    }
    std::size_t take(MutableBytes into);
    Task<NetResult<void>> wait_for_room();
    /// How many of `wanted` bytes go into the next segment; there is room for one.
    std::size_t next_length(std::uint64_t wanted);
    void send(ByteView bytes);
    Task<NetResult<void>> write_bytes(Buffer bytes);
    Task<NetResult<void>> write_file(FileRange range);

    Network& network_;
    StreamPtr stream_;
    unsigned end_;
    bool is_reading_ = false;
    bool is_writing_ = false;
    bool is_between_cores_ = false;
};

void SimConnection::leave() {
    network_.loop_.assert_may_use(*mine().place);
    DLOG_ASSERT(!is_reading_ && !is_writing_ && !is_between_cores_);
    is_between_cores_ = true;
}

bool SimConnection::join(Place& place) {
    network_.loop_.assert_may_use(place);
    DLOG_ASSERT(is_between_cores_ && place.host == mine().place->host, place.host);
    is_between_cores_ = false;
    mine().place = &place;
    return !mine().is_closed;
}

Task<NetResult<std::size_t>> SimConnection::read(MutableBytes into) {
    Loop& loop = network_.loop_;
    loop.assert_may_use(*mine().place);
    DLOG_ASSERT(!is_reading_ && !into.empty());
    is_reading_ = true;
    if (network_.random_.chance(1, 4)) co_await Pause(loop, *mine().place, loop.now());
    while (!mine().is_closed && mine().unread() == 0 && !mine().error &&
           !mine().has_peer_finished) {
        co_await mine().readable.wait(loop, *mine().place);
    }
    is_reading_ = false;
    if (mine().is_closed) co_return unexpected(NetError::kClosed);
    if (mine().unread() > 0) co_return take(into);
    if (mine().error) co_return unexpected(*mine().error);
    co_return 0;
}

std::size_t SimConnection::take(MutableBytes into) {
    StreamEnd& end = mine();
    std::size_t length = std::min(into.size(), end.unread());
    if (network_.random_.chance(1, 4)) length = 1 + network_.random_.below(length);
    std::memcpy(into.data(), end.received.data() + end.read_from, length);
    end.read_from += length;
    end.not_reported += length;
    if (end.unread() == 0) {
        end.received.clear();
        end.read_from = 0;
    } else if (end.read_from > end.received.size() / 2) {
        const auto unread = static_cast<std::ptrdiff_t>(end.read_from);
        end.received.erase(end.received.begin(), end.received.begin() + unread);
        end.read_from = 0;
    }
    if (end.unread() == 0 || end.not_reported > stream_->window_bytes / 4) {
        Packet packet;
        packet.kind = Packet::Kind::kTaken;
        packet.taken = std::exchange(end.not_reported, 0);
        network_.send(stream_, end_, std::move(packet));
    }
    return length;
}

Task<NetResult<void>> SimConnection::wait_for_room() {
    while (!failure() && mine().outstanding >= stream_->window_bytes) {
        co_await mine().writable.wait(network_.loop_, *mine().place);
    }
    if (const std::optional<NetError> error = failure()) co_return unexpected(*error);
    co_return NetResult<void>();
}

std::size_t SimConnection::next_length(std::uint64_t wanted) {
    DLOG_ASSERT(mine().outstanding < stream_->window_bytes && wanted > 0);
    std::uint64_t most = std::min<std::uint64_t>(
        {wanted, stream_->window_bytes - mine().outstanding, network_.options_.segment_bytes_most});
    if (network_.random_.chance(1, 4)) most = 1 + network_.random_.below(most);
    return most;
}

void SimConnection::send(ByteView bytes) {
    if (happens(network_.random_, network_.options_.reset) && !stream_->is_broken) {
        network_.break_stream(stream_);
    }
    Packet packet;
    packet.bytes.assign(bytes.begin(), bytes.end());
    mine().outstanding += bytes.size();
    network_.send(stream_, end_, std::move(packet));
}

Task<NetResult<void>> SimConnection::write_bytes(Buffer bytes) {
    ByteView rest = bytes.view();
    while (!rest.empty()) {
        DLOG_CO_TRY(co_await wait_for_room());
        const std::size_t length = next_length(rest.size());
        send(rest.first(length));
        rest = rest.subspan(length);
    }
    co_return NetResult<void>();
}

Task<NetResult<void>> SimConnection::write_file(FileRange range) {
    Loop& loop = network_.loop_;
    std::vector<std::uint8_t> bytes;
    while (range.length > 0) {
        co_await Pause(loop, *mine().place,
                       loop.now() + draw(network_.random_, network_.options_.latency));
        DLOG_CO_TRY(co_await wait_for_room());
        bytes.resize(next_length(range.length));
        if (read_open_file(*range.file, range.position, bytes) < bytes.size()) {
            co_return unexpected(NetError::kFile);
        }
        send(bytes);
        range.position += bytes.size();
        range.length -= bytes.size();
    }
    co_return NetResult<void>();
}

Task<NetResult<void>> SimConnection::write(std::vector<OutPart> parts) {
    network_.loop_.assert_may_use(*mine().place);
    DLOG_ASSERT(!is_writing_);
    is_writing_ = true;
    NetResult<void> result;
    for (OutPart& part : parts) {
        if (auto* range = std::get_if<FileRange>(&part)) {
            result = co_await write_file(std::move(*range));
        } else {
            result = co_await write_bytes(std::move(std::get<Buffer>(part)));
        }
        if (!result) break;
    }
    is_writing_ = false;
    if (result && failure()) co_return unexpected(*failure());
    co_return result;
}

class SimListener final : public port::Listener {
  public:
    SimListener(Network& network, Place& place, std::uint16_t port, std::string host)
        : network_(network), host_(std::move(host)) {
        listening_.place = &place;
        listening_.port = port;
        network_.listening_[{place.host, port}].push_back(&listening_);
    }
    ~SimListener() override { close(); }

    Task<NetResult<ConnectionPtr>> accept() override;
    [[nodiscard]] Endpoint endpoint() const override { return {host_, listening_.port}; }
    void close() override;

  private:
    Network& network_;
    std::string host_;
    Listening listening_;
};

Task<NetResult<ConnectionPtr>> SimListener::accept() {
    Loop& loop = network_.loop_;
    loop.assert_may_use(*listening_.place);
    while (!listening_.is_closed && listening_.arrived.empty()) {
        co_await listening_.arrival.wait(loop, *listening_.place);
    }
    if (listening_.is_closed) co_return unexpected(NetError::kClosed);
    StreamPtr stream = std::move(listening_.arrived.front());
    listening_.arrived.pop_front();
    co_return std::make_unique<SimConnection>(network_, std::move(stream), 1);
}

void SimListener::close() {
    if (listening_.is_closed) return;
    listening_.is_closed = true;
    std::erase(network_.listening_[{listening_.place->host, listening_.port}], &listening_);
    for (const StreamPtr& stream : listening_.arrived) network_.close_end(stream, 1);
    listening_.arrived.clear();
    listening_.arrival.ring();
}

bool SimNet::adopt(port::Connection& connection) {
    return static_cast<SimConnection&>(connection).join(place_);
}

Task<NetResult<ListenerPtr>> SimNet::listen(Endpoint endpoint) {
    Loop& loop = network_.loop_;
    loop.assert_may_use(place_);
    co_await Pause(loop, place_, loop.now() + draw(network_.random_, network_.options_.connect));
    std::uint32_t host = place_.host;
    const bool is_everywhere =
        endpoint.host.empty() || endpoint.host == "0.0.0.0" || endpoint.host == "::";
    if (!is_everywhere && !network_.resolve(endpoint.host, place_.host, host)) {
        co_return unexpected(NetError::kUnknownHost);
    }
    if (host != place_.host) co_return unexpected(NetError::kUnreachable);
    if (endpoint.port == 0) endpoint.port = network_.next_port_++;
    for (const Listening* other : network_.listening_[{host, endpoint.port}]) {
        if (other->place == &place_) co_return unexpected(NetError::kAddressInUse);
    }
    co_return std::make_unique<SimListener>(network_, place_, endpoint.port, endpoint.host);
}

Task<NetResult<ConnectionPtr>> SimNet::connect(Endpoint endpoint) {
    Loop& loop = network_.loop_;
    loop.assert_may_use(place_);
    Random& random = network_.random_;
    const NetOptions& options = network_.options_;
    const Instant give_up = loop.now() + options.give_up_after;
    co_await Pause(loop, place_, loop.now() + draw(random, options.connect));
    std::uint32_t host = 0;
    if (!network_.resolve(endpoint.host, place_.host, host)) {
        co_return unexpected(NetError::kUnknownHost);
    }
    while (!network_.can_pass(place_.host, host) || !network_.can_pass(host, place_.host)) {
        if (loop.now() >= give_up) co_return unexpected(NetError::kTimedOut);
        // The first segment is sent again and again.
        co_await Pause(loop, place_, loop.now() + seconds(1));
    }
    const std::vector<Listening*>& listeners = network_.listening_[{host, endpoint.port}];
    if (listeners.empty() || happens(random, options.refuse)) {
        co_return unexpected(NetError::kRefused);
    }
    Listening& chosen = *listeners[random.below(listeners.size())];
    constexpr std::size_t kBacklog = 128;
    if (chosen.arrived.size() >= kBacklog) co_return unexpected(NetError::kRefused);
    StreamPtr stream = network_.make_stream(place_, *chosen.place, endpoint.port);
    auto connection = std::make_unique<SimConnection>(network_, stream, 0);
    chosen.arrived.push_back(std::move(stream));
    chosen.arrival.ring();
    co_await Pause(loop, place_, loop.now() + draw(random, options.latency));
    co_return connection;
}

}  // namespace dlog::sim
