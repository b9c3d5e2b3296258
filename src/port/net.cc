#include "port/net.h"

#include <charconv>

#include "base/result.h"

namespace dlog::port {

std::string_view net_error_name(NetError error) {
    switch (error) {
        case NetError::kClosed:
            return "connection closed";
        case NetError::kReset:
            return "connection reset by peer";
        case NetError::kRefused:
            return "connection refused";
        case NetError::kUnreachable:
            return "host unreachable";
        case NetError::kUnknownHost:
            return "unknown host";
        case NetError::kAddressInUse:
            return "address already in use";
        case NetError::kTooManyFiles:
            return "too many open files";
        case NetError::kDenied:
            return "permission denied";
        case NetError::kTimedOut:
            return "timed out";
        case NetError::kFile:
            return "file could not be read";
    }
    return "unknown network error";
}

std::string Endpoint::text() const {
    const bool is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool parse_endpoint(std::string_view text, Endpoint& endpoint) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return false;
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size()) return false;
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return false;
    }
    endpoint.host = host.empty() ? "0.0.0.0" : std::string(host);
    endpoint.port = port;
    return true;
}

Task<DiskResult<Buffer>> load(Disk& disk, OutPart part) {
    if (auto* buffer = std::get_if<Buffer>(&part)) co_return std::move(*buffer);
    const auto& range = std::get<FileRange>(part);
    Buffer bytes = Buffer::allocate(range.length);
    DLOG_CO_TRY_ASSIGN(const std::size_t count,
                       co_await disk.read(range.file, range.position, bytes.mutable_view()));
    if (count != range.length) co_return unexpected(DiskError::kIo);
    co_return bytes;
}

Task<NetResult<bool>> read_exactly(Connection& connection, MutableBytes into) {
    std::size_t done = 0;
    while (done < into.size()) {
        DLOG_CO_TRY_ASSIGN(const std::size_t count, co_await connection.read(into.subspan(done)));
        if (count == 0) {
            if (done == 0) co_return false;
            co_return unexpected(NetError::kReset);
        }
        done += count;
    }
    co_return true;
}

}  // namespace dlog::port
