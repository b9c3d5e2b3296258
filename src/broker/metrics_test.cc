#include "broker/metrics.h"

#include <doctest/doctest.h>

#include <string>

#include "broker/testing_node.h"

namespace dlog::broker {
namespace {

using port::Task;
using testing::batch_of;
using testing::call;
using testing::Cluster;
using testing::create_topic;
using testing::fetch_request;
using testing::produce;
using testing::Wire;

bool has_line(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("a latency is counted by the first limit that it does not exceed, and by all above") {
    LatencyHistogram latencies;
    latencies.record(Duration{-5});
    latencies.record(Duration{1024});
    latencies.record(Duration{1025});
    latencies.record(seconds(1000));
    CHECK(latencies.count() == 4);
    LatencyHistogram twice = latencies;
    twice.add(latencies);
    std::string text = "\n";
    twice.render(text, "x_seconds", "api=\"Fetch\"");
    CHECK(has_line(text, R"(x_seconds_bucket{api="Fetch",le="1.024e-06"} 4)"));
    CHECK(has_line(text, R"(x_seconds_bucket{api="Fetch",le="2.048e-06"} 6)"));
    CHECK(has_line(text, R"(x_seconds_bucket{api="Fetch",le="17.179869184"} 6)"));
    CHECK(has_line(text, R"(x_seconds_bucket{api="Fetch",le="+Inf"} 8)"));
    CHECK(has_line(text, R"(x_seconds_count{api="Fetch"} 8)"));
    CHECK(has_line(text, R"(x_seconds_sum{api="Fetch"} 2000.000004098)"));
}

Task<void> wait_in_vain(Wire& wire) {
    co_await create_topic(wire, "orders", 1);
    static_cast<void>(co_await produce(wire, "orders", 0, batch_of({"a"})));
    auto request = fetch_request("orders", 0, 1);
    request.max_wait_ms = 300;
    static_cast<void>(co_await call(wire, 12, request));
}

TEST_CASE("every API that was called has its latencies, waiting included, and no other has") {
    for (const std::uint32_t cores : {1U, 3U}) {
        Cluster cluster(1, {}, cores);
        cluster.run(wait_in_vain);
        const std::string text = cluster.metrics();
        const std::string name = "dlog_request_latency_seconds";
        CHECK(has_line(text, name + R"(_bucket{api="Fetch",le="0.268435456"} 0)"));
        CHECK(has_line(text, name + R"(_bucket{api="Fetch",le="0.536870912"} 1)"));
        CHECK(has_line(text, name + R"(_count{api="Produce"} 1)"));
        CHECK(has_line(text, name + R"(_count{api="CreateTopics"} 1)"));
        CHECK(text.find(name + R"(_bucket{api="JoinGroup")") == std::string::npos);
        cluster.stop();
    }
}

}  // namespace
}  // namespace dlog::broker
