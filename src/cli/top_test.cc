#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cli/http_get.h"
#include "cli/key.h"
#include "cli/metrics_text.h"
#include "cli/text.h"
#include "cli/top_collect.h"
#include "cli/top_report.h"
#include "cli/top_tables.h"
#include "cli/top_view.h"

namespace dlog::cli {
namespace {

using Kind = Key::Kind;

Key letter(char character) {
    return {Kind::kCharacter, character};
}

TEST_CASE("keys are read from what terminals send for them") {
    KeyReader keys;
    CHECK(keys.read("qP") == std::vector{letter('q'), letter('P')});
    CHECK(keys.read("\x1b[A\x1bOB\x1b[5~\x1b[Z\t") ==
          std::vector{Key{Kind::kUp}, Key{Kind::kDown}, Key{Kind::kPageUp}, Key{Kind::kBackTab},
                      Key{Kind::kTab}});
    // A key that is unknown here, and letters of other alphabets, are nothing.
    CHECK(keys.read("\x1b[15~\xc3\xa9z") == std::vector{letter('z')});
    CHECK_FALSE(keys.is_waiting());
}

TEST_CASE("a key that comes in two pieces is one key, an escape alone the key of that name") {
    KeyReader keys;
    CHECK(keys.read("\x1b").empty());
    CHECK(keys.is_waiting());
    CHECK(keys.read("[").empty());
    CHECK(keys.read("D") == std::vector{Key{Kind::kLeft}});
    CHECK(keys.read("\x1b").empty());
    CHECK(keys.give_up() == std::vector{Key{Kind::kEscape}});
    CHECK_FALSE(keys.is_waiting());
    // No end in sight: it is noise, and what follows is read.
    CHECK(keys.read("\x1b[" + std::string(100, ';') + "x").back() == letter('x'));
    CHECK_FALSE(keys.is_waiting());
}

TEST_CASE("metrics are read line by line, what is none is left out") {
    const Metrics metrics = parse_metrics(
        "# HELP a b\n# TYPE a counter\na 12\nb{api=\"Fetch\"} 1.5e3\n\n<html>\nc NaN\nd x\n 7\n"
        "e +Inf");
    CHECK(metrics.size() == 3);
    CHECK(metrics.at("a") == 12);
    CHECK(metrics.at("b{api=\"Fetch\"}") == 1500);
    CHECK(std::isinf(metrics.at("e")));
    CHECK(label_values(metrics, "b", "api") == std::vector<std::string>{"Fetch"});
    CHECK(parse_metrics("").empty());
}

TEST_CASE("a counter that fell began anew with its node") {
    CHECK(growth({{"a", 3}}, {{"a", 10}}, "a") == 7);
    CHECK(growth({{"a", 10}}, {{"a", 4}}, "a") == 4);
    CHECK(growth({}, {{"a", 4}}, "a") == 0);
    CHECK(growth({{"a", 4}}, {}, "a") == 0);
}

Metrics histogram(double below_1, double below_2, double below_4, double all) {
    return {{"h_bucket{api=\"A\",le=\"1\"}", below_1},   {"h_bucket{api=\"A\",le=\"2\"}", below_2},
            {"h_bucket{api=\"A\",le=\"4\"}", below_4},   {"h_bucket{api=\"A\",le=\"+Inf\"}", all},
            {"h_bucket{api=\"B\",le=\"1\"}", 1'000'000}, {"h_count{api=\"A\"}", all}};
}

std::vector<Bucket> grown(const Metrics& before, const Metrics& now) {
    return histogram_growth(before, now, "h", "api=\"A\"");
}

TEST_CASE("quantiles are those of what was counted between two looks") {
    // Before: 1000 slow ones, which are no longer of interest. Since: 10 in (1, 2], 90 in (2, 4].
    const auto buckets = grown(histogram(0, 0, 1000, 1000), histogram(0, 10, 1100, 1100));
    REQUIRE(buckets.size() == 4);
    CHECK(buckets[1] == Bucket{2, 10});
    CHECK(std::isinf(buckets[3].limit));
    CHECK(*quantile(buckets, 0.05) == doctest::Approx(1.5));
    CHECK(*quantile(buckets, 0.1) == doctest::Approx(2));
    CHECK(*quantile(buckets, 0.55) == doctest::Approx(3));
    CHECK(*quantile(buckets, 1) == doctest::Approx(4));
    CHECK_FALSE(quantile(grown(histogram(1, 1, 1, 1), histogram(1, 1, 1, 1)), 0.5));
    CHECK_FALSE(quantile({}, 0.5));
}

TEST_CASE("a histogram that appeared between two looks counted all of it since the first") {
    CHECK(grown({}, histogram(1, 2, 3, 4)) == grown(histogram(0, 0, 0, 0), histogram(1, 2, 3, 4)));
    CHECK(grown(histogram(1, 2, 3, 4), {}).empty());
}

TEST_CASE("beyond the last limit a quantile is that limit") {
    const auto buckets = grown(histogram(0, 0, 0, 0), histogram(0, 0, 0, 5));
    CHECK(*quantile(buckets, 0.5) == 4);
    const auto mixed = grown(histogram(0, 0, 0, 0), histogram(0, 1, 1, 5));
    CHECK(*quantile(mixed, 0.99) == 4);
    CHECK(*quantile(mixed, 0.1) == doctest::Approx(1.5));
}

TEST_CASE("a histogram that began anew counts from nothing, those of other nodes are added") {
    auto buckets = grown(histogram(5, 10, 10, 10), histogram(6, 8, 8, 8));
    CHECK(buckets[0] == Bucket{1, 6});
    CHECK(buckets[1] == Bucket{2, 8});
    merge(buckets, buckets);
    CHECK(buckets[1] == Bucket{2, 16});
    merge(buckets, {{3, 100}});
    CHECK(buckets.size() == 4);
    std::vector<Bucket> none;
    merge(none, buckets);
    CHECK(none == buckets);
}

TEST_CASE("the body of an HTTP answer is taken when it is one") {
    CHECK(*http_body("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello") == "hello");
    CHECK(http_body("HTTP/1.1 404 Not Found\r\n\r\nno").error() == "answered 404 Not Found");
    CHECK(http_body("\x15\x03\x01").error().find("does not speak HTTP") != std::string::npos);
    CHECK_FALSE(http_body("HTTP/1.1 200 OK\r\n"));
    CHECK_FALSE(http_body("HTTP/1.1\r\n\r\n"));
    CHECK_FALSE(http_body(std::string(kHttpBytesMax + 1, 'x')));
}

TEST_CASE("where a node answers HTTP is an address, after the node's number if there are several") {
    const auto one = parse_http_place("127.0.0.1:9644");
    REQUIRE(one);
    CHECK_FALSE(one->node);
    CHECK(one->endpoint.port == 9644);
    CHECK(parse_http_place("3=host:80")->node == NodeId{3});
    for (const char* wrong : {"", "host", "x=host:80", "-1=host:80", "1=", "host:0"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_http_place(wrong));
    }
}

/// Two partitions of `orders` on node 1, which two groups read.
Look look(std::int64_t seconds_later, std::int64_t records, std::int64_t bytes, std::int64_t read) {
    Look look{.at = Instant{seconds_later * 1'000'000'000}, .wall = Timestamp{1'000}};
    look.nodes[NodeId{1}] = {
        .address = "127.0.0.1:9092",
        .stored = client::StoredLogs{.sizes = {{{"orders", 0}, bytes}, {{"orders", 1}, 100}},
                                     .total_bytes = 1'000'000,
                                     .free_bytes = 500'000},
        .metrics = std::nullopt};
    look.topics["orders"] = {{NodeId{1}, Offset{0}, Offset{records}},
                             {NodeId{1}, Offset{5}, Offset{10}}};
    look.groups["billing"] = {"Stable", 2, {{{"orders", 0}, Offset{read}}}};
    return look;
}

TEST_CASE("a report holds what happened a second between two looks") {
    const Report report = compare(look(0, 100, 1'000, 50), look(2, 300, 5'000, 60));
    REQUIRE(report.topics.size() == 1);
    const TopicRow& topic = report.topics[0];
    CHECK(topic.records == 305);
    CHECK(topic.records_in == 100);
    CHECK(topic.bytes_in == 2'000);
    CHECK(topic.records_out == 5);
    CHECK(topic.size_bytes == 5'100);
    REQUIRE(report.groups.size() == 1);
    CHECK(report.groups[0].lag == 240);
    CHECK(report.groups[0].lag_change == 95);
    CHECK(report.groups[0].records_out == 5);
    REQUIRE(report.nodes.size() == 1);
    CHECK(report.nodes[0].leads == 2);
    CHECK(report.nodes[0].records_in == 100);
    CHECK(report.nodes[0].free_bytes == 500'000);
    CHECK_FALSE(report.nodes[0].bytes_in);
    CHECK(report.requests.empty());
    CHECK_FALSE(report.has_metrics);
}

TEST_CASE("what is new, gone, deleted by retention or without a leader makes no rates") {
    Look before = look(0, 100, 9'000, 50);
    Look now = look(1, 100, 500, 20);  // retention took bytes, a reset moved the group back
    now.topics["new"] = {{NodeId{-1}, kNoOffset, kNoOffset}};
    before.topics["gone"] = {{NodeId{1}, Offset{0}, Offset{9}}};
    now.groups["other"] = {"Empty", 0, {{{"gone", 0}, Offset{3}}, {{"new", 0}, Offset{1}}}};
    const Report report = compare(before, now);
    REQUIRE(report.topics.size() == 2);
    CHECK(report.topics[0].name == "new");
    CHECK(report.topics[0].records == 0);
    CHECK(report.topics[0].size_bytes == -1);
    CHECK(report.topics[1].bytes_in == 0);
    CHECK(report.topics[1].records_out == 0);
    CHECK(report.groups[1].lag == 0);
    CHECK(report.groups[1].lag_change == 0);
}

Metrics node_metrics(double produced, double fetched, double slow) {
    return {{"dlog_requests_total{api=\"Produce\"}", produced / 100},
            {"dlog_requests_total{api=\"Fetch\"}", 10},
            {"dlog_requests_total{api=\"Metadata\"}", produced / 1'000},
            {"dlog_produce_bytes_total", produced},
            {"dlog_fetch_bytes_total", fetched},
            {"process_cpu_seconds_total", produced / 10'000},
            {"dlog_request_latency_seconds_bucket{api=\"Produce\",le=\"0.001\"}",
             produced / 100 - slow},
            {"dlog_request_latency_seconds_bucket{api=\"Produce\",le=\"0.002\"}", produced / 100},
            {"dlog_request_latency_seconds_bucket{api=\"Produce\",le=\"+Inf\"}", produced / 100}};
}

TEST_CASE("with metrics a report has bytes, cpu and latencies of the requests that came") {
    Look before = look(0, 0, 0, 0);
    Look now = look(1, 0, 0, 0);
    before.nodes[NodeId{1}].metrics = node_metrics(0, 0, 0);
    now.nodes[NodeId{1}].metrics = node_metrics(10'000, 500, 50);
    const Report report = compare(before, now);
    CHECK(report.has_metrics);
    CHECK(report.nodes[0].bytes_in == 10'000);
    CHECK(report.nodes[0].bytes_out == 500);
    CHECK(*report.nodes[0].cpu_percent == doctest::Approx(100));
    REQUIRE(report.requests.size() == 2);  // nobody fetched
    CHECK(report.requests[0].api == "Metadata");
    CHECK_FALSE(report.requests[0].p50_ms);
    CHECK(report.requests[1].api == "Produce");
    CHECK(report.requests[1].rate == 100);
    CHECK(*report.requests[1].p50_ms == doctest::Approx(1));
    CHECK(*report.requests[1].p99_ms == doctest::Approx(1.98));
    CHECK(report_json(report).find(R"({"api":"Produce","per_second":100.0,"p50_ms":1.000,)"
                                   R"("p99_ms":1.980})") != std::string::npos);
}

TEST_CASE("names from outside cannot move the cursor") {
    CHECK(printable("plain") == "plain");
    CHECK(printable("a\x1b[2Jb\x7f") == "a?[2Jb?");
    CHECK(printable("caf\xc3\xa9") == "caf\xc3\xa9");
    CHECK(printable("\xc2\x9b"
                    "2J") == "?2J");  // CSI as one C1 control
    CHECK(printable("\xff\xc0\x80\xed\xa0\x80\xe2\x82") == "????????");
    CHECK(columns_of("caf\xc3\xa9") == 4);
    CHECK(clipped("caf\xc3\xa9s", 4) == "caf\xc3\xa9");
    CHECK(clipped("ab", 5) == "ab");
    CHECK(clipped("ab", 0).empty());
}

}  // namespace
}  // namespace dlog::cli
