#include "consensus/raft/liveness.h"

#include <doctest/doctest.h>

namespace dlog::consensus::raft {
namespace {

constexpr NodeId kA{1};
constexpr NodeId kB{2};

/// Two nodes whose clocks have nothing in common, and whatever passes between them.
struct Pair {
    Instant now{5'000'000'000};
    Liveness a{1, {}};
    Liveness b{1, {}};

    Pair() {
        a.set_nodes(std::vector{kB});
        b.set_nodes(std::vector{kA});
    }
    [[nodiscard]] Instant clock_b() const { return now + seconds(1'000); }

    void pass(const Liveness::Effects& effects, bool is_from_a) {
        for (const Liveness::Outgoing& outgoing : effects.pulses) {
            if (is_from_a ? is_a_heard : is_b_heard) {
                const Liveness::Effects next = is_from_a ? b.received(clock_b(), kA, outgoing.pulse)
                                                         : a.received(now, kB, outgoing.pulse);
                changes += static_cast<int>(next.changed.size());
                pass(next, !is_from_a);
            }
        }
    }
    void run(Duration span) {
        for (const Instant end = now + span; now < end; now = now + milliseconds(5)) {
            const Liveness::Effects of_a = a.tick(now);
            const Liveness::Effects of_b = b.tick(clock_b());
            changes += static_cast<int>(of_a.changed.size() + of_b.changed.size());
            pass(of_a, true);
            pass(of_b, false);
        }
    }

    bool is_a_heard = true;
    bool is_b_heard = true;
    int changes = 0;
};

TEST_CASE("nodes that hear each other support each other, and nothing changes after that") {
    Pair pair;
    pair.run(milliseconds(100));
    CHECK(pair.a.peers().of(kB).is_supported);
    CHECK(pair.b.peers().of(kA).is_supported);
    CHECK(pair.a.peers().of(kB).granted == pair.b.peers().of(kA).support);
    pair.changes = 0;
    pair.run(seconds(10));
    CHECK(pair.changes == 0);
    CHECK(pair.a.peers().of(kB).granted_until > pair.now);
}

TEST_CASE("what was promised has run out by the promised one's clock before it is withdrawn") {
    Pair pair;
    pair.run(seconds(1));
    pair.is_a_heard = false;
    while (pair.b.peers().of(kA).is_supported) pair.run(milliseconds(5));
    CHECK(pair.a.peers().of(kB).granted_until < pair.now);
}

TEST_CASE("support that comes back has another number: promises under the old one are void") {
    Pair pair;
    pair.run(seconds(1));
    const std::uint64_t before = pair.a.peers().of(kB).granted;
    pair.is_a_heard = false;
    pair.run(seconds(1));
    CHECK(pair.a.peers().of(kB).granted == 0);
    pair.is_a_heard = true;
    pair.run(seconds(1));
    CHECK(pair.a.peers().of(kB).granted > before);
}

TEST_CASE("a new process starts with new numbers on both sides") {
    Pair pair;
    pair.run(seconds(1));
    const std::uint64_t before = pair.b.peers().of(kA).support;
    pair.a = Liveness(2, {});
    pair.a.set_nodes(std::vector{kB});
    pair.run(milliseconds(100));
    CHECK(pair.b.peers().of(kA).incarnation == 2);
    CHECK(pair.b.peers().of(kA).support > before);
    CHECK(pair.a.peers().of(kB).granted == pair.b.peers().of(kA).support);
}

TEST_CASE(
    "a process that says who it is before its first pulse ends what was known of the one before") {
    Pair pair;
    pair.run(seconds(1));
    const PeerState before = pair.b.peers().of(kA);
    CHECK(pair.b.met(kA, 2).changed == std::vector{kA});
    const PeerState after = pair.b.peers().of(kA);
    CHECK(after.incarnation == 2);
    CHECK(after.support > before.support);
    CHECK(!after.is_supported);
    CHECK(after.granted == 0);
    CHECK(pair.b.met(kA, 2).changed.empty());
    CHECK(pair.b.met(kA, 1).changed.empty());
    CHECK(pair.b.met(NodeId(7), 1).changed.empty());
    CHECK(pair.b.peers().of(kA) == after);
    pair.a = Liveness(2, {});
    pair.a.set_nodes(std::vector{kB});
    pair.run(milliseconds(100));
    CHECK(pair.b.peers().of(kA).is_supported);
    CHECK(pair.b.peers().of(kA).support == after.support);
}

TEST_CASE("a pulse of a process that is gone, or of a stranger, changes nothing") {
    Pair pair;
    pair.a = Liveness(2, {});
    pair.a.set_nodes(std::vector{kB});
    pair.run(seconds(1));
    const PeerState before = pair.b.peers().of(kA);
    const Pulse old{.incarnation = 1, .to_incarnation = 1, .support = 9, .sent_at = pair.now};
    CHECK(pair.b.received(pair.clock_b(), kA, old).changed.empty());
    CHECK(pair.b.peers().of(kA) == before);
    CHECK(pair.b.received(pair.clock_b(), NodeId(7), old).pulses.empty());
    CHECK(!pair.b.peers().of(NodeId(7)).is_supported);
}

TEST_CASE("a pulse that was overtaken extends nothing") {
    Pair pair;
    pair.run(seconds(1));
    const PeerState before = pair.a.peers().of(kB);
    Pulse late{.incarnation = 1,
               .to_incarnation = 1,
               .support = before.granted + 5,
               .support_for = seconds(900),
               .sent_at = pair.clock_b() - seconds(1),
               .echo = pair.now};
    CHECK(pair.a.received(pair.now, kB, late).changed.empty());
    CHECK(pair.a.peers().of(kB) == before);
}

}  // namespace
}  // namespace dlog::consensus::raft
