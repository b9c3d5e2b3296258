#include "reactor/sockets.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>

#include "base/assert.h"

namespace dlog::reactor {

using port::NetError;

namespace {

constexpr int kBacklog = 1024;
constexpr int kKeepaliveIdleSeconds = 60;
constexpr int kKeepaliveIntervalSeconds = 10;
constexpr int kKeepaliveProbes = 6;

void set_option(int fd, int level, int name, int value) {
    // A refusal costs an optimisation only.
    (void)::setsockopt(fd, level, name, &value, sizeof(value));
}

}  // namespace

port::Endpoint SocketAddress::endpoint() const {
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    const int status = ::getnameinfo(get(), length, host.data(), host.size(), service.data(),
                                     service.size(), NI_NUMERICHOST | NI_NUMERICSERV);
    if (status != 0) return {};
    return {.host = host.data(), .port = static_cast<std::uint16_t>(std::atoi(service.data()))};
}

NetError net_error_of(int errno_value) {
    switch (errno_value) {
        case ECONNREFUSED:
            return NetError::kRefused;
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ENETDOWN:
        case EADDRNOTAVAIL:
        case EAFNOSUPPORT:
            return NetError::kUnreachable;
        case EADDRINUSE:
            return NetError::kAddressInUse;
        case EMFILE:
        case ENFILE:
            return NetError::kTooManyFiles;
        case EACCES:
        case EPERM:
            return NetError::kDenied;
        case ETIMEDOUT:
            return NetError::kTimedOut;
        default:
            return NetError::kReset;
    }
}

std::vector<SocketAddress> resolve(const port::Endpoint& endpoint, Resolve how) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (how == Resolve::kNumericOnly ? AI_NUMERICHOST : 0);
    addrinfo* found = nullptr;
    const std::string service = std::to_string(endpoint.port);
    if (::getaddrinfo(endpoint.host.c_str(), service.c_str(), &hints, &found) != 0) return {};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &::freeaddrinfo);
    std::vector<SocketAddress> addresses;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        SocketAddress& address = addresses.emplace_back();
        DLOG_ASSERT(entry->ai_addrlen <= sizeof(address.storage), entry->ai_addrlen);
        std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
        address.length = entry->ai_addrlen;
    }
    return addresses;
}

void set_stream_options(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
}

int open_listening_socket(const SocketAddress& address) {
    const int fd =
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    // Connections inherit these, which saves the calls at each accept. No SO_REUSEPORT: a second
    // node that is started on the same port by mistake is refused.
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_stream_options(fd);
    if (::bind(fd, address.get(), address.length) != 0 || ::listen(fd, kBacklog) != 0) {
        const int error = errno;
        ::close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

std::uint16_t local_port(int fd) {
    SocketAddress address;
    address.length = sizeof(address.storage);
    if (::getsockname(fd, address.get(), &address.length) != 0) return 0;
    return address.endpoint().port;
}

}  // namespace dlog::reactor
