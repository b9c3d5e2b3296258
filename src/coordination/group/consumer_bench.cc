/// What steps cost in a group of 1,000 members that share 10,000 partitions, in CPU microseconds.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "coordination/group/consumer_harness.h"

namespace {

using namespace dlog;
using namespace dlog::coordination;

constexpr std::size_t kMembers = 1'000;
constexpr std::int32_t kPartitions = 10'000;

double cpu_us() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

/// The median and the maximum of what one heartbeat of each member takes.
void measure(const char* name, test::World& world, std::vector<test::Consumer>& members) {
    std::vector<double> times;
    for (test::Consumer& member : members) {
        const auto request = member.full();
        const double begin = cpu_us();
        const auto response = test::send(world, request);
        times.push_back(cpu_us() - begin);
        if (response.error_code != test::ErrorCode::kNone) std::puts("refused");
        member.take(response);
        world.log.clear();
    }
    std::ranges::sort(times);
    std::printf("%-10s %8.0f us, at most %8.0f us\n", name, times[times.size() / 2], times.back());
}

}  // namespace

int main() {
    for (const char* const assignor : {"uniform", "range"}) {
        test::World world;
        world.topics.topics[0].partition_count = kPartitions;
        std::vector<test::Consumer> members;
        for (std::size_t i = 0; i < kMembers; ++i) {
            members.push_back({.id = "member-" + std::to_string(i), .assignor = assignor});
        }
        std::puts(assignor);
        measure("join", world, members);
        for (int round = 0; round < 4; ++round) measure("rebalance", world, members);
        measure("heartbeat", world, members);
        const auto described = test::describe_consumers(world);
        std::printf("%s\n", described.group_state.c_str());
    }
    return 0;
}
