/// Socket addresses and options as plain values and calls.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "port/net.h"

namespace dlog::reactor {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    /// The numeric host and the port.
    [[nodiscard]] port::Endpoint endpoint() const;
};

/// The port's name of an errno value of a socket call.
[[nodiscard]] port::NetError net_error_of(int errno_value);

enum class Resolve : std::uint8_t {
    kNumericOnly,  ///< Never blocks; finds nothing for a name.
    kNames,        ///< May block for seconds.
};
/// The addresses of an endpoint in the order to try them; empty when the host is unknown.
[[nodiscard]] std::vector<SocketAddress> resolve(const port::Endpoint& endpoint, Resolve how);

/// No delay of small segments; keepalive, so that a peer that vanished is noticed within about two
/// minutes.
void set_stream_options(int fd);

/// A non-blocking listening socket, or -1 with errno.
[[nodiscard]] int open_listening_socket(const SocketAddress& address);

/// The port that a socket is bound to.
[[nodiscard]] std::uint16_t local_port(int fd);

}  // namespace dlog::reactor
