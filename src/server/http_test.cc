#include "server/http.h"

#include <doctest/doctest.h>

#include <vector>

#include "port/clock.h"
#include "port/spawn.h"
#include "sim/world.h"

namespace dlog::server {
namespace {

struct Pages final : HttpHandler {
    port::Task<HttpResponse> get(std::string path) override {
        ++requests;
        if (path == "/page") co_return HttpResponse{.body = "hello\n"};
        co_return HttpResponse{.status = 404, .body = "no\n"};
    }
    int requests = 0;
};

struct Exchange {
    std::vector<std::string> pieces;  ///< sent one after another, a millisecond apart
    std::string answer;
    bool is_done = false;
};

port::Task<void> serve_for(port::Ports& ports, Pages& pages, Duration span, bool& is_stopped) {
    HttpServer server(ports, pages);
    const auto bound = co_await server.start({"web", 80});
    REQUIRE(bound.has_value());
    co_await port::sleep_for(ports.clock, span);
    co_await server.stop();
    is_stopped = true;
}

port::Task<void> ask(port::Ports& ports, Exchange& exchange) {
    co_await port::sleep_for(ports.clock, milliseconds(1));
    auto connection = co_await ports.net.connect({"web", 80});
    REQUIRE(connection.has_value());
    for (const std::string& piece : exchange.pieces) {
        std::vector<port::OutPart> parts;
        parts.emplace_back(Buffer::copy_of(as_bytes(piece)));
        if (!co_await (*connection)->write(std::move(parts))) break;
        co_await port::sleep_for(ports.clock, milliseconds(1));
    }
    std::uint8_t chunk[256];
    for (;;) {
        const auto count = co_await (*connection)->read(chunk);
        if (!count || *count == 0) break;
        exchange.answer += as_text(ByteView(chunk, *count));
    }
    (*connection)->close();
    exchange.is_done = true;
}

/// What the server answers to the pieces of a request; how long it took.
std::string answer_to(std::vector<std::string> pieces, Duration* took = nullptr) {
    Pages pages;
    Exchange exchange{.pieces = std::move(pieces)};
    bool is_stopped = false;
    sim::World world(1);
    sim::Host& web = world.add_host("web");
    sim::Host& client = world.add_host("client");
    web.ports().spawn.spawn(serve_for(web.ports(), pages, seconds(60), is_stopped));
    client.ports().spawn.spawn(ask(client.ports(), exchange));
    REQUIRE(world.run_until([&] { return exchange.is_done; }, seconds(120)));
    if (took != nullptr) *took = world.now() - Instant{0};
    REQUIRE(world.run_until([&] { return is_stopped; }, seconds(120)));
    return exchange.answer;
}

TEST_CASE("a page is answered, also when its request comes in pieces") {
    const std::string answer = answer_to({"GET /page?x=1 HT", "TP/1.1\r\nHost: web\r", "\n\r\n"});
    CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(answer.find("Content-Length: 6\r\n") != std::string::npos);
    CHECK(answer.ends_with("\r\n\r\nhello\n"));
}

TEST_CASE("HEAD has the same head and no body") {
    const std::string answer = answer_to({"HEAD /page HTTP/1.1\r\n\r\n"});
    CHECK(answer.find("Content-Length: 6\r\n") != std::string::npos);
    CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("what is not a request for a page is refused") {
    CHECK(answer_to({"GET /other HTTP/1.1\r\n\r\n"}).starts_with("HTTP/1.1 404 "));
    CHECK(answer_to({"DELETE /page HTTP/1.1\r\n\r\n"}).starts_with("HTTP/1.1 405 "));
    CHECK(answer_to({"nonsense\r\n\r\n"}).starts_with("HTTP/1.1 400 "));
    CHECK(answer_to({std::string(20'000, 'x')}).starts_with("HTTP/1.1 431 "));
}

TEST_CASE(
    "a client that says nothing is let go after the timeout, and a stop does not wait for it") {
    Duration took;
    CHECK(answer_to({"GET /page"}, &took).empty());
    CHECK(took >= HttpServer::kTimeout);
    CHECK(took < HttpServer::kTimeout + seconds(5));
}

TEST_CASE("a stop does not wait for a client that holds its connection") {
    Pages pages;
    Exchange exchange{.pieces = {"GET /pa"}};
    bool is_stopped = false;
    sim::World world(2);
    sim::Host& web = world.add_host("web");
    sim::Host& client = world.add_host("client");
    web.ports().spawn.spawn(serve_for(web.ports(), pages, seconds(1), is_stopped));
    client.ports().spawn.spawn(ask(client.ports(), exchange));
    CHECK(world.run_until([&] { return is_stopped && exchange.is_done; }, seconds(2)));
    CHECK(pages.requests == 0);
}

}  // namespace
}  // namespace dlog::server
