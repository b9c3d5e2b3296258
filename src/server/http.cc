#include "server/http.h"

#include <tuple>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/close_after.h"
#include "port/spawn.h"

namespace dlog::server {

namespace {

std::string_view reason(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 431:
            return "Request Header Fields Too Large";
        case 503:
            return "Service Unavailable";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Unknown";
    }
}

std::string render_head(const HttpResponse& response) {
    std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
    head += reason(response.status);
    head += "\r\nContent-Type: " + response.content_type;
    head += "\r\nContent-Length: " + std::to_string(response.body.size());
    if (response.status == 405) head += "\r\nAllow: GET, HEAD";
    head += "\r\nConnection: close\r\n\r\n";
    return head;
}

HttpResponse refusal(int status) {
    return {.status = status, .body = std::string(reason(status)) + "\n"};
}

/// Reads until the empty line that ends a request's head. Empty when the peer went away; "\n" when
/// it is too long.
port::Task<std::string> read_head(port::Connection& connection) {
    std::string head;
    std::uint8_t chunk[2048];
    while (head.find("\r\n\r\n") == std::string::npos) {
        if (head.size() > HttpServer::kHeadBytesMax) co_return "\n";
        const auto count = co_await connection.read(chunk);
        if (!count || *count == 0) co_return "";
        head.append(reinterpret_cast<const char*>(chunk), *count);
    }
    co_return head;
}

}  // namespace

HttpRequest parse_http_request(std::string_view head) {
    HttpRequest request;
    std::string_view line = head.substr(0, head.find("\r\n"));
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last || first == 0) {
        request.refusal = 400;
        return request;
    }
    request.method = line.substr(0, first);
    request.path = line.substr(first + 1, last - first - 1);
    request.path = request.path.substr(0, request.path.find('?'));
    const std::string_view version = line.substr(last + 1);
    if (!version.starts_with("HTTP/")) {
        request.refusal = 400;
    } else if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        request.refusal = 505;
    } else if (request.path.empty() || request.path[0] != '/') {
        request.refusal = 400;
    } else if (request.method != "GET" && request.method != "HEAD") {
        request.refusal = 405;
    }
    return request;
}

port::Task<port::NetResult<port::Endpoint>> HttpServer::start(port::Endpoint endpoint) {
    DLOG_ASSERT(listener_ == nullptr);
    DLOG_CO_TRY_ASSIGN(listener_, co_await ports_.net.listen(std::move(endpoint)));
    ports_.spawn.spawn(accept_loop(gate_.enter()));
    co_return listener_->endpoint();
}

port::Task<void> HttpServer::stop() {
    gate_.close();
    if (listener_ != nullptr) listener_->close();
    for (port::Connection* connection : connections_) connection->close();
    while (gate_.held() > 0) std::ignore = co_await gate_.left().wait();
    listener_.reset();
}

port::Task<void> HttpServer::accept_loop([[maybe_unused]] port::Gate::Hold hold) {
    while (!gate_.is_closed()) {
        auto connection = co_await listener_->accept();
        if (!connection) {
            if (gate_.is_closed() || connection.error() == port::NetError::kClosed) break;
            ports_.log.warn("the HTTP port could not accept a connection",
                            {{"error", port::net_error_name(connection.error())}});
            co_await port::sleep_for(ports_.clock, milliseconds(100));
            continue;
        }
        if (connections_.size() >= kConnectionsMax) continue;  // dropping it closes it
        ports_.spawn.spawn(serve(gate_.enter(), *std::move(connection)));
    }
}

port::Task<void> HttpServer::serve([[maybe_unused]] port::Gate::Hold hold,
                                   port::ConnectionPtr connection) {
    connections_.insert(connection.get());
    {
        const port::CloseAfter deadline(ports_.clock, *connection, kTimeout);
        const std::string head = co_await read_head(*connection);
        if (!head.empty()) {
            const HttpRequest request =
                head == "\n" ? HttpRequest{.refusal = 431} : parse_http_request(head);
            HttpResponse response = refusal(request.refusal);
            if (request.refusal == 0) {
                response = co_await handler_.get(std::string(request.path));
            }
            std::vector<port::OutPart> parts;
            parts.emplace_back(Buffer::copy_of(as_bytes(render_head(response))));
            if (request.method != "HEAD" && !response.body.empty()) {
                parts.emplace_back(Buffer::copy_of(as_bytes(response.body)));
            }
            std::ignore = co_await connection->write(std::move(parts));
        }
    }
    connections_.erase(connection.get());
    connection->close();
}

}  // namespace dlog::server
