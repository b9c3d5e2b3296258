/// Reads partitions from given offsets on: asks their leaders, checks what comes, and hands it over
/// batch by batch.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "client/cluster.h"
#include "client/committed.h"
#include "client/error.h"
#include "port/sync.h"
#include "port/task.h"
#include "record/batch.h"

namespace dlog::client {

struct FetcherConfig {
    /// How long the broker may hold a request while there is nothing new.
    Duration wait_max = milliseconds(500);
    std::int32_t bytes_min = 1;
    std::int32_t bytes_max = 50 << 20;
    std::int32_t partition_bytes_max = 1 << 20;
    Isolation isolation = Isolation::kReadUncommitted;
};

/// What came for one partition. Batches before the position asked for may lie at its front, and the
/// first record wanted inside the first batch: skip records below `from`.
struct Fetched {
    std::string topic;
    std::int32_t partition = 0;
    Offset from;         ///< what was asked for
    Offset next_offset;  ///< where the next fetch goes on
    /// How far the partition is readable: under kReadCommitted its last stable offset.
    Offset high_watermark = kNoOffset;
    Offset log_start_offset = kNoOffset;
    Buffer frame;
    /// Whole batches whose CRC has been checked; they view the frame. Under kReadCommitted those
    /// that hold committed records.
    std::vector<ByteView> batches;
    /// OFFSET_OUT_OF_RANGE, an unreadable batch and the like. The partition rests until `seek`.
    std::optional<Error> error;
};

/// Belongs to one core. One call of `poll` at a time. A broker is asked again only when its last
/// answer has come, so brokers with nothing new hold up nobody else; requests may therefore be
/// under way between two polls: `co_await close()` before it is destroyed.
class Fetcher {
  public:
    Fetcher(Cluster& cluster, FetcherConfig config) : cluster_(cluster), config_(config) {}
    Fetcher(const Fetcher&) = delete;
    Fetcher& operator=(const Fetcher&) = delete;

    /// Reads this partition too, from `from` on.
    void assign(std::string topic, std::int32_t partition, Offset from);
    void unassign(const std::string& topic, std::int32_t partition);
    /// Goes on from `from`; also wakes a partition that rests after an error.
    void seek(const std::string& topic, std::int32_t partition, Offset from);
    /// A paused partition keeps its position and is not asked for.
    void set_paused(const std::string& topic, std::int32_t partition, bool is_paused);
    /// Whether there is a partition that neither rests nor is paused.
    [[nodiscard]] bool has_work() const;
    /// The offset that the next fetch of the partition asks for.
    [[nodiscard]] Offset position(const std::string& topic, std::int32_t partition) const;

    /// Asks every leader that is not being asked, and returns what the first to answer sent,
    /// possibly nothing; nothing at all when there is nobody to ask. Failures that may pass (a
    /// leader that moved, a lost connection) cost a wait and are tried again until the deadline;
    /// the error is the last of them.
    [[nodiscard]] port::Task<Result<std::vector<Fetched>>> poll(Instant deadline);
    /// Lets a `poll` that waits return what has come so far.
    void interrupt();
    /// Waits until nothing is under way; the brokers answer within their `wait_max`, or the
    /// cluster was closed.
    [[nodiscard]] port::Task<void> close();

  private:
    struct Key {
        std::string topic;
        std::int32_t partition = 0;
        auto operator<=>(const Key&) const = default;
    };
    struct Place {
        Offset position;
        bool rests = false;
        bool is_paused = false;
    };
    /// What one request asks for.
    struct Wanted {
        Key key;
        Offset from;
    };

    port::Task<Result<void>> ask_idle_leaders(Instant deadline);
    static port::Task<void> ask(Fetcher* self, port::Gate::Hold hold, NodeId leader,
                                std::vector<Wanted> wanted);
    port::Task<Result<void>> ask_leader(NodeId leader, std::vector<Wanted> wanted);
    template <class Data>
    [[nodiscard]] Result<Fetched> take_answer(const Key& key, const Buffer& frame,
                                              const Data& data);
    [[nodiscard]] Fetched take(const Key& key, const Buffer& frame, ByteView records,
                               AbortedTransactions aborted);

    [[nodiscard]] record::Result<bool> must_skip(const record::BatchSplitter::Item& batch,
                                                 AbortedTransactions& aborted) const;

    Cluster& cluster_;
    const FetcherConfig config_;
    std::map<Key, Place> places_;
    port::Gate gate_;
    std::set<NodeId> asked_;  ///< leaders whose answer is under way
    std::vector<Fetched> fetched_;
    std::optional<Error> failure_;
    bool has_answer_ = false;
    bool is_interrupted_ = false;
    port::Notifier answered_;
};

}  // namespace dlog::client
