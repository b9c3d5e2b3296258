/// Whole groups for tests: replicas with clocks that drift, disks that take time and lose what they
/// had not finished, and a network that loses, repeats, delays and reorders; and the checks of what
/// Raft promises, made after every event.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/random.h"
#include "consensus/raft/group.h"

namespace dlog::consensus::raft {

using Value = std::uint64_t;

/// What Raft promises, or what this harness relies on, did not hold.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void ensure(bool holds, const char* promise) {
    if (!holds) throw Broken(promise);
}

/// A log with its records: `values` of [start, end).
struct TestLog {
    History history;
    std::vector<Value> values;

    [[nodiscard]] Value at(Offset offset) const {
        return values.at(static_cast<std::size_t>(offset.since(history.start().end)));
    }
    void cut(LogPosition keep) {
        history.truncate(keep);
        values.resize(static_cast<std::size_t>(keep.end.since(history.start().end)));
    }
    void add(std::span<const Epoch> epochs, std::span<const Value> more) {
        const Offset end = history.end().end + static_cast<std::int64_t>(more.size());
        for (const Epoch& epoch : epochs) {
            if (epoch.start > end) break;
            history.extend(epoch.start);
            history.begin_epoch(epoch);
        }
        history.extend(end);
        values.insert(values.end(), more.begin(), more.end());
    }
    void trim(Offset start) {
        const auto gone = start.since(history.start().end);
        history.trim(start);
        values.erase(values.begin(), values.begin() + gone);
    }
};

struct Faults {
    std::uint64_t lost_percent = 0;
    std::uint64_t repeated_percent = 0;
    std::int64_t delay_ms_max = 2;
    std::int64_t disk_ms_max = 2;
};

class TestCluster {
  public:
    struct DiskWrite {
        std::optional<Ballot> ballot;
        std::optional<WriteLog> write;
        std::vector<Value> values;
        std::optional<Install> install;
        std::optional<Offset> trim;
    };
    struct Node {
        NodeId id;
        std::uint64_t incarnation = 0;
        bool is_up = false;
        /// Local clock: `skew` + simulated time, which runs `drift` parts in a thousand faster.
        std::int64_t skew_ns = 0;
        std::int64_t drift = 0;
        Ballot durable_ballot;
        std::optional<TestLog> durable;
        std::optional<TestLog> log;
        std::optional<Liveness> liveness;
        std::optional<Group> group;
        std::deque<DiskWrite> writing;
        bool is_disk_busy = false;
        Instant wakes_at;
    };

    explicit TestCluster(std::uint64_t seed) : random(seed) {}

    /// Nodes 1 to `count`, of which the first `voters` vote.
    void start(int count, int voters, std::size_t write_quorum = 0);

    void restart(NodeId id);

    /// The process dies; what it was writing is done in part: some writes, and of the next its
    /// first records.
    void crash(NodeId id);

    /// What the log was to write fails; votes are written elsewhere.
    void fail_writes(NodeId id);

    [[nodiscard]] Instant clock(const Node& node) const;

    void step(NodeId id, const Input& input, std::vector<Value> values = {});

    /// Appends one record at a leader; false when it is none.
    bool propose(NodeId id);

    /// Forgets records that are committed, as retention does.
    void trim(NodeId id);

    void run_for(Duration span);

    [[nodiscard]] std::vector<NodeId> leaders() const;
    /// The leader of the greatest term.
    [[nodiscard]] std::optional<NodeId> leader() const;
    [[nodiscard]] const Group& group(NodeId id) const { return *nodes.at(id).group; }

    /// A line a node, for a test that failed.
    [[nodiscard]] std::string describe() const;

    Instant now{1'000'000'000};
    Random random;
    LivenessOptions liveness_options;
    GroupOptions group_options;
    Faults faults;
    std::map<NodeId, Node> nodes;
    /// Directed links that carry nothing.
    std::set<std::pair<NodeId, NodeId>> cut;
    /// What is committed, by offset, with the terms of the entries.
    std::vector<std::pair<Value, LeaderEpoch>> committed;
    std::map<LeaderEpoch, NodeId> leader_of;
    Value last_value = 0;
    std::uint64_t messages = 0;
    std::uint64_t forgetful = 0;
    /// Planted bugs: what a disk says is done before it is.
    bool is_vote_forgotten = false;
    bool is_flush_skipped = false;

  private:
    struct Event {
        Instant at;
        std::uint64_t order = 0;
        std::function<void()> run;
        bool operator<(const Event& other) const {
            return std::pair(at, order) > std::pair(other.at, other.order);
        }
    };

    void at(Instant when, std::function<void()> run);

    void perform(Node& node, const Effects& effects, const std::vector<Value>& values);

    static void begin_anew(std::optional<TestLog>& log, const Install& install);

    void send(Node& node, const Outgoing& outgoing);

    void deliver(NodeId from, NodeId to, std::function<void()> run);

    void start_disk(Node& node);

    void finish_write(Node& node, bool is_alive);

    void report(Node& node, const DiskWrite& done);

    /// Sees to it that the node steps when its next deadline comes, by its own clock.
    void wake(Node& node);

    void tick(Node& node);

    void pulse(Node& node, const Liveness::Effects& effects);

    void check(Node& node, Role before, LogPosition committed_before);

    /// Whoever may serve reads knows all that is committed.
    void check_lease(const Node& node) const;

    void check_leader(Node& node);

    void check_commit(Node& node, Offset from);

    std::priority_queue<Event> events_;
    std::uint64_t order_ = 0;
};

}  // namespace dlog::consensus::raft
