/// One simulated run of a seed, and what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dlog::simtest {

/// Ways to break the node that the checkers must notice.
enum class Canary : std::uint8_t {
    kNone,
    kAcknowledgesBeforeFlush,  ///< its syncs return at once and are done later
    kKeysCollide,              ///< compaction takes different keys for one
    kDropsTombstones,          ///< compaction removes them without delay, against the rules
    kStartGoesBack,            ///< clients are told of a log's first start for ever
    kKeepsRevoked,             ///< members say that they gave up partitions, and keep them
    kEpochsGoBack,             ///< members hear an epoch again that is gone by
    kCommitsLess,              ///< members commit less than they believe
    kLosesMiddle,              ///< a loss of power takes a batch and not what is behind it
    kCommitsAlone,             ///< a leader takes what it sends for stored by who is to get it
};

struct RunOptions {
    std::uint64_t seed = 0;
    bool is_traced = false;
    Canary canary = Canary::kNone;
};

struct RunResult {
    std::uint64_t hash = 0;
    std::uint64_t effects = 0;
    std::vector<std::string> failures;
    std::string last_lines;  ///< of the log, when something failed
    std::uint64_t acknowledged_records = 0;
    std::uint64_t seen_records = 0;
    std::uint64_t crashes = 0;
    std::uint64_t corrupt_refusals = 0;
    std::uint64_t compacted_records = 0;  ///< removed by compaction
    std::uint64_t commits = 0;            ///< of groups
    std::uint64_t migrations = 0;         ///< of groups, from one protocol to the other
};

/// One core's partitions alone: replication and storage without broker and network.
[[nodiscard]] RunResult run_partitions(const RunOptions& options);
/// The same replicated over several nodes.
[[nodiscard]] RunResult run_cluster(const RunOptions& options);
/// A whole node with clients on another machine.
[[nodiscard]] RunResult run_node(const RunOptions& options);

}  // namespace dlog::simtest
