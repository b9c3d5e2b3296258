/// What kload was asked to do.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "load/batches.h"

namespace dlog::load {

struct Options {
    std::string mode, host, port, topic, label, pids;
    std::int32_t partitions = 1;
    std::int32_t partition = -1;  ///< When at least 0 all goes to this one.
    std::int64_t records = 1'000'000, warmup = 0, rate = 0;
    BatchOptions batch;
    int connections = 1, in_flight = 5, bundle = 1, acks = -1;
    int fetch_bytes = 1 << 20, fetch_wait_ms = 500;
    bool is_idempotent = false, is_raw = false;
    std::vector<std::string> configs;
};

/// Prints the help and exits when the arguments make no sense.
[[nodiscard]] Options parse(int argc, char** argv);

/// Exits when it is not HOST:PORT.
[[nodiscard]] std::pair<std::string, std::string> split_endpoint(const std::string& endpoint);

/// Prints the message and exits with 1.
[[noreturn]] void die(const std::string& message);

}  // namespace dlog::load
