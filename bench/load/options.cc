#include "load/options.h"

#include <stdio.h>
#include <stdlib.h>

#include <string_view>
#include <tuple>

namespace dlog::load {

namespace {

constexpr const char* kHelp = R"(kload MODE HOST:PORT TOPIC [options]
  produce     send --records records, print rate and latency from send to acknowledgement
  consume     fetch --records records from the start of every partition
  roundtrip   produce at --rate; latency from when a record was due to when it was fetched
  create | delete   the topic, and wait until it has leaders
  --partitions N (1)    --record-size BYTES (100)   --batch-records N (100)   --records N (1000000)
  --connections N (1)     --in-flight N (5)           --bundle N (1) partitions in one request
  --partition N: only this one of them
  --acks -1|0|1 (-1)      --codec none|lz4            --idempotent
  --rate RECORDS_A_SECOND (0: as fast as it goes)     --warmup N (0) records before anything counts
  --fetch-bytes N (1048576) of one partition          --fetch-wait MS (500)
  --pid PID[,PID] processes whose CPU seconds and memory are reported
  --config KEY=VALUE of the topic to create           --label TEXT
  --raw       the peer is a floor program: no metadata, and fetched offsets mean nothing
Prints one JSON line. Exits with 1 when the broker answered with an error.)";

}  // namespace

void die(const std::string& message) {
    fprintf(stderr, "kload: %s\n", message.c_str());
    ::exit(1);
}

std::pair<std::string, std::string> split_endpoint(const std::string& endpoint) {
    const std::size_t colon = endpoint.rfind(':');
    if (colon == std::string::npos) die("expected HOST:PORT, got " + endpoint);
    return {endpoint.substr(0, colon), endpoint.substr(colon + 1)};
}

Options parse(int argc, char** argv) {
    if (argc < 4) {
        puts(kHelp);
        ::exit(argc == 2 && std::string_view(argv[1]) == "--help" ? 0 : 2);
    }
    Options o;
    o.mode = argv[1];
    std::tie(o.host, o.port) = split_endpoint(argv[2]);
    o.topic = argv[3];
    for (int i = 4; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--idempotent") {
            o.is_idempotent = true;
            continue;
        }
        if (name == "--raw") {
            o.is_raw = true;
            continue;
        }
        if (++i == argc) die(name + " needs a value");
        const std::string value = argv[i];
        const long number = ::atol(value.c_str());
        if (name == "--partitions")
            o.partitions = static_cast<std::int32_t>(number);
        else if (name == "--partition")
            o.partition = static_cast<std::int32_t>(number);
        else if (name == "--record-size")
            o.batch.record_bytes = static_cast<std::size_t>(number);
        else if (name == "--batch-records")
            o.batch.records = static_cast<std::size_t>(number);
        else if (name == "--records")
            o.records = number;
        else if (name == "--connections")
            o.connections = static_cast<int>(number);
        else if (name == "--in-flight")
            o.in_flight = static_cast<int>(number);
        else if (name == "--bundle")
            o.bundle = static_cast<int>(number);
        else if (name == "--acks")
            o.acks = value == "all" ? -1 : static_cast<int>(number);
        else if (name == "--codec")
            o.batch.is_lz4 = value == "lz4";
        else if (name == "--rate")
            o.rate = number;
        else if (name == "--warmup")
            o.warmup = number;
        else if (name == "--fetch-bytes")
            o.fetch_bytes = static_cast<int>(number);
        else if (name == "--fetch-wait")
            o.fetch_wait_ms = static_cast<int>(number);
        else if (name == "--pid")
            o.pids = value;
        else if (name == "--config")
            o.configs.push_back(value);
        else if (name == "--label")
            o.label = value;
        else
            die("unknown option " + name);
    }
    return o;
}

}  // namespace dlog::load
