#include "cli/http_get.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "port/clock.h"
#include "port/close_after.h"
#include "port/spawn.h"
#include "port/sync.h"

namespace dlog::cli {

namespace {

constexpr std::size_t kChunkBytes = 32 << 10;

port::Task<port::NetResult<std::string>> exchange(port::Connection& connection,
                                                  std::string request) {
    std::vector<port::OutPart> parts;
    parts.emplace_back(Buffer::copy_of(as_bytes(request)));
    DLOG_CO_TRY(co_await connection.write(std::move(parts)));
    std::string response;
    std::vector<std::uint8_t> chunk(kChunkBytes);
    while (response.size() <= kHttpBytesMax) {
        DLOG_CO_TRY_ASSIGN(const std::size_t count, co_await connection.read(chunk));
        if (count == 0) break;
        response.append(reinterpret_cast<const char*>(chunk.data()), count);
    }
    co_return response;
}

using Body = std::expected<std::string, std::string>;

/// A question that may be given up: it ends by itself later.
struct Asking {
    std::optional<Body> body;
    port::Notifier done;
};

port::Task<Body> ask(const port::Ports* ports, port::Endpoint endpoint, std::string path,
                     Duration timeout) {
    auto connection = co_await ports->net.connect(endpoint);
    if (!connection) {
        co_return unexpected(std::string(port::net_error_name(connection.error())));
    }
    const port::CloseAfter limit(ports->clock, **connection, timeout);
    // HTTP/1.0: the answer ends with the connection, and is in one piece.
    auto response = co_await exchange(
        **connection, "GET " + path + " HTTP/1.0\r\nHost: " + endpoint.text() + "\r\n\r\n");
    if (!response) co_return unexpected(std::string(port::net_error_name(response.error())));
    co_return http_body(*std::move(response));
}

port::Task<void> ask_into(const port::Ports* ports, port::Endpoint endpoint, std::string path,
                          Duration timeout, std::shared_ptr<Asking> asking) {
    asking->body = co_await ask(ports, std::move(endpoint), std::move(path), timeout);
    asking->done.notify_all();
}

}  // namespace

port::Task<Body> http_get(const port::Ports* ports, port::Endpoint endpoint, std::string path,
                          Duration timeout) {
    const std::string place = "http://" + endpoint.text() + path + ": ";
    const Instant deadline = ports->clock.now() + timeout;
    auto asking = std::make_shared<Asking>();
    ports->spawn.spawn(ask_into(ports, std::move(endpoint), std::move(path), timeout, asking));
    while (!asking->body) {
        if (co_await asking->done.wait_until(ports->clock, deadline)) continue;
        co_return unexpected(place + std::string(port::net_error_name(port::NetError::kTimedOut)));
    }
    if (!*asking->body) co_return unexpected(place + asking->body->error());
    co_return **std::move(asking->body);
}

std::expected<std::string, std::string> http_body(std::string response) {
    if (response.size() > kHttpBytesMax) return unexpected<std::string>("the answer is too long");
    const std::size_t head = response.find("\r\n\r\n");
    if (!response.starts_with("HTTP/1.") || head == std::string::npos) {
        return unexpected<std::string>("what answers there does not speak HTTP");
    }
    const std::string line = response.substr(0, response.find("\r\n"));
    const std::size_t blank = line.find(' ');
    const std::string status = blank == std::string::npos ? "" : line.substr(blank + 1);
    if (!status.starts_with("200")) return unexpected("answered " + status);
    return response.substr(head + 4);
}

}  // namespace dlog::cli
