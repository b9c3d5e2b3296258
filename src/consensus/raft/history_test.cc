#include "consensus/raft/history.h"

#include <doctest/doctest.h>

#include "base/random.h"

namespace dlog::consensus::raft {
namespace {

const Configuration kVoters = make_configuration(std::vector{NodeId(1), NodeId(2), NodeId(3)});

Epoch epoch(std::int32_t term, std::int64_t start) {
    return {.term = LeaderEpoch(term), .start = Offset(start), .configuration = kVoters};
}

LogPosition at(std::int32_t term, std::int64_t end) {
    return {LeaderEpoch(term), Offset(end)};
}

/// Term 1 wrote [0, 10), terms 2 and 4 nothing but their starts, term 5 [10, 30).
History sample() {
    return {{epoch(1, 0), epoch(2, 10), epoch(4, 10), epoch(5, 10)}, Offset(0), Offset(30)};
}

TEST_CASE("the start of an epoch moves a log's end without taking an offset") {
    History history(epoch(-1, 0));
    CHECK(history.end() == at(-1, 0));
    history.begin_epoch(epoch(0, 0));
    CHECK(history.end() == at(0, 0));
    history.extend(Offset(5));
    history.begin_epoch(epoch(3, 5));
    CHECK(history.end() == at(3, 5));
    CHECK(history.contains(at(0, 5)));
    CHECK(history.contains(at(3, 5)));
    CHECK(!history.contains(at(3, 4)));
    CHECK(!history.contains(at(2, 5)));
    CHECK(at(0, 5) < at(3, 5));
}

TEST_CASE("a log contains the positions that it went through and no others") {
    const History history = sample();
    CHECK(history.contains(at(1, 0)));
    CHECK(history.contains(at(1, 10)));
    CHECK(!history.contains(at(1, 11)));
    CHECK(history.contains(at(2, 10)));
    CHECK(history.contains(at(4, 10)));
    CHECK(!history.contains(at(3, 10)));
    CHECK(!history.contains(at(5, 9)));
    CHECK(history.contains(at(5, 30)));
    CHECK(!history.contains(at(5, 31)));
    CHECK(!history.contains(at(6, 30)));
}

TEST_CASE("the nearest position is where another log can still be the same") {
    const History history = sample();
    CHECK(history.nearest(at(5, 20)) == at(5, 20));
    CHECK(history.nearest(at(5, 99)) == at(5, 30));
    CHECK(history.nearest(at(9, 99)) == at(5, 30));
    CHECK(history.nearest(at(3, 99)) == at(2, 10));
    CHECK(history.nearest(at(1, 4)) == at(1, 4));
    CHECK(history.nearest(at(0, 4)) == at(1, 0));
}

TEST_CASE("epochs between two positions are those that begin behind the first") {
    const History history = sample();
    CHECK(history.epochs_between(at(1, 5), at(5, 12)).size() == 3);
    CHECK(history.epochs_between(at(1, 5), at(1, 10)).empty());
    CHECK(history.epochs_between(at(2, 10), at(4, 10)) == std::vector{epoch(4, 10)});
    CHECK(history.position_at(Offset(10)) == at(5, 10));
    CHECK(history.position_at(Offset(9)) == at(1, 9));
}

TEST_CASE("a log is cut off behind a position, epochs of zero width included") {
    History history = sample();
    history.truncate(at(2, 10));
    CHECK(history.end() == at(2, 10));
    history.truncate(at(1, 3));
    CHECK(history.end() == at(1, 3));
    CHECK(history.epochs().size() == 1);
}

TEST_CASE("a log whose start moved still knows the term at its start") {
    History history = sample();
    history.trim(Offset(4));
    CHECK(history.start() == at(1, 4));
    CHECK(!history.contains(at(1, 3)));
    CHECK(history.nearest(at(1, 2)) == at(1, 4));
    history.trim(Offset(10));
    CHECK(history.start() == at(1, 10));
    CHECK(history.contains(at(2, 10)));
    history.trim(Offset(30));
    CHECK(history.start() == at(5, 30));
    CHECK(history.end() == at(5, 30));
}

TEST_CASE("what contradicts itself on stable storage is not taken for a history") {
    const std::vector<Epoch> good{epoch(1, 0), epoch(2, 10)};
    CHECK(History::is_valid(good, Offset(0), Offset(10)));
    CHECK(!History::is_valid({}, Offset(0), Offset(10)));
    CHECK(!History::is_valid(good, Offset(0), Offset(9)));
    CHECK(!History::is_valid(good, Offset(11), Offset(20)));
    CHECK(!History::is_valid(good, Offset(-1), Offset(20)));
    CHECK(!History::is_valid(good, Offset(5), Offset(4)));
    CHECK(!History::is_valid(std::vector{epoch(2, 0), epoch(2, 10)}, Offset(0), Offset(10)));
    CHECK(!History::is_valid(std::vector{epoch(1, 10), epoch(2, 0)}, Offset(10), Offset(10)));
    CHECK(!History::is_valid(std::vector{Epoch{.term = LeaderEpoch(1)}}, Offset(0), Offset(1)));
}

/// What a log contains, said the long way: each position that it went through in order.
std::vector<LogPosition> all_positions(const History& history) {
    std::vector<LogPosition> all;
    for (const Epoch& one : history.epochs()) {
        for (Offset end = history.start().end; end <= history.end().end; ++end) {
            const LogPosition position{one.term, end};
            if (history.contains(position)) all.push_back(position);
        }
    }
    return all;
}

TEST_CASE("two logs that part are the same up to the nearest position, found in few questions") {
    Random random(7);
    for (int round = 0; round < 300; ++round) {
        const auto grow = [&](History history, int parity) {
            for (int i = 0; i < 6; ++i) {
                history.extend(history.end().end + random.between(0, 4));
                std::int32_t term = history.end().term.value + 1;
                while (term % 2 != parity) ++term;
                term += 2 * static_cast<std::int32_t>(random.below(3));
                history.begin_epoch(epoch(term, history.end().end.value));
            }
            return history;
        };
        const History shared = grow(History(epoch(-1, 0)), 0);
        const History leader = grow(shared, 0);
        const History follower = grow(shared, 1);
        LogPosition probe = leader.end();
        int questions = 0;
        while (!follower.contains(probe)) {
            const LogPosition next = leader.nearest(follower.nearest(probe));
            REQUIRE(next < probe);
            probe = next;
            ++questions;
        }
        CHECK(questions <= 7);
        for (const LogPosition position : all_positions(leader)) {
            if (follower.contains(position)) CHECK(position <= probe);
        }
    }
}

}  // namespace
}  // namespace dlog::consensus::raft
