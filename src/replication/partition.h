/// One replica of one partition on its owner core: appending, flushing, committing and serving as
/// separate steps.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "port/disk.h"
#include "port/net.h"
#include "port/sync.h"
#include "port/task.h"
#include "replication/consensus.h"
#include "replication/partition_folder.h"
#include "replication/partition_types.h"
#include "storage/log_config.h"
#include "storage/scanner.h"
#include "storage/segment.h"

namespace dlog::storage {
class DirtyScan;
class GroupCleaner;
class Log;
class OffsetMap;
struct Cleanable;
struct CleaningRules;
struct EpochStart;
struct FileRead;
struct FileSlice;
struct LogCut;
struct LostRange;
struct Retired;
struct TimeScan;
}  // namespace dlog::storage

namespace dlog::replication {

struct ShardServices;

/// Belongs to one core: every call, and the last release, happen there. A call that waits ends with
/// kClosed when the partition closes.
///
/// Three loops move bytes, each at most once at a time: `write_loop` takes what was appended to the
/// files, `sync_loop` what was written to stable storage, `checkpoint` notes how far that went.
/// Each ends when it has nothing to do and is started by the step before it.
class Partition : public std::enable_shared_from_this<Partition> {
  public:
    /// Led here in `epoch`; by kNoEpoch nowhere, until a consensus has joined and says where.
    Partition(ShardServices& services, PartitionKey key, PartitionFolder folder,
              std::unique_ptr<storage::Log> log, LeaderEpoch epoch);
    Partition(const Partition&) = delete;
    Partition& operator=(const Partition&) = delete;
    ~Partition();

    [[nodiscard]] const PartitionKey& key() const { return key_; }
    [[nodiscard]] LeaderEpoch leader_epoch() const { return leadership_.epoch; }
    /// A partition without other replicas is always led here.
    [[nodiscard]] const Leadership& leadership() const { return leadership_; }
    /// False when another may lead by now and what is read may be out of date.
    [[nodiscard]] bool may_serve_reads() const {
        return consensus_ == nullptr || consensus_->may_serve_reads();
    }
    [[nodiscard]] const storage::LogConfig& config() const;
    void set_config(const storage::LogConfig& config);

    /// Takes one batch that `record::validate_for_produce` accepted, gives it offsets and this
    /// leader's epoch (in place: the caller's frame is patched) and queues it for the disk. Never
    /// waits. A duplicate of an idempotent producer's recent batch is admitted with the offsets it
    /// got the first time.
    [[nodiscard]] Result<Admitted> append(Buffer batch, Timestamp now);

    /// Waits until everything up to `admitted` is committed: on stable storage, or in the system's
    /// cache under write.caching, and of as many replicas as the topic asks for. Fails when it was
    /// lost on the way (kStorageFull, kStorageFailed, kClosed), is undecided at the deadline
    /// (kTimedOut) or when its leader was deposed (kNotLeader): then it may still be committed.
    [[nodiscard]] port::Task<Result<void>> committed(Admitted admitted, Instant deadline = kNever);
    /// The same without waiting: nullopt while it is not decided.
    [[nodiscard]] std::optional<Result<void>> outcome_of(const Admitted& admitted) const;

    /// Committed batches from the one that holds `request.from`, or from a later one where
    /// compaction left no records in between; empty at the high watermark. When the bytes are in
    /// memory, `read_now` answers without waiting; otherwise it is nullopt and `read` goes to the
    /// disk.
    [[nodiscard]] std::optional<Result<ReadResult>> read_now(const ReadRequest& request);
    [[nodiscard]] port::Task<Result<ReadResult>> read(ReadRequest request);

    /// Signalled when the high watermark, the log start or the leadership changed, an append was
    /// lost, or the partition closed.
    [[nodiscard]] port::Notifier& progress() { return progress_; }
    [[nodiscard]] bool is_closed() const { return is_closed_; }

    [[nodiscard]] Offset log_start_offset() const;
    [[nodiscard]] Offset high_watermark() const { return high_watermark_; }
    [[nodiscard]] Offset log_end_offset() const;
    [[nodiscard]] PartitionStatus status() const;
    /// In order of id.
    [[nodiscard]] std::vector<ProducerStatus> producers() const;

    /// The first committed record whose timestamp is at or after `time`; offset kNoOffset when
    /// there is none.
    [[nodiscard]] port::Task<Result<TimestampOffset>> offset_for_timestamp(Timestamp time);
    /// The committed record with the largest timestamp (KIP-734).
    [[nodiscard]] port::Task<Result<TimestampOffset>> offset_of_max_timestamp();
    /// Records before `before` (nothing: the high watermark) are deleted: the log's start is there,
    /// and stays there once this returns it. A start that lies behind `before` already stays.
    /// kOffsetOutOfRange above the high watermark.
    [[nodiscard]] port::Task<Result<Offset>> delete_records(std::optional<Offset> before);

