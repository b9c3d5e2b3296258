/// What the clients of a simulated run tried, were told and saw, and the rules that all of it must
/// keep.
///
/// The rules, for each log (one life of one partition of one topic):
/// 1. Only what was attempted is ever read, byte for byte.
/// 2. What was acknowledged is read at the offsets that were acknowledged, at every reading after
///    the acknowledgement and at the end, unless retention dropped it or a test damaged those very
///    bytes on the disk. With write.caching it may go in a loss of power, or after a failed sync,
///    but then all that was behind it goes too: a suffix is lost, never a middle.
/// 3. What was read once at an offset is there in every later reading.
/// 4. Offsets are dense: between the log's start and its end there is no gap but damage.
///    A compacted log lacks a record only when it has a later one with the same key, or one without
///    a value has deleted the key: the latest value per key is always that of the full log. When
///    the one without a value is gone, so is all that it deleted.
/// 5. A producer that is idempotent finds each of its records at most once, in the order it sent
///    them.
/// 6. What was deleted up to an offset stays deleted once that was acknowledged; without retention
///    nothing before the last such offset goes that nobody asked to delete. While a node
///    lives, and over its clean stop, a log's start never goes back. (What retention drops is gone
///    before a checkpoint says so; a node that dies in between has it again.)
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "payload.h"

namespace dlog::simtest {

/// Names one log of a run; a topic made again is another log.
using LogId = std::uint32_t;

class History {
  public:
    /// What rule the log is exempt from.
    struct LogRules {
        bool may_drop_old = false;  ///< retention is on
        bool is_cached = false;     ///< write.caching: acknowledged before it is synced
        /// Above 0: compacted, with this many keys that are written often.
        std::uint32_t key_count = 0;
        bool drops_tombstones = false;  ///< delete.retention.ms passes within the run
        bool has_replicas = false;      ///< Each drops what is old when it likes.
    };
    LogId add_log(std::string name, LogRules rules);
    [[nodiscard]] bool is_cached(LogId log) const { return logs_[log].rules.is_cached; }

    void attempt(LogId log, RecordName first, std::uint32_t count, bool is_idempotent);
    /// The batch of `count` records from `first` on was acknowledged at `base_offset`.
    void acknowledged(LogId log, RecordName first, std::uint32_t count, std::int64_t base_offset);
    /// A reader got this record; nullopt when the bytes are nobody's.
    void seen(LogId log, std::int64_t offset, std::optional<RecordName> name);
    /// The test flipped bits in the batch of these offsets: they may be unreadable from now on.
    void damaged(LogId log, std::int64_t first_offset, std::int64_t last_offset);
    /// A reader got an error that says that the data at `offset` is damaged.
    void refused_as_corrupt(LogId log, std::int64_t offset);
    /// Somebody asks to delete everything before `offset`; then, it was acknowledged that the log
    /// starts at `offset` or behind it.
    void asked_to_delete(LogId log, std::int64_t offset);
    void deleted(LogId log, std::int64_t offset);
    /// A node was killed or lost power: what retention and compaction had removed may be back.
    void node_died();
    /// Cached logs may have lost what they had not synced, and use its offsets again.
    void unsynced_lost();
    /// While it is true cached logs may lose something at any time: syncs fail.
    void set_unsynced_at_risk(bool is_at_risk);
    /// Whatever else must not happen.
    void fail(std::string what);

    /// A reading of a whole log, from its start to its end. What the history knew when it began is
    /// what it must find.
    struct Reading {
        std::int64_t log_start_offset = -1;
        std::int64_t end_offset = -1;
        std::map<std::int64_t, RecordName> records;
        /// Somebody may have written meanwhile.
        bool is_among_writers = false;

        std::int64_t known_start = 0;
        std::int64_t deleted_start = 0;
        std::int64_t known_end = 0;
        std::uint64_t losses = 0;
        std::uint64_t deaths = 0;
        std::map<std::uint32_t, std::int64_t> dropped_tombstones;  ///< by key
    };
    [[nodiscard]] Reading begin_reading(LogId log) const;
    /// Something of the log may have been lost since the reading began: it says nothing.
    [[nodiscard]] bool is_void(LogId log, const Reading& reading) const;
    void check_reading(LogId log, const Reading& reading);

    [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }
    [[nodiscard]] std::uint64_t acknowledged_records() const { return acknowledged_records_; }
    [[nodiscard]] std::uint64_t seen_records() const { return seen_records_; }
    [[nodiscard]] std::uint64_t corrupt_refusals() const { return corrupt_refusals_; }

  private:
    struct Producing {
        std::uint64_t attempted = 0;  // records 0 to attempted - 1
        bool is_idempotent = false;
        std::vector<bool> is_placed;  // of each of them whether its offset is known
    };
    struct LogState {
        std::string name;
        LogRules rules;
        std::map<std::uint32_t, Producing> producers;
        std::map<std::int64_t, RecordName> acknowledged;
        std::map<std::int64_t, RecordName> seen;
        std::map<RecordName, std::int64_t> seen_at;    // of idempotent producers
        std::map<std::int64_t, std::int64_t> damaged;  // first offset to last
        // What was known before each time that something may have been lost.
        std::vector<std::map<std::int64_t, RecordName>> before_losses;
        std::map<std::uint32_t, std::int64_t> dropped_tombstones;  // by key
        std::int64_t known_start = 0;
        std::int64_t asked_start = 0;    // the log may start here
        std::int64_t deleted_start = 0;  // and starts here at the least
        [[nodiscard]] bool is_damaged(std::int64_t offset) const;
    };
    [[nodiscard]] bool may_lose(const LogState& log) const {
        return log.rules.is_cached && is_unsynced_at_risk_;
    }
    static void place(LogState& state, RecordName name);
    void check_bounds(LogState& state, const Reading& reading);
    void check_dense(const LogState& state, const Reading& reading);
    void check_only_suffix_lost(const LogState& state, const Reading& reading);
    /// The keys of which there may be records that nobody knows the place of.
    struct Unplaced {
        std::set<std::uint32_t> keys;
        std::set<std::uint32_t> deleted_keys;
    };
    [[nodiscard]] static Unplaced unplaced_keys(const LogState& state);
    /// Whether the reading went over this offset, and no damage excuses what it missed there.
    [[nodiscard]] static bool is_readable(const LogState& state, const Reading& reading,
                                          std::int64_t offset, std::int64_t damaged_to);
    void check_compacted(LogState& state, const Reading& reading);
    void check_deleted(LogState& state, const Reading& reading, std::int64_t damaged_to);
    [[nodiscard]] static std::int64_t note_damaged(const LogState& state,
                                                   std::map<std::uint32_t, std::int64_t>& latest);
    void check_order(const LogState& state, const Reading& reading);
    void complain(const LogState& log, std::int64_t offset, const std::string& what);
    [[nodiscard]] static std::string text_of(RecordName name);

    std::vector<LogState> logs_;
    std::vector<std::string> failures_;
    std::map<std::string, std::uint64_t> kinds_;
    bool is_unsynced_at_risk_ = false;
    std::uint64_t losses_ = 0;
    std::uint64_t deaths_ = 0;
    std::uint64_t acknowledged_records_ = 0;
    std::uint64_t seen_records_ = 0;
    std::uint64_t corrupt_refusals_ = 0;
};

}  // namespace dlog::simtest
