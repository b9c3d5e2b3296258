// A follower's log: the leader's batches as they are, and what they take the place of cut off.

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "port/clock.h"
#include "replication/partition.h"
#include "replication/services.h"
#include "storage/checkpoint.h"
#include "storage/cut.h"
#include "storage/log.h"

namespace dlog::replication {

using port::DiskError;
using port::Task;

Result<Admitted> Partition::append_replicated(const Buffer& batch) {
    if (is_closed_) return unexpected(Error::kClosed);
    if (is_cutting_) return unexpected(Error::kStorageFailed);
    const std::size_t held_before = log_->tail_bytes_held();
    const auto appended = log_->append_replicated(batch, services_.ports.clock.wall_now());
    if (!appended) return unexpected(Error::kCorrupt);
    services_.tail_bytes_held += log_->tail_bytes_held() - held_before;
    services_.metrics.appended_batches += 1;
    services_.metrics.appended_bytes += batch.size();
    start_writing();
    return Admitted{.base_offset = appended->base_offset,
                    .next_offset = appended->next_offset,
                    .log_start_offset = log_->log_start_offset(),
                    .generation = log_->generation()};
}

Task<Result<void>> Partition::truncate_to(Offset end) {
    const std::shared_ptr<Partition> self = shared_from_this();
    if (is_closed_) co_return unexpected(Error::kClosed);
    const port::Gate::Hold hold = work_.enter();
    co_await take_over_writing();
    const Result<void> done = co_await cut_off(end);
    hand_back_writing();
    co_return done;
}

Task<Result<void>> Partition::reset_to(Offset start) {
    const std::shared_ptr<Partition> self = shared_from_this();
    if (is_closed_) co_return unexpected(Error::kClosed);
    const port::Gate::Hold hold = work_.enter();
    is_resetting_ = true;
    while (is_compacting_) co_await progress_.wait();
    co_await take_over_writing();
    const Result<void> done = co_await begin_anew(start);
    hand_back_writing();
    is_resetting_ = false;
    co_return done;
}

/// From now on nobody else writes.
Task<void> Partition::take_over_writing() {
    ++pauses_wanted_;
    while (is_writing_) co_await progress_.wait();
    --pauses_wanted_;
    is_writing_ = true;
}

void Partition::hand_back_writing() {
    DLOG_ASSERT(is_writing_ && !log_->is_writing());
    is_writing_ = false;
    if (log_->has_unwritten()) start_writing();
    progress_.notify_all();
}

Task<Result<void>> Partition::cut_off(Offset end) {
    DLOG_ASSERT(end >= high_watermark_, end, high_watermark_);
    if (end < log_->log_start_offset() || end > log_->log_end_offset()) {
        co_return unexpected(Error::kOffsetOutOfRange);
    }
    if (end < log_->log_end_offset()) {
        DLOG_CO_TRY(co_await store(end));
        DLOG_CO_TRY_ASSIGN(storage::LogCut cut, co_await find_cut(end));
        const std::size_t held_before = log_->tail_bytes_held();
        services_.indexes.erase(folder_.file_path(cut.active.base_offset, storage::FileKind::kLog));
        const storage::LostRange lost = log_->truncate(std::move(cut));
        services_.tail_bytes_held -= held_before - log_->tail_bytes_held();
        lose_history(lost);
    }
    co_return co_await make_cuts_last();
}

Task<Result<void>> Partition::begin_anew(Offset start) {
    DLOG_ASSERT(start >= high_watermark_, start, high_watermark_);
    if (start < log_->log_start_offset() || start > storage::kOffsetMax) {
        co_return unexpected(Error::kOffsetOutOfRange);
    }
    // A file of the name that the first segment will have would be taken for it after a crash.
    // Nobody counts on what it holds: the leader's records there are others, and committed.
    const auto& segments = log_->segments();
    const auto same = std::ranges::find(segments, start, &storage::Segment::base_offset);
    if (same != segments.end() && !same->is_empty()) DLOG_CO_TRY(co_await cut_off(start));

    const auto swapping = log_->swapping();
    const std::size_t held_before = log_->tail_bytes_held();
    const storage::LostRange lost = log_->reset(start);
    services_.tail_bytes_held -= held_before - log_->tail_bytes_held();
    folder_.read_by_names();
    high_watermark_ = start;
    lose_history(lost);
    DLOG_CO_TRY(co_await make_cuts_last());
    if (swapping) {
        co_await folder_.remove_rewritten({swapping->base_offset, swapping->end_offset});
    }
    co_return {};
}

/// Brings everything to the files and what is before `end` to stable storage.
Task<Result<void>> Partition::store(Offset end) {
    while (log_->has_unwritten()) {
        const auto written = co_await write_pending();
        if (!written) co_return unexpected(error_of(written.error()));
    }
    while (log_->persisted_offset() < end) {
        if (log_->written_offset() < end) co_return unexpected(Error::kStorageFailed);
        start_syncing();
        co_await progress_.wait();
        if (is_closed_) co_return unexpected(Error::kClosed);
    }
    co_return {};
}

Task<Result<storage::LogCut>> Partition::find_cut(Offset end) {
    while (true) {
        const std::uint64_t replacements = log_->replacements();
        const auto file = co_await folder_.read_checkpoint();
        std::optional<storage::LogImage> checkpoint;
        // While files are swapped it may speak of those that were.
        if (file && *file && !log_->swapping()) {
            auto decoded = storage::decode_checkpoint((*file)->view());
            if (decoded) checkpoint = *std::move(decoded);
        }
        storage::CutScan scan(log_->segments(), checkpoint ? &*checkpoint : nullptr, end, config(),
                              services_.ports.clock.wall_now());
        while (const auto need = scan.need()) {
            const auto bytes =
                co_await folder_.read_segment(need->segment, need->position, need->size_bytes);
            if (is_closed_) co_return unexpected(Error::kClosed);
            if (log_->replacements() != replacements) break;
            if (bytes) {
                scan.feed(bytes->view());
            } else {
                scan.feed_unreadable(bytes.error() == DiskError::kNotFound
                                         ? storage::DamageReason::kMissingFile
                                         : storage::DamageReason::kUnreadable);
            }
        }
        if (log_->replacements() != replacements) continue;
        if (!scan.damage()) co_return scan.finish();
        report(*scan.damage());
        co_return unexpected(Error::kCorrupt);
    }
}

void Partition::lose_history(const storage::LostRange& lost) {
    is_cutting_ = true;
    note_loss(lost.begin_offset, Error::kNotLeader);
    services_.ports.log.info("the end of a log is cut off: the leader's goes on otherwise",
                             {{"folder", folder_.path()},
                              {"from_offset", lost.begin_offset},
                              {"to_offset", lost.end_offset}});
    progress_.notify_all();
}

/// Brings the cuts to stable storage.
Task<Result<void>> Partition::make_cuts_last() {
    while (log_->has_unwritten()) {
        const auto written = co_await write_pending();
        if (!written) co_return unexpected(error_of(written.error()));
    }
    // Names that are gone count too: of those the folder knows whether they are synced.
    const storage::SyncTarget target = log_->cut_target();
    const auto synced = co_await folder_.sync(target.segments);
    if (!synced) co_return unexpected(error_of(synced.error()));
    log_->persisted(target);
    is_cutting_ = false;
    co_return {};
}

bool Partition::is_end_unsettled() const {
    return is_cutting_ || log_->has_pending_cuts();
}

}  // namespace dlog::replication
