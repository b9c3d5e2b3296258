/// The simulated network and the Net port's body over it.
///
/// The fault model
/// - A stream carries bytes in order, without loss or repetition, cut into segments of random
///   length at random delays; reads return any part of what has arrived.
/// - A stream holds at most its window of bytes that its reader has not taken: then a write waits.
/// - A connection may be reset at any segment: what is under way is lost in both directions, each
///   side hears of it at its own time, or when it next uses the stream.
/// - A link between two hosts may be blocked, in one direction or both. Nothing is lost, it waits;
///   a sender whose segments wait too long gets kTimedOut, and its peer hears nothing of that.
/// - A host that loses power says nothing: its peers wait (half-open) until what they send times
///   out or meets the restarted host, which answers with a reset. A process that dies resets its
///   connections.
/// - Connecting may be refused at random, is refused where nobody listens, and times out where the
///   host is down or a link is blocked.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "port/net.h"
#include "sim/loop.h"
#include "sim/options.h"

namespace dlog::sim {

struct Packet;
struct Stream;
struct StreamEnd;
struct Listening;
using StreamPtr = std::shared_ptr<Stream>;

/// All hosts' addresses, listeners, streams and links.
class Network {
  public:
    Network(Loop& loop, NetOptions& options);
    ~Network();

    /// The host gets the address 10.0.0.(number + 1) and is found by its name.
    void add_host(std::uint32_t number, std::string name);
    [[nodiscard]] static std::string address_of(std::uint32_t host);

    /// Blocks or opens the link from one host to another, in that direction.
    void set_blocked(std::uint32_t from, std::uint32_t to, bool is_blocked);
    void open_all_links();
    /// Resets one live connection, chosen at random; false when there is none.
    bool reset_one();
    [[nodiscard]] std::size_t live_streams() const;

    /// The host lost power: its ends vanish.
    void host_lost_power(std::uint32_t host);
    /// The host's process died: the system closes its ends.
    void process_died(std::uint32_t host);
    void host_came_up(std::uint32_t host);

  private:
    friend class SimNet;
    friend class SimListener;
    friend class SimConnection;
    using HostPort = std::pair<std::uint32_t, std::uint16_t>;

    [[nodiscard]] bool resolve(const std::string& name, std::uint32_t from,
                               std::uint32_t& host) const;
    [[nodiscard]] bool can_pass(std::uint32_t from, std::uint32_t to) const;
    StreamPtr make_stream(Place& client, Place& server, std::uint16_t server_port);
    void send(const StreamPtr& stream, unsigned from, Packet packet);
    void await_delivery(const StreamPtr& stream, unsigned from);
    void deliver_first(const StreamPtr& stream, unsigned from);
    void receive(const StreamPtr& stream, unsigned to, Packet packet);
    void park(const StreamPtr& stream, unsigned from);
    void wake_parked();
    void fail(const StreamPtr& stream, unsigned end, port::NetError error);
    void break_stream(const StreamPtr& stream);
    void close_end(const StreamPtr& stream, unsigned end);
    void stop_sending(StreamEnd& end);
    void retire_if_dead(const StreamPtr& stream);
    void drop_host(std::uint32_t host, bool is_silent);

    Loop& loop_;
    NetOptions& options_;
    Random random_;
    std::map<std::string, std::uint32_t> hosts_;
    std::set<std::pair<std::uint32_t, std::uint32_t>> blocked_;
    std::set<std::uint32_t> down_;
    std::map<HostPort, std::vector<Listening*>> listening_;
    std::map<std::uint64_t, StreamPtr> streams_;
    std::uint64_t next_stream_ = 1;
    std::uint16_t next_port_ = 32768;
};

class SimNet final : public port::Net {
  public:
    SimNet(Network& network, Place& place) : network_(network), place_(place) {}
    port::Task<port::NetResult<port::ListenerPtr>> listen(port::Endpoint endpoint) override;
    port::Task<port::NetResult<port::ConnectionPtr>> connect(port::Endpoint endpoint) override;
    [[nodiscard]] bool adopt(port::Connection& connection) override;

  private:
    Network& network_;
    Place& place_;
};

}  // namespace dlog::sim
