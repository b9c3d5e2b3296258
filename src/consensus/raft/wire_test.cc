#include "consensus/raft/wire.h"

#include <doctest/doctest.h>

#include <variant>

#include "base/random.h"
#include "consensus/raft/wire_epochs.h"

namespace dlog::consensus::raft {
namespace {

Buffer bytes_of(const Message& message) {
    protocol::Writer writer;
    encode_message(writer, message);
    return writer.take();
}

Configuration any_configuration(Random& random) {
    std::vector<NodeId> nodes;
    for (int i = 1; i <= 6; ++i) {
        if (random.chance(1, 2)) nodes.push_back(NodeId(i * 100'000));
    }
    if (nodes.empty()) nodes.push_back(NodeId(7));
    const Configuration plain = make_configuration(nodes, random.below(nodes.size() + 1));
    nodes.push_back(NodeId(9));
    return random.chance(1, 2) ? plain : joint_configuration(plain, nodes);
}

LogPosition any_position(Random& random) {
    return {LeaderEpoch(static_cast<std::int32_t>(random.between(-1, kTermMax))),
            Offset(random.between(0, INT64_MAX))};
}

std::vector<Message> samples(Random& random) {
    const LeaderEpoch term(static_cast<std::int32_t>(random.between(0, kTermMax)));
    const auto flag = [&] { return random.chance(1, 2); };
    Append append{.term = term,
                  .previous = any_position(random),
                  .end = any_position(random),
                  .commit = any_position(random),
                  .question = random.below(1'000)};
    for (int i = 0; i < 3; ++i) {
        append.epochs.push_back({.term = LeaderEpoch(i + 1),
                                 .start = Offset(i * 10),
                                 .configuration = any_configuration(random)});
    }
    return {VoteRequest{.term = term,
                        .log_end = any_position(random),
                        .is_pre_vote = flag(),
                        .is_handover = flag()},
            VoteReply{.term = term, .is_pre_vote = flag(), .is_granted = flag()},
            append,
            AppendReply{.term = term,
                        .is_accepted = flag(),
                        .question = random.below(1'000),
                        .refused = any_position(random),
                        .received = any_position(random),
                        .persisted = any_position(random),
                        .support = random.below(1'000)},
            Install{.term = term,
                    .start = any_position(random),
                    .configuration = any_configuration(random)},
            TimeoutNow{.term = term},
            Resigned{.term = term}};
}

TEST_CASE("every message comes back from its bytes as it was") {
    Random random(1);
    for (int round = 0; round < 50; ++round) {
        for (const Message& message : samples(random)) {
            const Result<Message> read = decode_message(bytes_of(message).view());
            REQUIRE(read.has_value());
            CHECK(*read == message);
        }
    }
}

TEST_CASE("a message that is cut short or longer than it should be is refused") {
    Random random(2);
    for (const Message& message : samples(random)) {
        const Buffer bytes = bytes_of(message);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            CHECK(!decode_message(bytes.view().first(size)).has_value());
        }
        std::vector<std::uint8_t> longer(bytes.view().begin(), bytes.view().end());
        longer.push_back(0);
        CHECK(decode_message(longer).error() == Error::kMalformed);
    }
}

TEST_CASE("what decodes from bytes that were changed is within the bounds that a group relies on") {
    Random random(3);
    for (int round = 0; round < 200; ++round) {
        for (const Message& message : samples(random)) {
            const Buffer bytes = bytes_of(message);
            std::vector<std::uint8_t> changed(bytes.view().begin(), bytes.view().end());
            changed[random.below(changed.size())] ^=
                static_cast<std::uint8_t>(1U << random.below(8));
            const Result<Message> read = decode_message(changed);
            if (!read) continue;
            if (const auto* install = std::get_if<Install>(&*read)) {
                CHECK(is_valid(install->configuration));
            }
            if (const auto* append = std::get_if<Append>(&*read)) {
                CHECK(append->end.end >= Offset(0));
                for (const Epoch& epoch : append->epochs) CHECK(is_valid(epoch.configuration));
            }
        }
    }
}

TEST_CASE("terms and offsets out of bounds are refused") {
    const LogPosition good{LeaderEpoch(1), Offset(1)};
    CHECK(!decode_message(bytes_of(TimeoutNow{.term = LeaderEpoch(-2)}).view()));
    CHECK(!decode_message(bytes_of(Resigned{.term = LeaderEpoch(kTermMax + 1)}).view()));
    const LogPosition negative{LeaderEpoch(1), Offset(-1)};
    CHECK(
        !decode_message(bytes_of(VoteRequest{.term = LeaderEpoch(1), .log_end = negative}).view()));
    CHECK(!decode_message(
        bytes_of(AppendReply{.term = LeaderEpoch(1), .received = good, .persisted = negative})
            .view()));
    CHECK(!decode_message(bytes_of(Install{.term = LeaderEpoch(1), .start = good}).view()));
}

TEST_CASE("a message of a newer program is told from one that makes no sense") {
    const std::vector<std::uint8_t> newer_kind{99, 0, 0};
    CHECK(decode_message(newer_kind).error() == Error::kUnsupportedVersion);
    const std::vector<std::uint8_t> newer_version{1, 7, 0};
    CHECK(decode_message(newer_version).error() == Error::kUnsupportedVersion);
    CHECK(decode_message({}).error() == Error::kMalformed);
}

TEST_CASE("pulses come back as they were, and none makes a lease of years") {
    const Pulse pulse{.incarnation = 5,
                      .to_incarnation = 0,
                      .support = 3,
                      .support_for = milliseconds(300),
                      .sent_at = Instant{123'456'789},
                      .echo = Instant{42}};
    const auto bytes = [](const Pulse& sent) {
        protocol::Writer writer;
        encode_pulse(writer, sent);
        return writer.take();
    };
    CHECK(decode_pulse(bytes(pulse).view()).value() == pulse);
    Pulse bad = pulse;
    bad.support_for = seconds(86'400);
    CHECK(decode_pulse(bytes(bad).view()).error() == Error::kMalformed);
    bad = pulse;
    bad.incarnation = 0;
    CHECK(!decode_pulse(bytes(bad).view()));
    bad = pulse;
    bad.echo = Instant{INT64_MAX};
    CHECK(!decode_pulse(bytes(bad).view()));
}

}  // namespace
}  // namespace dlog::consensus::raft
