/// What comes to the node-to-node port from who is no node, or no honest one.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "base/random.h"
#include "peers/testing_nodes.h"

namespace dlog::peers {
namespace {

using consensus::raft::Greeting;
using consensus::raft::Purpose;
using testing::Nodes;

/// One that connects, says `words`, and reads until it is shown out.
port::Task<void> intrude(port::Ports* ports, std::vector<Buffer> words, std::size_t* answered,
                         bool* is_out) {
    auto connection = co_await ports->net.connect({"n1", 9100});
    REQUIRE(connection.has_value());
    for (const Buffer& word : words) {
        std::vector<port::OutPart> parts;
        parts.emplace_back(word);
        (void)co_await (*connection)->write(std::move(parts));
    }
    Buffer block = Buffer::allocate(4096);
    while (true) {
        const auto count = co_await (*connection)->read(block.mutable_view());
        if (!count || *count == 0) break;
        *answered += *count;
    }
    *is_out = true;
}

struct Intrusion {
    std::size_t answered = 0;
    bool is_out = false;
};

/// Node 1 alone in its cluster of two, and a host that is none of it.
struct Besieged {
    explicit Besieged(std::uint64_t seed)
        : nodes(seed, 1, 2, [](Config& config) { config.nodes[NodeId(2)] = {"stranger", 9100}; }) {
        stranger = &nodes.world.add_host("stranger");
        nodes.world.run_for(milliseconds(100));
    }
    /// Whether it was shown out; a stranger who says nothing more is, at the latest, in time.
    bool shows_out(std::vector<Buffer> words, Intrusion& intrusion) {
        stranger->ports().spawn.spawn(
            intrude(&stranger->ports(), std::move(words), &intrusion.answered, &intrusion.is_out));
        return nodes.world.run_until([&] { return intrusion.is_out; }, seconds(5));
    }
    [[nodiscard]] static Greeting greeting(Purpose purpose) {
        return {.cluster_id = "c",
                .from = NodeId(2),
                .to = NodeId(1),
                .incarnation = 1,
                .purpose = purpose};
    }

