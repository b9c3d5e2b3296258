#include "broker/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "base/assert.h"

namespace dlog::broker {

std::optional<std::string> canonical_address(std::string_view text) {
    const std::string address(text);
    char out[INET6_ADDRSTRLEN];
    in_addr v4{};
    in6_addr v6{};
    if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) {
        // It is already: inet_pton takes no other form.
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6) != 1) {
        return std::nullopt;
    } else if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
        const char* const written = ::inet_ntop(AF_INET6, &v6, out, sizeof(out));
        DLOG_ASSERT(written != nullptr);
        return written;
    } else {
        std::memcpy(&v4, &v6.s6_addr[12], sizeof(v4));
    }
    const char* const written = ::inet_ntop(AF_INET, &v4, out, sizeof(out));
    DLOG_ASSERT(written != nullptr);
    return written;
}

std::string address_of_peer(std::string_view peer) {
    std::string_view host = peer.substr(0, peer.rfind(':'));
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    return canonical_address(host).value_or(std::string(host));
}

}  // namespace dlog::broker
