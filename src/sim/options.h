/// What a simulated world may do to the programs in it. All of it may be changed while the world
/// runs.
#pragma once

#include <cstdint>

#include "base/log.h"
#include "base/time.h"

namespace dlog::sim {

/// How long something takes: usually uniform in [least, most]; once in `slow_one_in` times,
/// up to `slow_factor` times as long (never, when 0).
struct Latency {
    Duration least;
    Duration most;
    std::uint32_t slow_one_in = 0;
    std::uint32_t slow_factor = 10;
};

/// A fault that happens once in `one_in` chances; never, when 0.
struct Rate {
    std::uint32_t one_in = 0;
};

struct CoreOptions {
    Latency hop{microseconds(1), microseconds(20), 50, 100};
    Latency offload{microseconds(20), milliseconds(2), 20, 10};
    /// How late a timer fires.
    Latency timer{nanoseconds(0), microseconds(50), 100, 100};
    /// Wall clocks of hosts differ from the true time by up to this.
    Duration wall_skew_most = milliseconds(500);
};

struct DiskOptions {
    Latency read{microseconds(5), microseconds(100), 50, 20};
    Latency write{microseconds(5), microseconds(100), 50, 20};
    Latency sync{microseconds(50), milliseconds(2), 30, 20};
    Latency names{microseconds(5), microseconds(100), 50, 10};
    std::uint64_t capacity_bytes = 1ULL << 30;
    Rate read_error;
    Rate write_error;
    Rate sync_error;
    /// For canaries: a sync reports success and keeps nothing.
    bool sync_lies = false;
};

struct NetOptions {
    Latency latency{microseconds(20), microseconds(300), 100, 50};
    Latency connect{microseconds(20), microseconds(500), 50, 20};
    std::uint64_t bytes_per_second = 1ULL << 30;
    /// A stream's segments are at most so long; one in four is cut much shorter.
    std::uint32_t segment_bytes_most = 32 * 1024;
    /// Bytes that a stream holds which its reader has not read yet; a window is drawn for each
    /// stream.
    std::uint32_t window_bytes_least = 4 * 1024;
    std::uint32_t window_bytes_most = 256 * 1024;
    /// A stream whose segments are not taken for so long ends with kTimedOut.
    Duration give_up_after = seconds(30);
    /// For each segment: the connection is reset instead.
    Rate reset;
    Rate refuse;
};

struct Options {
    CoreOptions core;
    DiskOptions disk;
    NetOptions net;
    LogLevel log_level = LogLevel::kInfo;
    std::uint32_t log_lines_kept = 400;
    /// Log lines go to stderr as they are written.
    bool is_traced = false;
};

}  // namespace dlog::sim
