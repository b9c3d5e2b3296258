/// crowd: many clients that do little, or one that asks much, in one cheap process.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "load/broker.h"
#include "load/crowd.h"
#include "load/members.h"
#include "load/options.h"
#include "load/usage.h"
#include "load/wire.h"

namespace dlog::load {
namespace {

constexpr const char* kHelp = R"(crowd MODE HOST:PORT [options]
  hold     opens --connections, each of which asks ApiVersions and Metadata; prints a line; then a line for each
           line of standard input: `fetch` sends a waiting Fetch on each, `count` counts; ends with the input
  ask      sends requests of one --kind, --in-flight on each connection, or --rate a second altogether, for
           --seconds; latency from when a request was due to its answer
  members  --groups of --size members each on a connection of its own, which beat every --interval-ms for
           --seconds; then as long again while one group is disturbed
  --connections N (1)  --sources N (1) of addresses  --topic NAME  --partitions N (1)
  --kind metadata|list-offsets|fetch (metadata)      --partition N (0)  --in-flight N (1)  --rate N (0)
  --seconds N (5)      --fetch-wait MS (600000)      --fetch-bytes N (1000)
  --groups N (1)       --size N (4)                  --interval-ms N (3000)
  --pid PID[,PID]      processes whose CPU and memory are reported
Prints JSON lines.)";

struct Asked {
    CrowdOptions crowd;
    MemberOptions members;
    std::string mode, topic, kind = "metadata";
    std::int32_t partitions = 1, partition = 0;
    int in_flight = 1, fetch_wait_ms = 600'000, fetch_bytes = 1000;
    double rate = 0;
};

Asked parse_crowd(int argc, char** argv) {
    if (argc < 3) {
        puts(kHelp);
        ::exit(argc == 2 && std::string_view(argv[1]) == "--help" ? 0 : 2);
    }
    Asked asked;
    asked.mode = argv[1];
    std::tie(asked.crowd.host, asked.crowd.port) = split_endpoint(argv[2]);
    for (int i = 3; i < argc; i += 2) {
        const std::string name = argv[i];
        if (i + 1 == argc) die(name + " needs a value");
        const std::string value = argv[i + 1];
        const int number = ::atoi(value.c_str());
        if (name == "--connections")
            asked.crowd.connections = number;
        else if (name == "--sources")
            asked.crowd.sources = number;
        else if (name == "--topic")
            asked.topic = value;
        else if (name == "--partitions")
            asked.partitions = number;
        else if (name == "--partition")
            asked.partition = number;
        else if (name == "--kind")
            asked.kind = value;
        else if (name == "--in-flight")
            asked.in_flight = number;
        else if (name == "--rate")
            asked.rate = ::atof(value.c_str());
        else if (name == "--seconds")
            asked.members.seconds = ::atof(value.c_str());
        else if (name == "--fetch-wait")
            asked.fetch_wait_ms = number;
        else if (name == "--fetch-bytes")
            asked.fetch_bytes = number;
        else if (name == "--groups")
            asked.members.groups = number;
        else if (name == "--size")
            asked.members.size = number;
        else if (name == "--interval-ms")
            asked.members.interval_ms = number;
        else if (name == "--pid")
            asked.members.pids = value;
        else
            die("unknown option " + name);
    }
    return asked;
}

std::string metadata_frame(const std::string& topic) {
    Writer w = request(kMetadata, 4, 1);
    w.i32(1).string(topic).i8(0);
    set_length(w.out);
    return w.out;
}

/// Version 4, from the beginning of the partition.
std::string fetch_frame(const Asked& asked, std::int32_t partition, int wait_ms) {
    Writer w = request(kFetch, 4, 1);
    w.i32(-1).i32(wait_ms).i32(1).i32(asked.fetch_bytes).i8(0).i32(1).string(asked.topic);
    w.i32(1).i32(partition).i64(0).i32(asked.fetch_bytes);
    set_length(w.out);
    return w.out;
}

std::string list_offsets_frame(const Asked& asked) {
    Writer w = request(kListOffsets, 1, 1);
    w.i32(-1).i32(1).string(asked.topic).i32(1).i32(asked.partition).i64(-1);
    set_length(w.out);
    return w.out;
}

std::string api_versions_frame() {
    constexpr auto kApiVersions = static_cast<Api>(18);
    Writer w = request(kApiVersions, 0, 1);
    set_length(w.out);
    return w.out;
}

int hold(const Asked& asked) {
    long answers = 0;
    std::vector<std::string> polls;
    for (std::int32_t p = 0; p < asked.partitions; ++p) {
        polls.push_back(fetch_frame(asked, p, asked.fetch_wait_ms));
    }
    const auto poll_of = [&](int client) -> const std::string& {
        return polls[static_cast<std::size_t>(client) % polls.size()];
    };
    bool is_polling = false;
    Crowd crowd(asked.crowd, [&](int client, std::string_view) {
        ++answers;
        if (is_polling) crowd.send(client, poll_of(client));
    });
    const std::int64_t begin = now_ns();
    crowd.open();
    const std::string greeting = api_versions_frame() + metadata_frame(asked.topic);
    for (int client = 0; client < crowd.size(); ++client) {
        crowd.send(client, greeting);
        if (client % 200 == 0) crowd.wait(now_ns());
    }
    while (answers < 2L * (crowd.size() - crowd.closed())) crowd.wait(now_ns() + 1'000'000'000);
    const auto report = [&] {
        printf("{\"open\":%d,\"closed\":%d,\"answers\":%ld,\"seconds\":%.2f,\"own_cpu_s\":%.2f}\n",
               crowd.size() - crowd.closed(), crowd.closed(), answers,
               static_cast<double>(now_ns() - begin) * 1e-9, own_cpu_seconds());
        fflush(stdout);
    };
    report();
    for (;;) {
        if (!crowd.wait(now_ns() + 1'000'000'000, true)) continue;
        std::array<char, 64> line{};
        const ssize_t count = ::read(STDIN_FILENO, line.data(), line.size());
        if (count <= 0) return 0;
        if (std::string_view(line.data(), static_cast<std::size_t>(count)) == "fetch\n") {
            is_polling = true;
            for (int client = 0; client < crowd.size(); ++client) {
                crowd.send(client, poll_of(client));
            }
        }
        report();
    }
}

void print_asked(const Asked& asked, std::vector<std::int64_t>& latencies, double seconds) {
    std::sort(latencies.begin(), latencies.end());
    const auto ms = [&](double quantile) { return quantile_ms(latencies, quantile); };
    printf(
        "{\"kind\":\"%s\",\"requests\":%zu,\"per_s\":%.0f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,"
        "\"p999_ms\":%.4f,\"own_cpu_s\":%.2f}\n",
        asked.kind.c_str(), latencies.size(), static_cast<double>(latencies.size()) / seconds,
        ms(0.5), ms(0.99), ms(0.999), own_cpu_seconds());
}

int ask(const Asked& asked) {
    const std::string frame = asked.kind == "fetch" ? fetch_frame(asked, asked.partition, 0)
                              : asked.kind == "list-offsets" ? list_offsets_frame(asked)
                                                             : metadata_frame(asked.topic);
    std::vector<std::int64_t> latencies;
    std::vector<std::deque<std::int64_t>> due(static_cast<std::size_t>(asked.crowd.connections));
    const auto end = static_cast<std::int64_t>(asked.members.seconds * 1e9);
    std::int64_t begin = 0;
    Crowd crowd(asked.crowd, [&](int client, std::string_view) {
        std::deque<std::int64_t>& mine = due[static_cast<std::size_t>(client)];
        const std::int64_t now = now_ns();
        latencies.push_back(now - mine.front());
        mine.pop_front();
        if (asked.rate > 0 || now - begin > end) return;
        mine.push_back(now);
        crowd.send(client, frame);
    });
    crowd.open();
    begin = now_ns();
    if (asked.rate == 0) {
        std::string burst;
        for (int i = 0; i < asked.in_flight; ++i) burst += frame;
        for (int client = 0; client < crowd.size(); ++client) {
            due[static_cast<std::size_t>(client)].assign(static_cast<std::size_t>(asked.in_flight),
                                                         now_ns());
            crowd.send(client, burst);
        }
        while (now_ns() - begin < end) crowd.wait(begin + end);
    }
    for (long sent = 0; asked.rate > 0; ++sent) {
        const auto at =
            begin + static_cast<std::int64_t>(static_cast<double>(sent) * 1e9 / asked.rate);
        if (at - begin > end) break;
        while (now_ns() < at) crowd.wait(at);
        const auto client = static_cast<int>(sent % crowd.size());
        due[static_cast<std::size_t>(client)].push_back(at);
        crowd.send(client, frame);
    }
    const std::int64_t took = now_ns() - begin;
    for (int i = 0; asked.rate > 0 && i < 20; ++i) crowd.wait(now_ns() + 10'000'000);
    if (crowd.closed() > 0) die("the broker closed connections");
    print_asked(asked, latencies, static_cast<double>(took) * 1e-9);
    return 0;
}

int main_of(int argc, char** argv) {
    const Asked asked = parse_crowd(argc, argv);
    if (asked.crowd.connections < 1 || asked.partitions < 1) die("numbers must be at least 1");
    if (asked.mode == "hold") return hold(asked);
    if (asked.mode == "ask") return ask(asked);
    if (asked.mode == "members") return hold_members(asked.crowd, asked.members);
    die("unknown mode " + asked.mode);
}

}  // namespace
}  // namespace dlog::load

int main(int argc, char** argv) {
    return dlog::load::main_of(argc, argv);
}
