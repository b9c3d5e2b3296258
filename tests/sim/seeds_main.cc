/// Runs seeds of the simulation, each twice, and says which failed and how to replay it.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "run.h"

namespace dlog::simtest {
namespace {

struct Arguments {
    std::uint64_t first_seed = 0;
    std::uint64_t seed_count = 500;
    std::uint64_t jobs = 2;
    std::string level = "node";
    bool is_traced = false;
    bool is_single = false;
    bool is_always_twice = false;
    bool expects_failure = false;
    bool needs_trusting_storage = false;
    Canary canary = Canary::kNone;
};

std::uint64_t current_seed = 0;
std::string_view current_level;

/// An assertion failed somewhere below: say in which seed.
void tell_seed(int signal_number) {
    char text[160];
    const int length = std::snprintf(
        text, sizeof text,
        "\nseed %llu of level %.*s aborted; replay: ./dev sim %llu --level %.*s\n",
        static_cast<unsigned long long>(current_seed), static_cast<int>(current_level.size()),
        current_level.data(), static_cast<unsigned long long>(current_seed),
        static_cast<int>(current_level.size()), current_level.data());
    if (length > 0) (void)!write(2, text, static_cast<std::size_t>(length));
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
}

RunResult run_level(std::string_view level, const RunOptions& options) {
    if (level == "partitions") return run_partitions(options);
    return level == "cluster" ? run_cluster(options) : run_node(options);
}

struct Totals {
    std::uint64_t failed_seeds = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t seen = 0;
    std::uint64_t crashes = 0;
    std::uint64_t refusals = 0;
    std::uint64_t compacted = 0;
    std::uint64_t commits = 0;
    std::uint64_t migrations = 0;
};

void report(const Arguments& arguments, std::uint64_t seed, const RunResult& result) {
    std::printf("seed %llu of level %s failed\n", static_cast<unsigned long long>(seed),
                arguments.level.c_str());
    for (const std::string& failure : result.failures) std::printf("  %s\n", failure.c_str());
    if (!result.last_lines.empty())
        std::printf("the last log lines:\n%s", result.last_lines.c_str());
    std::printf("replay: ./dev sim %llu --level %s\n", static_cast<unsigned long long>(seed),
                arguments.level.c_str());
    std::fflush(stdout);
}

void run_seed(const Arguments& arguments, std::uint64_t seed, Totals& totals) {
    current_seed = seed;
    const RunOptions options{
        .seed = seed, .is_traced = arguments.is_traced, .canary = arguments.canary};
    RunResult result = run_level(arguments.level, options);
    if (arguments.is_always_twice) std::fputs("---- the second run\n", stderr);
    if (result.failures.empty() && (!arguments.is_traced || arguments.is_always_twice)) {
        const RunResult again = run_level(arguments.level, options);
        if (again.hash != result.hash || again.effects != result.effects) {
            result.failures.push_back(
                "two runs of the seed differ: " + std::to_string(result.effects) + " and " +
                std::to_string(again.effects) + " effects");
        }
    }
    totals.acknowledged += result.acknowledged_records;
    totals.seen += result.seen_records;
    totals.crashes += result.crashes;
    totals.refusals += result.corrupt_refusals;
    totals.compacted += result.compacted_records;
    totals.commits += result.commits;
    totals.migrations += result.migrations;
    if (result.failures.empty()) {
        if (arguments.is_single) {
            std::printf("seed %llu: no failure, %llu effects, hash %016llx\n",
                        static_cast<unsigned long long>(seed),
                        static_cast<unsigned long long>(result.effects),
                        static_cast<unsigned long long>(result.hash));
        }
        return;
    }
    ++totals.failed_seeds;
    if (!arguments.expects_failure) report(arguments, seed, result);
}

/// Runs every `jobs`-th seed from `job` on.
Totals run_share(const Arguments& arguments, std::uint64_t job) {
    Totals totals;
    for (std::uint64_t at = job; at < arguments.seed_count; at += arguments.jobs) {
        run_seed(arguments, arguments.first_seed + at, totals);
        if (arguments.expects_failure && totals.failed_seeds > 0) break;
    }
    return totals;
}

/// True when a child counted its totals and ended well.
bool collect(int pipe_end, pid_t child, Totals& sum) {
    Totals totals;
    const bool is_whole = read(pipe_end, &totals, sizeof totals) == sizeof totals;
    close(pipe_end);
    int status = 0;
    waitpid(child, &status, 0);
    if (is_whole) {
        sum.failed_seeds += totals.failed_seeds;
        sum.acknowledged += totals.acknowledged;
        sum.seen += totals.seen;
        sum.crashes += totals.crashes;
        sum.refusals += totals.refusals;
        sum.compacted += totals.compacted;
        sum.commits += totals.commits;
        sum.migrations += totals.migrations;
    }
    return is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int run_all(const Arguments& arguments) {
    Totals sum;
    bool has_crashed = false;
    if (arguments.jobs == 1) {
        sum = run_share(arguments, 0);
    } else {
        std::vector<std::pair<int, pid_t>> children;
        for (std::uint64_t job = 0; job < arguments.jobs; ++job) {
            int ends[2];
            if (pipe(ends) != 0) return 2;
            std::fflush(stdout);
            const pid_t child = fork();
            if (child == 0) {
                const Totals totals = run_share(arguments, job);
                const bool is_written = write(ends[1], &totals, sizeof totals) == sizeof totals;
                std::fflush(stdout);
                _exit(is_written ? 0 : 2);
            }
            close(ends[1]);
            children.emplace_back(ends[0], child);
        }
        for (const auto& [pipe_end, child] : children) {
            has_crashed = !collect(pipe_end, child, sum) || has_crashed;
        }
    }
    std::printf(
        "level %s: %llu seeds, %llu failed; %llu records acknowledged, %llu read, %llu crashes, "
        "%llu reads refused as damaged, %llu records compacted away, %llu commits of groups, %llu "
        "changes of a "
        "group's protocol\n",
        arguments.level.c_str(), static_cast<unsigned long long>(arguments.seed_count),
        static_cast<unsigned long long>(sum.failed_seeds),
        static_cast<unsigned long long>(sum.acknowledged),
        static_cast<unsigned long long>(sum.seen), static_cast<unsigned long long>(sum.crashes),
        static_cast<unsigned long long>(sum.refusals),
        static_cast<unsigned long long>(sum.compacted),
        static_cast<unsigned long long>(sum.commits),
        static_cast<unsigned long long>(sum.migrations));
    if (arguments.expects_failure) {
        const bool is_caught = has_crashed || sum.failed_seeds > 0;
        std::printf("%s\n", is_caught ? "the canary was caught" : "THE CANARY WAS NOT CAUGHT");
        return is_caught ? 0 : 1;
    }
    return has_crashed || sum.failed_seeds > 0 ? 1 : 0;
}

constexpr std::string_view kUsage =
    "usage: sim_seeds [--seed N | --seeds FIRST COUNT] [--level node|partitions|cluster]\n"
    "                 [--jobs N] [--trace [--twice]] [--expect-failure]\n"
    "                 [--canary "
    "none|flush|tail|keys|tombstones|start|middle|revoked|epochs|commits|replicas|alone]\n";

struct NamedCanary {
    std::string_view name;
    Canary canary;
};
constexpr NamedCanary kCanaries[] = {
    {"none", Canary::kNone},
    {"flush", Canary::kAcknowledgesBeforeFlush},
    {"tail", Canary::kNone},
    {"keys", Canary::kKeysCollide},
    {"tombstones", Canary::kDropsTombstones},
    {"start", Canary::kStartGoesBack},
    {"middle", Canary::kLosesMiddle},
    {"revoked", Canary::kKeepsRevoked},
    {"epochs", Canary::kEpochsGoBack},
    {"commits", Canary::kCommitsLess},
    {"replicas", Canary::kAcknowledgesBeforeFlush},
    {"alone", Canary::kCommitsAlone},
};

bool parse(int count, char** words, Arguments& arguments) {
    for (int at = 1; at < count; ++at) {
        const std::string_view word = words[at];
        const auto number = [&] { return std::strtoull(words[++at], nullptr, 10); };
        if (word == "--trace") {
            arguments.is_traced = true;
        } else if (word == "--twice") {
            arguments.is_always_twice = true;
        } else if (word == "--expect-failure") {
            arguments.expects_failure = true;
        } else if (at + 1 >= count) {
            return false;
        } else if (word == "--seed") {
            arguments.first_seed = number();
            arguments.seed_count = 1;
            arguments.jobs = 1;
            arguments.is_single = true;
        } else if (word == "--seeds" && at + 2 < count) {
            arguments.first_seed = number();
            arguments.seed_count = number();
        } else if (word == "--jobs") {
            arguments.jobs = number();
        } else if (word == "--level") {
            arguments.level = words[++at];
        } else if (word == "--canary") {
            const std::string_view name = words[++at];
            arguments.needs_trusting_storage = name == "tail";
            const auto found = std::ranges::find(kCanaries, name, &NamedCanary::name);
            if (found == std::end(kCanaries)) return false;
            arguments.canary = found->canary;
        } else {
            return false;
        }
    }
    constexpr std::string_view kLevels[] = {"node", "partitions", "cluster"};
    return arguments.jobs > 0 && std::ranges::find(kLevels, arguments.level) != std::end(kLevels);
}

/// The canary that trusts a torn tail is a program of its own, beside this one: its storage is
/// compiled differently. Returns only when it cannot be started, or when this is that program.
bool become_trusting(char** words) {
    constexpr std::string_view kSuffix = "_trusting";
    std::string path = words[0];
    if (path.ends_with(kSuffix)) return true;
    path += kSuffix;
    words[0] = path.data();
    execv(path.c_str(), words);
    std::fprintf(stderr, "cannot start %s\n", path.c_str());
    return false;
}

}  // namespace
}  // namespace dlog::simtest

int main(int count, char** words) {
    using namespace dlog::simtest;
    Arguments arguments;
    if (!parse(count, words, arguments)) {
        std::fputs(kUsage.data(), stderr);
        return 2;
    }
    if (arguments.needs_trusting_storage && !become_trusting(words)) return 2;
    current_level = arguments.level;
    std::signal(SIGABRT, tell_seed);
    std::signal(SIGSEGV, tell_seed);
    return run_all(arguments);
}
