/// One partition's log: appends, flushing, reads and retention as plans over bytes. The driver
/// performs the plans and reports back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/checkpoint.h"
#include "storage/cut.h"
#include "storage/epochs.h"
#include "storage/error.h"
#include "storage/index.h"
#include "storage/log_config.h"
#include "storage/producers.h"
#include "storage/read_plan.h"
#include "storage/segment.h"
#include "storage/tail.h"
#include "storage/verified.h"
#include "storage/write_plan.h"

namespace dlog::storage {

struct Appended {
    Offset base_offset;
    Offset next_offset;
    Timestamp log_append_time = kNoTimestamp;  ///< under message.timestamp.type=LogAppendTime
    /// The batch was there already: nothing was appended, the offsets are those of the first time.
    bool is_duplicate = false;
};

struct Retired {
    std::vector<Segment> segments;  ///< To be removed once a checkpoint without them is on disk.
    Offset log_start_offset;
    std::uint64_t size_bytes = 0;
};

enum class CheckpointNeed : std::uint8_t {
    kNone,  ///< nothing changed since the last one
    kSome,  ///< worth writing now and then
    kNow,   ///< a segment was finished or dropped, or a restart would have much to scan
};

/// Everything about one partition's log that is not bytes in files. Owned by the partition's core.
///
/// Positions, in order: log start <= persisted <= written <= log end. Between written and log end
/// lies what the tail holds and no plan has covered (or the plan under way does); between persisted
/// and written what is in files but not synced. Readers are served below the caller's limit only.
///
/// Invariants: at most one WritePlan is under way; the tail holds everything from the written
/// position on; after a failure the log is exactly what it was at the position it goes back to,
/// producers included, and the files are cut back before anything new is written.
class Log {
  public:
    /// A log as recovery left it (or `empty_image`). `index` covers the active segment's end at
    /// least. `has_active_file`: the active segment's file exists. `seed` makes the roll jitter.
    Log(LogConfig config, LogImage image, SegmentIndex index, bool has_active_file,
        std::uint64_t seed);

    [[nodiscard]] const LogConfig& config() const { return config_; }
    void set_config(const LogConfig& config) { config_ = config; }

