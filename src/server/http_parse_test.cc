#include <doctest/doctest.h>

#include "server/http.h"

using namespace dlog::server;

TEST_CASE("an HTTP request's first line is read and anything else refused") {
    const HttpRequest get = parse_http_request("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(get.refusal == 0);
    CHECK(get.method == "GET");
    CHECK(get.path == "/metrics");
    CHECK(parse_http_request("POST / HTTP/1.1\r\n\r\n").refusal == 405);
    CHECK(parse_http_request("GET / HTTP/2\r\n\r\n").refusal == 505);
    CHECK(parse_http_request("GET / SMTP\r\n\r\n").refusal == 400);
    CHECK(parse_http_request("GET metrics HTTP/1.1\r\n\r\n").refusal == 400);
    CHECK(parse_http_request("GET\r\n\r\n").refusal == 400);
    CHECK(parse_http_request("\r\n\r\n").refusal == 400);
    CHECK(parse_http_request("").refusal == 400);
}