    /// The largest epoch not above `epoch` and where it ends (KIP-101, KIP-320).
    [[nodiscard]] Result<EpochEnd> end_of_epoch(LeaderEpoch epoch) const;
    /// The epoch under which `offset` was written.
    [[nodiscard]] LeaderEpoch epoch_of(Offset offset) const;

    // For its replica.

    /// From now on `consensus` decides what is committed and who leads: nothing and nobody so far.
    /// Of a partition that was opened with kNoEpoch.
    void join(Consensus& consensus);
    /// It decides no more.
    void leave();
    void set_leadership(const Leadership& leadership);
    /// What is before `end` is committed; ignored when that is known.
    void set_committed(Offset end);
    /// Up to here the log may be counted on: on stable storage, or written under write.caching.
    [[nodiscard]] Offset stored_offset() const;
    /// Where the log's first segment begins: at a batch, which the log's start need not.
    [[nodiscard]] Offset first_offset() const;
    /// Which epochs wrote records here, ascending.
    [[nodiscard]] std::span<const storage::EpochStart> epochs() const;

    // For a follower, in partition_truncate.cc. One of these at a time, and no append meanwhile:
    // after an error no append is taken until a call has succeeded.

    /// Takes one batch of the leader's as it is and queues it for the disk (see
    /// Log::append_replicated; record::split_run has checked it). Never waits. kCorrupt when it
    /// does not continue the log, kStorageFailed while a cut has not succeeded.
    [[nodiscard]] Result<Admitted> append_replicated(const Buffer& batch);
    /// Everything at or behind `end` goes: a batch that `end` lies in goes whole. When this
    /// returns, no crash brings any of it back; before, all or some of it may be there. `end` lies
    /// between the high watermark and the log's end, where it may be repeated after an error.
    /// kOffsetOutOfRange outside the log; kCorrupt, and nothing has changed, when damage before
    /// `end` hides where it lies; kStorageFull, kStorageFailed.
    [[nodiscard]] port::Task<Result<void>> truncate_to(Offset end);
    /// What was cut off behind the log's end, after a write that failed too, could come back:
    /// before another history goes on there, `truncate_to(log_end_offset())` makes an end of it.
    [[nodiscard]] bool is_end_unsettled() const;
    /// The log begins anew, empty, at `start`, which is committed: the leader has nothing older
    /// (Kafka's truncateFullyAndStartAt). A crash finds the log as it was or as it is to be, never
    /// a part. Not before the high watermark.
    [[nodiscard]] port::Task<Result<void>> reset_to(Offset start);

    // For the shard.

    /// Lets go of old batches in memory; returns how many bytes are still held.
    std::size_t evict_tail(std::size_t target_bytes);
    /// Starts a checkpoint when one is worth writing; under write.caching also a sync.
    void keep_house();
    /// Drops segments that retention.ms and retention.bytes no longer cover, or that lie before the
    /// log's start.
    [[nodiscard]] port::Task<void> apply_retention();
    /// How much the partition wants to be compacted: its dirty ratio when that is above
    /// min.cleanable.dirty.ratio, more when max.compaction.lag.ms has passed, 0 for not at all.
    [[nodiscard]] port::Task<double> compaction_urgency();
    /// One round of cleaning: all keys that fit in the offset map. True when it came to its end;
    /// otherwise the partition wants no other for a while, twice as long each time.
    [[nodiscard]] port::Task<bool> compact();
    /// Damage stopped the last round of compaction here.
    [[nodiscard]] bool is_uncleanable() const { return is_uncleanable_; }
    /// Refuses appends from now on and wakes everyone who waits.
    void close();
    /// After `close`: returns when nothing is under way any more. With `is_clean`, everything that
    /// was appended is flushed first and the checkpoint says so.
    [[nodiscard]] port::Task<void> drain(bool is_clean);

  private:
    struct Loss {
        std::uint64_t generation;  ///< of the log from then on
        Offset begin_offset;
        Error error;
    };
    using FetchResult = Result<storage::FileSlice>;

    void start_writing();
    static port::Task<void> write_loop(std::shared_ptr<Partition> self);
    void start_syncing();
    static port::Task<void> sync_loop(std::shared_ptr<Partition> self);
    static port::Task<void> sync_later(std::shared_ptr<Partition> self);
    void start_checkpoint();
    static port::Task<void> checkpoint_once(std::shared_ptr<Partition> self);
    [[nodiscard]] port::Task<port::DiskResult<void>> write_checkpoint(bool is_clean);