    [[nodiscard]] Offset log_start_offset() const { return log_start_offset_; }
    [[nodiscard]] Offset log_end_offset() const { return tail_.end().offset; }
    [[nodiscard]] Offset written_offset() const { return written_mark().at.offset; }
    [[nodiscard]] Offset persisted_offset() const { return marks_.front().at.offset; }
    /// Grows by one whenever appends are lost: offsets of different generations do not compare.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }
    [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
    [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
    [[nodiscard]] const EpochList& epochs() const { return epochs_; }
    [[nodiscard]] const ProducerTable& producers() const { return producers_; }

    /// Appends one whole batch that `record::validate_for_produce` accepted: gives it offsets and
    /// `epoch` by patching its bytes, which the caller holds alone.
    [[nodiscard]] Result<Appended> append(Buffer batch, LeaderEpoch epoch, Timestamp now);
    /// Appends one whole batch as the partition's leader has it, byte for byte. Its CRC has been
    /// checked. Producers are noted without a check of their sequences, as Kafka's followers do,
    /// and a batch larger than segment.bytes gets a segment of its own. kBadBatch, and nothing is
    /// changed, when it does not begin at the log's end or its epoch is below the latest.
    [[nodiscard]] Result<Appended> append_replicated(const Buffer& batch, Timestamp now);

    // Flushing: take_writes -> perform -> written; sync_target -> sync -> persisted.

    [[nodiscard]] bool has_unwritten() const;
    /// What has to be written now; empty when there is nothing. No plan is under way.
    [[nodiscard]] WritePlan take_writes();
    /// The plan under way is in the files.
    void written();
    /// The plan under way failed at any step. Everything after the written position is lost.
    LostRange write_failed();
    [[nodiscard]] bool is_writing() const { return is_writing_; }
    /// What a sync that starts now will cover. Later writes do not change it.
    [[nodiscard]] SyncTarget sync_target();
    /// A sync that began with this target is done. Ignored when what it covered was lost
    /// meanwhile.
    void persisted(const SyncTarget& target);
    /// A sync failed: nobody knows what of the unsynced bytes is on the device. Everything after
    /// the persisted position is lost, and written again from there. No plan is under way.
    LostRange sync_failed();
    [[nodiscard]] std::uint64_t unsynced_bytes() const;
    [[nodiscard]] std::int64_t unsynced_records() const;
    /// Something of a segment that is finished is not synced.
    [[nodiscard]] bool has_unsynced_sealed() const {
        return marks_.front().at.segment != active().base_offset;
    }

    // Another history takes this one's place (Raft), in log_truncation.cc. No plan is under way.

    /// Everything behind `cut.end()` is lost; what is before is on stable storage.
    LostRange truncate(LogCut cut);
    /// Everything is lost: the log begins anew, empty, at `start`, which is not before its start.
    LostRange reset(Offset start);
    /// The last checkpoint may vouch for what was cut off: one of the log as it is now has to be on
    /// stable storage before a plan is performed.
    [[nodiscard]] bool needs_checkpoint() const { return uncovered_cut_.has_value(); }
    /// What was cut off, after a failure too, could come back.
    [[nodiscard]] bool has_pending_cuts() const {
        return !repairs_.empty() || !unsynced_cuts_.empty();
    }
    /// What to sync when all that was to be written is, so that nothing of that comes back.
    [[nodiscard]] SyncTarget cut_target() const;

    // Reading.

    [[nodiscard]] Result<ReadPlan> read(const ReadRequest& request) const;
    /// What has been verified and found damaged in the files since the start.
    [[nodiscard]] VerifiedRanges& verified() { return verified_; }
    [[nodiscard]] const VerifiedRanges& verified() const { return verified_; }
    /// A segment's file is missing or cannot be read at all.
    void note_unreadable(Offset segment, DamageReason reason);
    /// The active segment's index as far as it is in memory; it changes with every append.
    [[nodiscard]] std::shared_ptr<const SegmentIndex> active_index() const { return active_index_; }
    void adopt_index_prefix(const SegmentIndex& prefix);
    /// Nothing when no record is at `time` or later.
    [[nodiscard]] std::optional<TimeScan> find_time(Timestamp time) const;
    /// The batch with the largest timestamp (KIP-734). Nothing in a log without timestamps.
    [[nodiscard]] std::optional<TimeScan> find_max_time() const;

    [[nodiscard]] std::size_t tail_bytes_held() const { return tail_.bytes_held(); }
    /// Lets go of the oldest batches in memory until `target_bytes` are held or all that is left is
    /// unwritten.
    void evict_tail(std::size_t target_bytes);

    // Housekeeping. No plan is under way while segments are dropped; the active one rolls when it
    // goes too.

    /// The log begins at `offset` (DeleteRecords), which lies between its start and the persisted
    /// position. Drops the whole segments before it.
    [[nodiscard]] Retired delete_before(Offset offset);
    /// Drops whole segments by retention.ms and retention.bytes as Kafka does and those before the
    /// log's start, none that reaches beyond `committed`.
    [[nodiscard]] Retired apply_retention(Timestamp now, Offset committed);
    std::size_t expire_producers(Timestamp now);

    // Compaction (cleaner.h), in log_cleaning.cc.

    /// The first segments, oldest first, that are finished and on stable storage with all of their
    /// bytes.
    [[nodiscard]] std::span<const Segment> sealed_segments() const;
    /// Everything before has been cleaned.
    [[nodiscard]] Offset cleaned_to() const { return cleaned_to_; }
    void set_cleaned_to(Offset offset);
    /// Puts `cleaned` in the place of `group`, which it says the same as; its whole file has been
    /// checked. False, and nothing is changed, when the log no longer has that group. Until
    /// `swap_ended` checkpoints note that files are being swapped, and retention leaves it alone.
    [[nodiscard]] bool replace_segments(std::span<const Segment> group, const Segment& cleaned);
    /// Every name is as the log says, and that is on stable storage.
    void swap_ended();
    /// What `replace_segments` put in last, while files are being swapped.
    [[nodiscard]] const std::optional<Segment>& swapping() const { return swapping_; }
    /// The last checkpoint notes a swap: another one has to wait for a checkpoint that does not.
    [[nodiscard]] bool is_swap_noted() const { return is_swap_noted_; }
    /// Grows by one with each replacement and each truncation: what was planned before does not fit
    /// the files.
    [[nodiscard]] std::uint64_t replacements() const { return replacements_; }
    /// Begins a new segment although nothing is appended, when max.compaction.lag.ms wants the
    /// active one cleaned and all of it is on stable storage. The step is to be performed.
    [[nodiscard]] std::optional<SealSegment> roll_for_compaction(Timestamp now);

    [[nodiscard]] CheckpointNeed checkpoint_need() const;
    /// The log as of the persisted position.
    [[nodiscard]] LogImage image(bool is_clean) const;
    /// `image` is on stable storage as log.checkpoint.
    void checkpointed(const LogImage& image);

  private:
    /// A position that the log can go back to, and what was true there.
    struct Mark {
        std::uint64_t id = 0;
        LogPosition at;
        Segment segment;
        Timestamp first_timestamp = kNoTimestamp;
        bool is_sync_target = false;
        /// What producers that changed between this mark and the next were before.
        ProducerTable::Undo undo;
    };
    /// The index of a segment that was sealed after the persisted position.
    struct SealedIndex {
        Offset segment;
        std::shared_ptr<const SegmentIndex> index;
        bool is_written = false;
    };
    /// What the plan under way will have done.
    struct PlanUnderWay {
        Offset last_created;
        std::size_t repair_count = 0;
        bool changes_folder = false;
    };

    /// Checkpoints that begin before, or vouch for more, tell of what was cut off.
    struct CutBounds {
        Offset log_start;
        Offset end;
    };

    [[nodiscard]] Segment& active() { return segments_.back(); }
    [[nodiscard]] const Segment& active() const { return segments_.back(); }
    [[nodiscard]] bool must_roll(const record::BatchHeader& header, Timestamp now) const;
    void roll();
    void add(const record::BatchHeader& header, const Buffer& batch, Timestamp now);
    void add_to_segment(const record::BatchHeader& header, Timestamp now);
    [[nodiscard]] Mark mark_here();
    [[nodiscard]] const Mark& written_mark() const;
    void merge_marks();
    LostRange go_back_to_last_mark();
    void forget_repairs(Offset segment);
    void begin_history(CutBounds cut);
    void drop_active();
    void drop_segments_after(const Mark& mark);
    void add_segment_writes(WritePlan& plan, const Segment& segment, const LogPosition& from);
    [[nodiscard]] std::optional<std::size_t> find_segment(Offset offset) const;
    [[nodiscard]] std::shared_ptr<const SegmentIndex> index_in_memory(Offset segment) const;
    void mark_written_verified(const LogPosition& from, const LogPosition& to);
    [[nodiscard]] ReadPlan plan_file_read(const ReadRequest& request) const;
    [[nodiscard]] bool is_cut_pending(Offset segment) const;
    [[nodiscard]] Retired drop_segments(std::size_t count);
    [[nodiscard]] std::size_t count_expired(Timestamp now, Offset committed) const;

    LogConfig config_;
    std::uint64_t seed_;
    Offset log_start_offset_;
    std::uint64_t size_bytes_ = 0;
    std::uint64_t generation_ = 0;
    std::vector<Segment> segments_;
    Timestamp active_first_timestamp_;
    EpochList epochs_;
    ProducerTable producers_;
    std::shared_ptr<SegmentIndex> active_index_;  ///< Never null.
    Tail tail_;
    VerifiedRanges verified_;

    /// From persisted (front) to written (back), and while a plan is under way its end behind that.
    std::deque<Mark> marks_;
    std::uint64_t next_mark_id_ = 0;
    bool is_writing_ = false;
    PlanUnderWay plan_;
    std::vector<SealedIndex> sealed_;
    /// Segments up to this one have a file.
    Offset last_created_;
    std::uint64_t folder_changes_ = 0;
    std::uint64_t folder_changes_synced_ = 0;
    /// Steps that put the files back after a failure; done before anything else.
    std::vector<WriteStep> repairs_;
    /// Segments that were cut back and not synced since, oldest first. Nothing behind them may be
    /// called persisted before: what was cut off could come back in its place.
    struct Cut {
        std::uint64_t number = 0;
        Offset segment;
    };
    std::vector<Cut> unsynced_cuts_;
    std::uint64_t cut_count_ = 0;
    std::optional<CutBounds> uncovered_cut_;

    Offset cleaned_to_;
    std::optional<Segment> swapping_;
    bool is_swap_noted_ = false;
    std::uint64_t replacements_ = 0;

    std::uint64_t persisted_since_checkpoint_ = 0;
    bool is_checkpoint_urgent_ = false;
    bool is_dirty_ = false;
};

}  // namespace dlog::storage
