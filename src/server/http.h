/// A tiny HTTP/1.1 server for metrics and health checks: GET and HEAD, one request a connection.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/time.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::server {

struct HttpResponse {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
};

/// What answers requests.
class HttpHandler {
  public:
    virtual ~HttpHandler() = default;
    /// `path` is without its query.
    virtual port::Task<HttpResponse> get(std::string path) = 0;
};

/// The outcome of reading a request's head.
struct HttpRequest {
    std::string_view method;
    std::string_view path;
    /// 0, or the status to refuse the request with.
    int refusal = 0;
};

/// Reads the first line of `head` (RFC 9112 §3); headers are not looked at.
[[nodiscard]] HttpRequest parse_http_request(std::string_view head);

/// Belongs to one core. A request's head is at most kHeadBytesMax and must be there kTimeout after
/// the connection was accepted; at most kConnectionsMax are served at a time, further ones are
/// closed at once.
class HttpServer {
  public:
    static constexpr std::size_t kHeadBytesMax = 8192;
    static constexpr std::size_t kConnectionsMax = 64;
    static constexpr Duration kTimeout = seconds(10);

    HttpServer(const port::Ports& ports, HttpHandler& handler) : ports_(ports), handler_(handler) {}
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Starts serving; the bound address, with the real port when 0 was asked for.
    port::Task<port::NetResult<port::Endpoint>> start(port::Endpoint endpoint);
    /// Closes all connections, and returns when nothing is under way any more.
    port::Task<void> stop();

  private:
    port::Task<void> accept_loop(port::Gate::Hold hold);
    /// `hold` comes first so that it is dropped last.
    port::Task<void> serve(port::Gate::Hold hold, port::ConnectionPtr connection);

    const port::Ports& ports_;
    HttpHandler& handler_;
    port::ListenerPtr listener_;
    port::Gate gate_;
    std::set<port::Connection*> connections_;
};

}  // namespace dlog::server