    Nodes nodes;
    sim::Host* stranger = nullptr;
};

Buffer random_bytes(Random& random, std::size_t size) {
    Buffer bytes = Buffer::allocate(size);
    for (std::size_t at = 0; at < size; ++at) {
        bytes.mutable_data()[at] = static_cast<std::uint8_t>(random.next());
    }
    return bytes;
}

TEST_CASE("a wrong greeting is refused, counted, and nobody is taken for a node by it") {
    const auto with = [](auto change) {
        Greeting greeting = Besieged::greeting(Purpose::kMessages);
        change(greeting);
        return consensus::raft::encode_greeting(greeting);
    };
    std::vector<Buffer> wrong{
        with([](Greeting& greeting) { greeting.cluster_id = "another"; }),
        with([](Greeting& greeting) { greeting.to = NodeId(3); }),
        with([](Greeting& greeting) { greeting.from = NodeId(9); }),
        with([](Greeting& greeting) { greeting.from = NodeId(1); }),
        Buffer::copy_of(as_bytes("GET / HTTP/1.1\r\nhost: n1\r\n\r\n")),
        consensus::raft::encode_envelopes({}),
        {},
    };
    Buffer newer = with([](Greeting&) {});
    newer.mutable_data()[4] = 2;
    wrong.push_back(newer);
    for (const Buffer& words : wrong) {
        Intrusion intrusion;
        Besieged besieged(1);
        CHECK(besieged.shows_out({words}, intrusion));
        const Metrics metrics = besieged.nodes.metrics(1);
        CHECK(metrics.refused == 1);
        CHECK(besieged.nodes.host(1).log().has("refused a connection between nodes"));
        CHECK(besieged.nodes.on(1).changes.empty());
    }
}

TEST_CASE("an older process is refused once a newer one is known") {
    Intrusion first;
    Intrusion second;
    Besieged besieged(1);
    Greeting greeting = Besieged::greeting(Purpose::kMessages);
    greeting.incarnation = 5;
    besieged.stranger->ports().spawn.spawn(intrude(&besieged.stranger->ports(),
                                                   {consensus::raft::encode_greeting(greeting)},
                                                   &first.answered, &first.is_out));
    besieged.nodes.world.run_for(milliseconds(100));
    CHECK(first.answered > 0);
    CHECK(!first.is_out);
    CHECK(besieged.nodes.on(1, 1).changes == std::vector{NodeId(2)});
    greeting.incarnation = 4;
    CHECK(besieged.shows_out({consensus::raft::encode_greeting(greeting)}, second));
    CHECK(second.answered == 0);
    CHECK(!first.is_out);
    CHECK(besieged.nodes.metrics(1).refused == 1);
}

TEST_CASE("a second connection for the same purpose takes the place of the first") {
    Intrusion first;
    Intrusion second;
    Besieged besieged(1);
    const Buffer greeting =
        consensus::raft::encode_greeting(Besieged::greeting(Purpose::kMessages));
    for (Intrusion* const intrusion : {&first, &second}) {
        besieged.stranger->ports().spawn.spawn(intrude(&besieged.stranger->ports(), {greeting},
                                                       &intrusion->answered, &intrusion->is_out));
        besieged.nodes.world.run_for(milliseconds(100));
    }
    CHECK(first.is_out);
    CHECK(!second.is_out);
    CHECK(second.answered > 0);
}

TEST_CASE("bytes that are no frames end the connection, whatever it is for, and nothing else") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        Random random(seed);
        Intrusion intrusion;
        Besieged besieged(seed);
        const auto purpose = static_cast<Purpose>(seed % 3);
        std::vector<Buffer> words{consensus::raft::encode_greeting(Besieged::greeting(purpose))};
        Buffer frame;
        if (purpose == Purpose::kMessages) {
            const std::vector<consensus::raft::Envelope> envelopes{
                {.group = testing::group_of(1), .message = testing::numbered(1)}};
            frame = consensus::raft::encode_envelopes(envelopes);
        } else if (purpose == Purpose::kCalls) {
            const Buffer body = random_bytes(random, 50);
            frame = consensus::raft::encode_call(
                consensus::raft::FrameKind::kRequest,
                {.correlation = 1, .code = testing::kEcho, .body = body.view()});
        } else {
            frame = consensus::raft::encode_pulse_frame({.incarnation = 1, .sent_at = {5}});
        }
        switch (random.below(3)) {
            case 0:
                words.push_back(random_bytes(random, 20 + random.below(10'000)));
                break;
            case 1: {
                const std::uint64_t bit = random.below(frame.size() * 8);
                frame.mutable_data()[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
                words.push_back(frame);
                // So that a length which grew is not waited for.
                words.push_back(random_bytes(random, 100'000));
                break;
            }
            default:
                // Of another purpose.
                words.push_back(purpose == Purpose::kPulses
                                    ? consensus::raft::encode_envelopes({})
                                    : consensus::raft::encode_pulse_frame({.incarnation = 1}));
        }
        INFO("seed ", seed);
        const bool is_out = besieged.shows_out(std::move(words), intrusion);
        if (!is_out) {
            // A flipped length may promise more than ever came.
            CHECK(besieged.nodes.metrics(1).nodes[NodeId(2)].bad_frames == 0);
        } else {
            CHECK(besieged.nodes.metrics(1).nodes[NodeId(2)].bad_frames == 1);
        }
        for (std::uint32_t core = 0; core < 2; ++core) {
            CHECK(besieged.nodes.on(1, core).heard.empty());
        }
        CHECK(besieged.nodes.on(1).asked == 0);
        CHECK(besieged.nodes.stop(1));
    }
}

TEST_CASE("strangers that say nothing are bounded and shown out in time") {
    std::vector<Intrusion> intrusions(100);
    Besieged besieged(1);
    for (Intrusion& intrusion : intrusions) {
        besieged.stranger->ports().spawn.spawn(
            intrude(&besieged.stranger->ports(), {}, &intrusion.answered, &intrusion.is_out));
    }
    besieged.nodes.world.run_for(seconds(3));
    for (const Intrusion& intrusion : intrusions) {
        CHECK(intrusion.is_out);
        CHECK(intrusion.answered == 0);
    }
    CHECK(besieged.nodes.metrics(1).refused == 100);
}

}  // namespace
}  // namespace dlog::peers
