/// Two nodes of this process on two real cores, over real sockets.
#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <vector>

#include "peers/testing_nodes.h"
#include "port/net.h"
#include "reactor/reactor.h"

namespace dlog::peers {
namespace {

using testing::Noting;

port::Task<void> find_port(port::Ports* ports, std::uint16_t* number) {
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    *number = (*listener)->endpoint().port;
}

/// A node on all cores of the reactor.
struct RealNode {
    RealNode(reactor::Reactor& reactor, const Config& config)
        : owners(reactor.core_count()), handlers(reactor.core_count()) {
        std::vector<port::Ports> cores;
        for (std::uint32_t core = 0; core < reactor.core_count(); ++core) {
            cores.push_back(reactor.ports(CoreId(core)));
        }
        mesh = std::make_unique<Mesh>(cores, config, owners);
        for (std::uint32_t core = 0; core < reactor.core_count(); ++core) {
            handlers[core].links = &mesh->at(CoreId(core));
        }
    }
    static port::Task<void> start(RealNode* self) {
        std::vector<Handler*> list;
        for (Noting& handler : self->handlers) list.push_back(&handler);
        const auto started = co_await self->mesh->start(std::move(list));
        CHECK(started.has_value());
    }

    testing::ByPartition owners;
    std::vector<Noting> handlers;
    std::unique_ptr<Mesh> mesh;
};

/// On core 1: many messages to both cores of the other node, then a call.
port::Task<void> talk(RealNode* node, const port::Ports* ports, std::string* answer) {
    Links& links = node->mesh->at(CoreId(1));
    while (!links.peers().of(NodeId(2)).is_supported) {
        co_await port::sleep_for(ports->clock, milliseconds(5));
    }
    for (std::int64_t number = 0; number < 500; ++number) {
        Buffer records = Buffer::allocate(20'000);
        std::fill_n(records.mutable_data(), records.size(), static_cast<std::uint8_t>(number));
        links.send(NodeId(2), testing::group_of(static_cast<std::int32_t>(number % 2)),
                   testing::numbered(number), {std::move(records)});
        if (number % 50 == 0) co_await port::yield(ports->spawn);
    }
    const auto result =
        co_await links.call(NodeId(2), testing::kEcho, Buffer::copy_of(as_bytes("over sockets")),
                            ports->clock.now() + seconds(10));
    if (result) *answer = as_text(result->view());
}

port::Task<void> await_count(Noting* handler, const port::Ports* ports, std::size_t count) {
    const Instant end = ports->clock.now() + seconds(20);
    while (handler->heard.size() < count && ports->clock.now() < end) {
        co_await port::sleep_for(ports->clock, milliseconds(2));
    }
}

TEST_CASE("two nodes on two cores exchange messages, calls and pulses over real sockets") {
    reactor::Reactor reactor({.core_count = 2});
    std::uint16_t ports[2] = {};
    Config config{.cluster_id = "c"};
    for (int at = 0; at < 2; ++at) {
        reactor.run_and_wait(CoreId(0),
                             [&](port::Ports& core) { return find_port(&core, &ports[at]); });
        config.nodes[NodeId(at + 1)] = {"127.0.0.1", ports[at]};
    }
    std::vector<std::unique_ptr<RealNode>> nodes;
    for (int at = 0; at < 2; ++at) {
        config.self = NodeId(at + 1);
        config.incarnation = 7;
        config.listen = config.nodes[config.self];
        nodes.push_back(std::make_unique<RealNode>(reactor, config));
        reactor.run_and_wait(CoreId(0),
                             [&](port::Ports&) { return RealNode::start(nodes.back().get()); });
    }
    std::string answer;
    reactor.run_and_wait(CoreId(1),
                         [&](port::Ports& core) { return talk(nodes[0].get(), &core, &answer); });
    CHECK(answer == "over sockets");
    for (std::uint32_t core = 0; core < 2; ++core) {
        Noting* const handler = &nodes[1]->handlers[core];
        reactor.run_and_wait(
            CoreId(core), [handler](port::Ports& own) { return await_count(handler, &own, 250); });
    }
    for (const auto& node : nodes) {
        Mesh* const mesh = node->mesh.get();
        reactor.run_and_wait(CoreId(0), [mesh](port::Ports&) { return mesh->stop(); });
    }
    reactor.stop();
    for (std::uint32_t core = 0; core < 2; ++core) {
        const std::vector<testing::Heard>& heard = nodes[1]->handlers[core].heard;
        REQUIRE(heard.size() == 250);
        for (std::size_t at = 0; at < heard.size(); ++at) {
            CHECK(heard[at].number == static_cast<std::int64_t>(2 * at + core));
            CHECK(heard[at].records.size() == 20'000);
            CHECK(heard[at].records.data()[19'999] == static_cast<std::uint8_t>(heard[at].number));
        }
        CHECK(!nodes[0]->handlers[core].changes.empty());
        CHECK(nodes[0]->handlers[core].resets.empty());
    }
}

}  // namespace
}  // namespace dlog::peers