    // Compaction, in partition_compact.cc. False: not now.
    [[nodiscard]] port::Task<bool> clean_once();
    [[nodiscard]] std::span<const storage::Segment> committed_segments() const;
    [[nodiscard]] storage::Cleanable find_cleanable(Timestamp now) const;
    [[nodiscard]] port::Task<bool> clean(std::vector<storage::Segment> segments, Timestamp now,
                                         storage::DirtyScan* scan, const storage::OffsetMap* map);
    void put_off_cleaning();
    [[nodiscard]] bool breaks_off_cleaning() const;
    [[nodiscard]] bool begin_round(const std::vector<storage::Segment>& segments);
    [[nodiscard]] port::Task<bool> scan_keys(storage::DirtyScan* scan);
    [[nodiscard]] port::Task<bool> clean_group(std::vector<storage::Segment> group,
                                               storage::CleaningRules rules,
                                               const storage::OffsetMap* map);
    [[nodiscard]] port::Task<bool> rewrite(storage::GroupCleaner* cleaner, port::FilePtr file);
    [[nodiscard]] port::Task<bool> swap_in(std::vector<storage::Segment> group,
                                           storage::GroupCleaner* cleaner, port::FilePtr file);
    [[nodiscard]] port::Task<bool> finish_swap();
    [[nodiscard]] port::Task<std::optional<Buffer>> read_to_clean(storage::NeedBytes need);
    [[nodiscard]] port::Task<void> pace(std::uint64_t size_bytes);
    void give_up_cleaning(const storage::Damage& damage);
    void failed_cleaning(port::DiskError error);

    [[nodiscard]] port::Task<port::DiskResult<void>> write_pending();
    void after_written();
    void note_loss(Offset begin, Error error);
    void after_lost(const storage::LostRange& lost, port::DiskError error, std::string_view what);
    void note_stored();
    [[nodiscard]] Offset limit_of(const ReadRequest& request) const;
    [[nodiscard]] port::Task<void> pause_of_writes();
    [[nodiscard]] port::Task<void> remove_segments(const storage::Retired* retired);

    [[nodiscard]] port::Task<void> take_over_writing();
    void hand_back_writing();
    [[nodiscard]] port::Task<Result<void>> cut_off(Offset end);
    [[nodiscard]] port::Task<Result<void>> begin_anew(Offset start);
    [[nodiscard]] port::Task<Result<void>> store(Offset end);
    [[nodiscard]] port::Task<Result<storage::LogCut>> find_cut(Offset end);
    void lose_history(const storage::LostRange& lost);
    [[nodiscard]] port::Task<Result<void>> make_cuts_last();

    [[nodiscard]] port::Task<Result<ReadResult>> read_file(ReadRequest request);
    [[nodiscard]] port::Task<FetchResult> fetch(storage::FileRead plan);
    [[nodiscard]] port::Task<Result<std::shared_ptr<const storage::SegmentIndex>>> index_for(
        storage::Segment segment);
    [[nodiscard]] port::Task<Result<storage::SegmentIndex>> build_index(storage::SegmentIndex from,
                                                                        storage::IndexEntry end);
    [[nodiscard]] port::Task<Result<Buffer>> read_bytes(Offset from);
    [[nodiscard]] port::Task<Result<TimestampOffset>> scan_time(storage::TimeScan scan);
    [[nodiscard]] Error failed_read(Offset segment, port::DiskError error);
    void report(const storage::Damage& damage);
    [[nodiscard]] ReadResult empty_read() const;

    ShardServices& services_;
    PartitionKey key_;
    PartitionFolder folder_;
    std::unique_ptr<storage::Log> log_;
    Leadership leadership_;
    Consensus* consensus_ = nullptr;
    Offset high_watermark_;
    Offset persisted_start_;  ///< The log's start that the next start of the node finds.
    port::Notifier progress_;
    port::Gate work_;
    std::vector<Loss> losses_;  // the latest few
    bool is_closed_ = false;
    bool is_drained_ = false;
    bool is_writing_ = false;
    bool is_syncing_ = false;
    bool is_checkpointing_ = false;
    bool is_sync_scheduled_ = false;
    bool has_failed_sync_ = false;
    int pauses_wanted_ = 0;  ///< By those who wait for a moment between two writes.
    bool is_compacting_ = false;
    bool is_resetting_ = false;  ///< A round of compaction under way breaks off.
    bool is_cutting_ = false;    ///< What was cut off could still come back.
    bool is_uncleanable_ = false;
    Duration cleaning_delay_{0};  ///< how long a failed round put off the next
    Instant cleaning_from_{0};    ///< before this no round is wanted
};
using PartitionPtr = std::shared_ptr<Partition>;

}  // namespace dlog::replication
