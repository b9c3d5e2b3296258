/// Who is let through when: orders and counts, without a loop.
#include "reactor/fair_line.h"

#include <doctest/doctest.h>

#include <array>
#include <coroutine>
#include <vector>

using namespace dlog::reactor;

namespace {

/// Handles that are told apart and never resumed.
std::coroutine_handle<> handle_of(std::size_t number) {
    static std::array<std::uint64_t, 64> places{};
    return std::coroutine_handle<>::from_address(&places[number]);
}

TEST_CASE("those who have used nothing are let through in the order they came") {
    FairLine line;
    std::vector<FairLine::Share> shares(5);
    for (std::size_t i = 0; i < shares.size(); ++i) line.wait(shares[i], handle_of(i));
    for (std::size_t i = 0; i < shares.size(); ++i) CHECK(line.next() == handle_of(i));
    CHECK(line.is_empty());
}

TEST_CASE("who asks little is next, however many ask all the time") {
    FairLine line;
    std::vector<FairLine::Share> greedy(50);
    FairLine::Share modest;
    for (std::size_t i = 0; i < greedy.size(); ++i) line.wait(greedy[i], handle_of(i));
    for (int turn = 1; turn <= 5000; ++turn) {
        const std::coroutine_handle<> handle = line.next();
        std::size_t i = 0;
        while (handle != handle_of(i)) ++i;
        greedy[i].use(FairLine::kQuantum);
        line.wait(greedy[i], handle);
        // Half of what each of the others gets.
        if (turn % 50 != 0) continue;
        line.wait(modest, handle_of(60));
        CHECK(line.next() == handle_of(60));
        modest.use(FairLine::kQuantum / 2);
    }
}

TEST_CASE("work is divided evenly, whatever each turn of a connection takes") {
    FairLine line;
    std::array<FairLine::Share, 3> shares;
    const std::array<std::uint64_t, 3> cost{1, 4, 32};
    std::array<std::uint64_t, 3> used{};
    for (std::size_t i = 0; i < shares.size(); ++i) line.wait(shares[i], handle_of(i));
    for (int turn = 0; turn < 10'000; ++turn) {
        const std::coroutine_handle<> handle = line.next();
        std::size_t i = 0;
        while (handle != handle_of(i)) ++i;
        shares[i].use(cost[i]);
        used[i] += cost[i];
        line.wait(shares[i], handle);
    }
    for (std::size_t i = 0; i < shares.size(); ++i) {
        CHECK(used[i] + 32 >= used[0]);
        CHECK(used[i] <= used[0] + 32);
    }
}

TEST_CASE("who was away long has a limited credit") {
    FairLine line;
    FairLine::Share away;
    FairLine::Share busy;
    for (int turn = 0; turn < 100'000; ++turn) {
        line.wait(busy, handle_of(0));
        CHECK(line.next() == handle_of(0));
        busy.use(FairLine::kQuantum);
    }
    line.wait(busy, handle_of(0));
    line.wait(away, handle_of(1));
    std::uint64_t used = 0;
    while (line.next() == handle_of(1)) {
        used += FairLine::kQuantum;
        away.use(FairLine::kQuantum);
        line.wait(away, handle_of(1));
        REQUIRE(used <= 2 * FairLine::kCreditMax);
    }
    CHECK(used >= FairLine::kCreditMax);
}

TEST_CASE("a connection has a few steps before it must wait again") {
    FairLine line;
    FairLine::Share share;
    CHECK(!share.must_wait());
    share.use(FairLine::kQuantum - 1);
    CHECK(!share.must_wait());
    share.use(1);
    CHECK(share.must_wait());
    line.wait(share, handle_of(0));
    CHECK(line.next() == handle_of(0));
    CHECK(!share.must_wait());
}

}  // namespace
