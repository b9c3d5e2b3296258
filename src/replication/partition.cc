#include "replication/partition.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "replication/services.h"
#include "storage/log.h"

namespace dlog::replication {

using port::DiskError;
using port::DiskResult;
using port::Task;

namespace {

/// How many losses are remembered for those who have not asked for their append's outcome yet.
constexpr std::size_t kLossesMax = 16;

Error from_storage(storage::Error error) {
    switch (error) {
        case storage::Error::kOffsetOutOfRange:
            return Error::kOffsetOutOfRange;
        case storage::Error::kOutOfOrderSequence:
            return Error::kOutOfOrderSequence;
        case storage::Error::kInvalidProducerEpoch:
            return Error::kFencedProducer;
        case storage::Error::kBatchTooLarge:
            return Error::kBatchTooLarge;
        default:
            return Error::kCorrupt;
    }
}

}  // namespace

Error error_of(DiskError error) {
    return error == DiskError::kNoSpace ? Error::kStorageFull : Error::kStorageFailed;
}

std::string_view error_name(Error error) {
    switch (error) {
        case Error::kClosed:
            return "the partition is closed";
        case Error::kStorageFull:
            return "the disk is full";
        case Error::kStorageFailed:
            return "the disk failed";
        case Error::kOffsetOutOfRange:
            return "the offset is out of range";
        case Error::kCorrupt:
            return "the data is damaged";
        case Error::kOutOfOrderSequence:
            return "the producer's sequence number is out of order";
        case Error::kFencedProducer:
            return "a newer epoch of the producer has written";
        case Error::kBatchTooLarge:
            return "the batch is larger than a segment";
        case Error::kEpochTooNew:
            return "the leader epoch is later than this replica's";
        case Error::kTimedOut:
            return "the append was not committed in time";
        case Error::kNotLeader:
            return "another replica leads the partition";
        case Error::kReplaced:
            return "the segment was rewritten";
    }
    return "unknown error";
}

Partition::Partition(ShardServices& services, PartitionKey key, PartitionFolder folder,
                     std::unique_ptr<storage::Log> log, LeaderEpoch epoch)
    : services_(services),
      key_(std::move(key)),
      folder_(std::move(folder)),
      log_(std::move(log)),
      persisted_start_(log_->log_start_offset()) {
    if (epoch == kNoEpoch) {
        high_watermark_ = log_->log_start_offset();
        return;
    }
    DLOG_ASSERT(epoch >= log_->epochs().latest(), epoch, log_->epochs().latest());
    leadership_ = {.epoch = epoch, .leader = {}, .is_here = true, .accepts_appends = true};
    high_watermark_ = log_->persisted_offset();
}

Partition::~Partition() {
    services_.tail_bytes_held -= log_->tail_bytes_held();
}

const storage::LogConfig& Partition::config() const {
    return log_->config();
}
void Partition::set_config(const storage::LogConfig& config) {
    log_->set_config(config);
}
Offset Partition::log_start_offset() const {
    return log_->log_start_offset();
}
Offset Partition::log_end_offset() const {
    return log_->log_end_offset();
}

PartitionStatus Partition::status() const {
    return {.log_start_offset = log_->log_start_offset(),
            .high_watermark = high_watermark_,
            .log_end_offset = log_->log_end_offset(),
            .size_bytes = log_->size_bytes(),
            .segment_count = log_->segments().size(),
            .leader_epoch = leadership_.epoch};
}

std::vector<ProducerStatus> Partition::producers() const {
    std::vector<ProducerStatus> producers;
    for (const auto& [id, state] : log_->producers().states()) {
        ProducerStatus& status = producers.emplace_back();
        status.id = id;
        status.epoch = state.epoch;
        if (state.batch_count == 0) continue;
        const storage::ProducerBatch& last = state.batches[state.batch_count - 1U];
        status.last_sequence = last.last_sequence;
        status.last_timestamp = last.timestamp;
    }
    std::ranges::sort(producers, {}, &ProducerStatus::id);
    return producers;
}

// Appending.

Result<Admitted> Partition::append(Buffer batch, Timestamp now) {
    if (is_closed_) return unexpected(Error::kClosed);
    if (!leadership_.accepts_appends) return unexpected(Error::kNotLeader);
    if (is_cutting_) return unexpected(Error::kStorageFailed);
    const std::size_t size_bytes = batch.size();
    const std::size_t held_before = log_->tail_bytes_held();
    const auto appended = log_->append(std::move(batch), leadership_.epoch, now);
    if (!appended) return unexpected(from_storage(appended.error()));
    if (!appended->is_duplicate) {
        services_.tail_bytes_held += log_->tail_bytes_held() - held_before;
        services_.metrics.appended_batches += 1;
        services_.metrics.appended_bytes += size_bytes;
        start_writing();
        if (consensus_ != nullptr) consensus_->appended();
    }
    return Admitted{.base_offset = appended->base_offset,
                    .next_offset = appended->next_offset,
                    .log_append_time = appended->log_append_time,
                    .log_start_offset = log_->log_start_offset(),
                    .generation = log_->generation(),
                    .leader_epoch = leadership_.epoch};
}

std::optional<Result<void>> Partition::outcome_of(const Admitted& admitted) const {
    DLOG_ASSERT(admitted.generation <= log_->generation(), admitted.generation);
    if (admitted.generation != log_->generation()) {
        for (const Loss& loss : losses_) {
            if (loss.generation > admitted.generation && loss.begin_offset < admitted.next_offset) {
                return Result<void>(unexpected(loss.error));
            }
        }
        // So long ago that nobody remembers whether it was kept.
        if (losses_.empty() || losses_.front().generation > admitted.generation + 1) {
            return Result<void>(unexpected(Error::kStorageFailed));
        }
    }
    if (admitted.next_offset <= high_watermark_) return Result<void>();
    if (is_drained_) return Result<void>(unexpected(Error::kClosed));
    const bool is_deposed = !leadership_.is_here || leadership_.epoch != admitted.leader_epoch;
    if (is_deposed) return Result<void>(unexpected(Error::kNotLeader));
    return std::nullopt;
}

Task<Result<void>> Partition::committed(Admitted admitted, Instant deadline) {
    const std::shared_ptr<Partition> self = shared_from_this();
    port::Clock& clock = services_.ports.clock;
    while (true) {
        if (const auto outcome = outcome_of(admitted)) co_return *outcome;
        if (clock.now() >= deadline) co_return unexpected(Error::kTimedOut);
        (void)co_await progress_.wait_until(clock, deadline);
    }
}

// Writing: from memory to the files.

void Partition::start_writing() {
    if (is_writing_) return;
    is_writing_ = true;
    services_.ports.spawn.spawn(write_loop(shared_from_this()));
}

Task<void> Partition::write_loop(std::shared_ptr<Partition> self) {
    const port::Gate::Hold hold = self->work_.enter();
    // Appends of the same turn of the loop go out together.
    co_await port::yield(self->services_.ports.spawn);
    storage::Log& log = *self->log_;
    while (log.has_unwritten()) {
        const auto written = co_await self->write_pending();
        // The next append tries again, also one that came meanwhile: space may have returned.
        if (!written && log.log_end_offset() == log.written_offset()) break;
    }
    self->is_writing_ = false;
    if (self->pauses_wanted_ > 0) self->progress_.notify_all();
}

/// One plan. The caller is the only one who writes (`is_writing_`).
Task<DiskResult<void>> Partition::write_pending() {
    // Recovery knows a log of one segment without a checkpoint for a young one. Of a longer one
    // it could not tell a batch that was torn before it was acknowledged from one that was
    // damaged later, and would have to keep a hole where it lies: without one it does not grow.
    const bool is_young = log_->segments().size() == 1;
    DiskResult<void> written;
    if (log_->needs_checkpoint() || (!is_young && !folder_.has_checkpoint())) {
        written = co_await write_checkpoint(false);
    }
    storage::WritePlan plan = log_->take_writes();
    if (plan.empty()) co_return {};
    if (written) written = co_await folder_.perform(std::move(plan.steps));
    if (!written) {
        ++services_.metrics.write_failures;
        after_lost(log_->write_failed(), written.error(), "a write failed");
    } else {
        log_->written();
    }
    if (std::exchange(has_failed_sync_, false)) {
        after_lost(log_->sync_failed(), DiskError::kIo, "a sync failed");
    } else if (written) {
        after_written();
    }
    if (pauses_wanted_ > 0) progress_.notify_all();
    co_return written;
}

/// Returns at a moment when no write is under way, however many follow each other.
Task<void> Partition::pause_of_writes() {
    ++pauses_wanted_;
    while (log_->is_writing()) co_await progress_.wait();
    --pauses_wanted_;
}

void Partition::after_written() {
    if (services_.tail_bytes_held > services_.config.tail_bytes) services_.tail_grew.notify_all();
    if (!config().write_caching) {
        start_syncing();
        return;
    }
    note_stored();
    const auto flush_bytes = static_cast<std::uint64_t>(config().flush_bytes);
    // A finished segment is synced at once, as Kafka does: no number of them waits with open files.
    if (log_->unsynced_records() >= config().flush_messages ||
        log_->unsynced_bytes() >= flush_bytes || log_->has_unsynced_sealed()) {
        start_syncing();
    } else if (!is_sync_scheduled_ && config().flush_ms != INT64_MAX) {
        is_sync_scheduled_ = true;
        services_.ports.spawn.spawn(sync_later(shared_from_this()));
    }
}

void Partition::after_lost(const storage::LostRange& lost, DiskError error, std::string_view what) {
    DLOG_ASSERT(lost.begin_offset <= lost.end_offset, lost.begin_offset, lost.end_offset);
    const bool lost_committed = lost.begin_offset < high_watermark_;
    note_loss(lost.begin_offset, error_of(error));
    high_watermark_ = std::min(high_watermark_, lost.begin_offset);
    const std::string path = folder_.path();
    services_.ports.log.error(what, {{"folder", path},
                                     {"error", port::disk_error_name(error)},
                                     {"lost_from_offset", lost.begin_offset},
                                     {"lost_to_offset", lost.end_offset},
                                     {"acknowledged", lost_committed}});
    if (consensus_ != nullptr) consensus_->lost();
    progress_.notify_all();
}

void Partition::note_loss(Offset begin, Error error) {
    losses_.push_back({.generation = log_->generation(), .begin_offset = begin, .error = error});
    if (losses_.size() > kLossesMax) losses_.erase(losses_.begin());
}

// Syncing: from the files to stable storage.

void Partition::start_syncing() {
    // After a failed sync nothing may be called persisted before the log has gone back.
    if (is_syncing_ || has_failed_sync_) return;
    is_syncing_ = true;
    services_.ports.spawn.spawn(sync_loop(shared_from_this()));
}

Task<void> Partition::sync_loop(std::shared_ptr<Partition> self) {
    const port::Gate::Hold hold = self->work_.enter();
    storage::Log& log = *self->log_;
    while (true) {
        const storage::SyncTarget target = log.sync_target();
        if (target.segments.empty()) break;
        const std::uint64_t generation = log.generation();
        const auto synced = co_await self->folder_.sync(target.segments);
        ++self->services_.metrics.synced_partitions;
        if (!synced) {
            // While a write is under way, the log cannot go back; the write loop does it then.
            if (log.is_writing()) {
                self->has_failed_sync_ = true;
            } else {
                self->after_lost(log.sync_failed(), synced.error(), "a sync failed");
                // What a failed sync left in the system's cache reads as if it were safe, and
                // another sync would not write it again: it must be gone from the files before
                // this node or the next one looks there.
                if (log.has_unwritten()) self->start_writing();
            }
            break;
        }
        if (generation == log.generation()) log.persisted(target);
        const Offset visible = self->high_watermark_;
        self->note_stored();
        // Under write.caching the high watermark was there before what was synced.
        if (visible == self->high_watermark_) self->progress_.notify_all();
        if (log.checkpoint_need() == storage::CheckpointNeed::kNow) self->start_checkpoint();
        if (self->config().write_caching) break;
    }
    self->is_syncing_ = false;
}

Task<void> Partition::sync_later(std::shared_ptr<Partition> self) {
    port::Clock& clock = self->services_.ports.clock;
    co_await port::sleep_for(clock, milliseconds(self->config().flush_ms));
    self->is_sync_scheduled_ = false;
    if (!self->is_closed_) self->start_syncing();
}

void Partition::note_stored() {
    if (consensus_ != nullptr) {
        consensus_->stored();
    } else {
        set_committed(stored_offset());
    }
}

// Consensus.

void Partition::join(Consensus& consensus) {
    DLOG_ASSERT(consensus_ == nullptr);
    DLOG_ASSERT(!leadership_.is_here && !is_closed_);
    consensus_ = &consensus;
}

void Partition::leave() {
    consensus_ = nullptr;
    set_leadership({.epoch = leadership_.epoch});
}

void Partition::set_leadership(const Leadership& leadership) {
    DLOG_ASSERT(leadership.epoch >= leadership_.epoch, leadership.epoch, leadership_.epoch);
    DLOG_ASSERT(!leadership.is_here || leadership.epoch >= log_->epochs().latest());
    if (leadership == leadership_) return;
    leadership_ = leadership;
    progress_.notify_all();
}

void Partition::set_committed(Offset end) {
    DLOG_ASSERT(end <= log_->log_end_offset(), end, log_->log_end_offset());
    if (end <= high_watermark_) return;
    high_watermark_ = end;
    progress_.notify_all();
}

Offset Partition::stored_offset() const {
    return config().write_caching ? log_->written_offset() : log_->persisted_offset();
}

Offset Partition::first_offset() const {
    return log_->segments().front().base_offset;
}

std::span<const storage::EpochStart> Partition::epochs() const {
    return log_->epochs().entries();
}

// Checkpoints, retention, the end.

void Partition::keep_house() {
    if (is_closed_) return;
    if (log_->unsynced_bytes() > 0) start_syncing();
    if (log_->checkpoint_need() != storage::CheckpointNeed::kNone) start_checkpoint();
}

void Partition::start_checkpoint() {
    if (is_checkpointing_ || is_closed_) return;
    services_.ports.spawn.spawn(checkpoint_once(shared_from_this()));
}

Task<void> Partition::checkpoint_once(std::shared_ptr<Partition> self) {
    const port::Gate::Hold hold = self->work_.enter();
    (void)co_await self->write_checkpoint(false);
}

Task<DiskResult<void>> Partition::write_checkpoint(bool is_clean) {
    while (is_checkpointing_) co_await progress_.wait();
    is_checkpointing_ = true;
    const storage::LogImage image = log_->image(is_clean);
    const auto written = co_await folder_.write_checkpoint(storage::encode_checkpoint(image));
    is_checkpointing_ = false;
    if (written) {
        log_->checkpointed(image);
        persisted_start_ = std::max(persisted_start_, image.log_start_offset);
    } else {
        services_.ports.log.warn(
            "a checkpoint could not be written; a restart will scan more",
            {{"folder", folder_.path()}, {"error", port::disk_error_name(written.error())}});
    }
    progress_.notify_all();
    co_return written;
}

Task<void> Partition::apply_retention() {
    const std::shared_ptr<Partition> self = shared_from_this();
    if (is_closed_) co_return;
    const port::Gate::Hold hold = work_.enter();
    co_await pause_of_writes();
    const Timestamp now = services_.ports.clock.wall_now();
    (void)log_->expire_producers(now);
    const storage::Retired retired = log_->apply_retention(now, high_watermark_);
    co_await remove_segments(&retired);
}

/// Makes what the log has dropped go from the disk.
Task<void> Partition::remove_segments(const storage::Retired* retired) {
    if (consensus_ != nullptr) consensus_->trimmed();
    if (log_->has_unwritten()) start_writing();
    if (retired->segments.empty()) co_return;
    services_.metrics.deleted_segments += retired->segments.size();
    progress_.notify_all();
    services_.ports.log.info("old segments are dropped",
                             {{"folder", folder_.path()},
                              {"segments", retired->segments.size()},
                              {"bytes", retired->size_bytes},
                              {"log_start_offset", retired->log_start_offset}});
    // Only when no checkpoint promises them any more.
    if (!co_await write_checkpoint(false)) co_return;
    std::vector<storage::WriteStep> steps;
    for (const storage::Segment& segment : retired->segments) {
        steps.emplace_back(storage::RemoveSegment{segment.base_offset});
    }
    const auto removed = co_await folder_.perform(std::move(steps));
    if (!removed) {
        services_.ports.log.warn(
            "old segments could not be removed; a restart tries again",
            {{"folder", folder_.path()}, {"error", port::disk_error_name(removed.error())}});
    }
}

Task<Result<Offset>> Partition::delete_records(std::optional<Offset> before) {
    const std::shared_ptr<Partition> self = shared_from_this();
    if (is_closed_) co_return unexpected(Error::kClosed);
    const port::Gate::Hold hold = work_.enter();
    const Offset start = before.value_or(high_watermark_);
    if (start < Offset{0} || start > high_watermark_) {
        co_return unexpected(Error::kOffsetOutOfRange);
    }
    // Under write.caching what is committed need not be on stable storage, but a start must be.
    const std::uint64_t generation = log_->generation();
    while (log_->persisted_offset() < start) {
        start_syncing();
        co_await progress_.wait();
        if (is_closed_) co_return unexpected(Error::kClosed);
        if (generation != log_->generation()) co_return unexpected(Error::kStorageFailed);
    }
    co_await pause_of_writes();
    const storage::Retired retired = log_->delete_before(start);
    progress_.notify_all();
    co_await remove_segments(&retired);
    // Retention may have gone further: what is answered is what holds after a crash.
    const Offset answered = log_->log_start_offset();
    while (persisted_start_ < answered) {
        if (!co_await write_checkpoint(false)) co_return unexpected(Error::kStorageFailed);
    }
    co_return answered;
}

std::size_t Partition::evict_tail(std::size_t target_bytes) {
    const std::size_t before = log_->tail_bytes_held();
    if (before > target_bytes) log_->evict_tail(target_bytes);
    const std::size_t after = log_->tail_bytes_held();
    DLOG_ASSERT(after <= before, after, before);
    services_.tail_bytes_held -= before - after;
    return after;
}

void Partition::close() {
    if (is_closed_) return;
    is_closed_ = true;
    progress_.notify_all();
}

Task<void> Partition::drain(bool is_clean) {
    const std::shared_ptr<Partition> self = shared_from_this();
    DLOG_ASSERT(is_closed_);
    while (work_.held() > 0) co_await work_.left().wait();
    if (is_clean) {
        // A cut that failed after a loss is tried again; what it would leave must not come back.
        if (log_->has_unwritten()) start_writing();
        while (work_.held() > 0) co_await work_.left().wait();
        // Under write.caching the last bytes may still be unsynced.
        if (log_->unsynced_bytes() > 0) start_syncing();
        while (work_.held() > 0) co_await work_.left().wait();
        const bool is_whole = log_->persisted_offset() == log_->log_end_offset();
        if (log_->log_end_offset() > Offset{0}) (void)co_await write_checkpoint(is_whole);
    }
    is_drained_ = true;
    progress_.notify_all();
}

}  // namespace dlog::replication
