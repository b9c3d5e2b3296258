/// What a step costs among 5,000 stable groups of 4 members, in CPU nanoseconds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "coordination/group/harness.h"

namespace {

using namespace dlog;
using namespace dlog::coordination;

constexpr std::size_t kGroups = 5'000;
constexpr std::size_t kMembers = 4;
constexpr int kRounds = 15;

double cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// The median over the rounds of the time for one of `inputs`, a second of virtual time a round.
template <class Request, class Wrap>
void measure(const char* name, test::World& world, const std::vector<Request>& requests,
             Wrap wrap) {
    std::vector<double> times;
    for (int round = 0; round < kRounds; ++round) {
        world.advance(seconds(1));
        const Now now{world.instant, world.wall(), world.topics};
        const double begin = cpu_ns();
        for (const Request& request : requests) {
            const Effects effects = world.coordinator->step(now, wrap(request));
            if (effects.replies.size() != 1) std::puts("no reply");
        }
        times.push_back((cpu_ns() - begin) / static_cast<double>(requests.size()));
    }
    std::ranges::sort(times);
    std::printf("%-10s %8.0f ns\n", name, times[times.size() / 2]);
}

}  // namespace

int main() {
    test::World world;
    std::vector<protocol::HeartbeatRequest> beats;
    std::vector<protocol::OffsetCommitRequest> commits;
    for (std::size_t i = 0; i < kGroups; ++i) {
        const std::string group = "group-" + std::to_string(i);
        std::vector<Ticket> joins;
        for (std::size_t member = 0; member < kMembers; ++member) {
            joins.push_back(world.join({.group = group, .session_ms = 1'800'000}));
        }
        world.advance(seconds(7));
        for (const Ticket join : joins) {
            const auto& joined = world.joined(join);
            world.sync(joined.member_id, 1, {}, group);
            protocol::HeartbeatRequest beat;
            beat.group_id = group;
            beat.member_id = joined.member_id;
            beat.generation_id = 1;
            beats.push_back(std::move(beat));
            commits.push_back(test::World::request_of(joined.member_id, 1, 7, "orders", 0, group));
        }
        if (i % 50 == 0) {
            // The first groups stay alive while the others begin.
            const Now now{world.instant, world.wall(), world.topics};
            for (const auto& beat : beats) {
                static_cast<void>(world.coordinator->step(now, Beat{1, beat}));
            }
        }
    }
    measure("heartbeat", world, beats, [](const auto& request) { return Beat{1, request}; });
    measure("commit", world, commits, [](const auto& request) { return Commit{1, request}; });
    return 0;
}
