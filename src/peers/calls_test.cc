#include <doctest/doctest.h>

#include <optional>

#include "peers/testing_nodes.h"

namespace dlog::peers {
namespace {

using testing::Nodes;
using Result = std::expected<Buffer, CallError>;

port::Task<void> call_into(Links* links, NodeId to, std::uint16_t kind, Buffer body,
                           Instant deadline, std::optional<Result>* result) {
    *result = co_await links->call(to, kind, std::move(body), deadline);
}

std::optional<Result>& call(Nodes& nodes, std::optional<Result>& result, std::uint16_t kind,
                            Buffer body, std::uint32_t core = 0, std::int32_t to = 2) {
    const port::Ports& ports = nodes.host(1).ports(CoreId(core));
    ports.spawn.spawn(call_into(nodes.on(1, core).links, NodeId(to), kind, std::move(body),
                                nodes.world.now() + seconds(1), &result));
    return result;
}

bool await(Nodes& nodes, const std::optional<Result>& result) {
    return nodes.world.run_until([&] { return result.has_value(); }, seconds(5));
}

Buffer text(std::string_view words) {
    return Buffer::copy_of(as_bytes(words));
}

TEST_CASE("calls are answered, many at once, and refusals arrive as they were said") {
    std::vector<std::optional<Result>> results(100);
    std::optional<Result> busy;
    std::optional<Result> unknown;
    std::optional<Result> nobody;
    std::optional<Result> large;
    Nodes nodes(1, 2, 2);
    REQUIRE(nodes.meet());
    for (std::uint32_t at = 0; at < 100; ++at) {
        call(nodes, results[at], testing::kEcho, text("call " + std::to_string(at)), at % 2);
    }
    for (std::size_t at = 0; at < 100; ++at) {
        REQUIRE(await(nodes, results[at]));
        REQUIRE(results[at]->has_value());
        CHECK(as_text((*results[at])->view()) == "call " + std::to_string(at));
    }
    REQUIRE(await(nodes, call(nodes, busy, testing::kBusy, {})));
    CHECK(busy->error() == CallError::kOverloaded);
    REQUIRE(await(nodes, call(nodes, unknown, 77, {})));
    CHECK(unknown->error() == CallError::kUnknownKind);
    REQUIRE(await(nodes, call(nodes, nobody, testing::kEcho, {}, 0, 9)));
    CHECK(nobody->error() == CallError::kUnreachable);
    REQUIRE(await(nodes, call(nodes, large, testing::kEcho,
                              Buffer::allocate(consensus::raft::kCallBodyMax + 1))));
    CHECK(large->error() == CallError::kTooLarge);
}

TEST_CASE("a call ends at its deadline, with its connection, or with its node, and says which") {
    std::optional<Result> late;
    std::optional<Result> lost;
    std::optional<Result> unreachable;
    std::optional<Result> stopping;
    Nodes nodes(2, 3);
    REQUIRE(nodes.meet());
    REQUIRE(await(nodes, call(nodes, late, testing::kNever, {})));
    CHECK(late->error() == CallError::kTimedOut);
    call(nodes, lost, testing::kNever, {});
    nodes.world.run_for(milliseconds(100));
    REQUIRE(nodes.on(2).asked == 2);
    nodes.world.kill(nodes.host(2));
    REQUIRE(await(nodes, lost));
    CHECK(lost->error() == CallError::kLost);
    nodes.world.run_for(seconds(3));
    REQUIRE(await(nodes, call(nodes, unreachable, testing::kEcho, {})));
    CHECK(unreachable->error() == CallError::kUnreachable);
    call(nodes, stopping, testing::kNever, {}, 0, 3);
    nodes.world.run_for(milliseconds(100));
    CHECK(nodes.stop(1));
    REQUIRE(stopping.has_value());
    CHECK(stopping->error() == CallError::kStopping);
    nodes.on(3).never.notify_all();
    CHECK(nodes.stop(3));
}

TEST_CASE(
    "more calls than the bounds allow are refused on either side, and others still answered") {
    std::vector<std::optional<Result>> results(10);
    std::optional<Result> echo;
    Nodes nodes(3, 2, 1, [](Config& config) {
        // Node 1 asks more than node 2 takes.
        config.calls_max = config.self == NodeId(2) ? 4 : 8;
    });
    REQUIRE(nodes.meet());
    for (auto& result : results) call(nodes, result, testing::kNever, {});
    nodes.world.run_for(milliseconds(200));
    int refused = 0;
    for (const auto& result : results) {
        if (!result) continue;
        CHECK(result->error() == CallError::kOverloaded);
        ++refused;
    }
    // Two were not sent, four more than node 2 takes.
    CHECK(refused == 6);
    CHECK(nodes.on(2).asked == 4);
    nodes.on(2).never.notify_all();
    nodes.world.run_for(milliseconds(200));
    REQUIRE(await(nodes, call(nodes, echo, testing::kEcho, text("x"))));
    CHECK(echo->has_value());
}

TEST_CASE("notices arrive in order, and calls beside a queue of records do not wait for it") {
    std::optional<Result> echo;
    Nodes nodes(4, 2);
    nodes.world.options().net.bytes_per_second = 4 << 20;
    REQUIRE(nodes.meet());
    nodes.run_on(1, 0, [&] {
        Links& links = *nodes.on(1).links;
        links.send(NodeId(2), testing::group_of(0), testing::numbered(1),
                   {Buffer::allocate(16 << 20)});
        for (std::uint16_t number = 0; number < 20; ++number) {
            links.notify(NodeId(2), number, text("news"));
        }
    });
    REQUIRE(await(nodes, call(nodes, echo, testing::kEcho, {})));
    CHECK(nodes.on(2).heard.empty());
    CHECK(nodes.on(2).notices.size() == 20);
    for (std::uint16_t number = 0; number < nodes.on(2).notices.size(); ++number) {
        CHECK(std::get<1>(nodes.on(2).notices[number]) == number);
    }
}

}  // namespace
}  // namespace dlog::peers
