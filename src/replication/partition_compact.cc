// Compaction of one partition: the storage machines of cleaner.h fed from its files, on the pool
// for long computations, and what they rewrite put in place.

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "port/spawn.h"
#include "record/batch.h"
#include "replication/partition.h"
#include "replication/services.h"
#include "storage/cleaner.h"
#include "storage/log.h"
#include "storage/offset_map.h"

namespace dlog::replication {

using port::DiskError;
using port::FilePtr;
using port::Task;
using storage::Segment;

namespace {

/// What is said of a partition whose max.compaction.lag.ms has passed: before all others.
constexpr double kOverdue = 1;
/// A partition whose files are still being swapped comes first.
constexpr double kSwapping = 3;
/// A round that failed puts off the next, at most so long.
constexpr Duration kDelayMax = seconds(3600);
/// What is rewritten is synced in steps of this size: a sync of a whole segment at once would hold
/// up those of the producers.
constexpr std::uint64_t kSyncBytes = std::uint64_t{8} << 20;
/// How long a throttled round sleeps before it looks whether its partition closes.
constexpr Duration kPaceStep = milliseconds(100);

storage::SwapFileName swap_name(const Segment& segment) {
    return {segment.base_offset, segment.end_offset};
}

}  // namespace

/// What may be compacted: a follower's log may still lose what is not committed.
std::span<const Segment> Partition::committed_segments() const {
    const auto sealed = log_->sealed_segments();
    const auto end = std::ranges::upper_bound(sealed, high_watermark_, {}, &Segment::end_offset);
    return sealed.first(static_cast<std::size_t>(end - sealed.begin()));
}

storage::Cleanable Partition::find_cleanable(Timestamp now) const {
    return storage::find_cleanable(committed_segments(), log_->cleaned_to(), now,
                                   config().min_compaction_lag_ms);
}

Task<double> Partition::compaction_urgency() {
    if (is_closed_ || is_resetting_ || services_.ports.clock.now() < cleaning_from_) co_return 0;
    if (log_->swapping()) co_return kSwapping;
    if (!config().compacts) co_return 0;
    const std::shared_ptr<Partition> self = shared_from_this();
    const port::Gate::Hold hold = work_.enter();
    const Timestamp now = services_.ports.clock.wall_now();
    if (auto rolled = log_->roll_for_compaction(now)) {
        std::vector<storage::WriteStep> steps;
        steps.emplace_back(*std::move(rolled));
        (void)co_await folder_.perform(std::move(steps));
    }
    const storage::Cleanable cleanable = find_cleanable(now);
    if (cleanable.is_empty()) co_return 0;
    const double ratio = cleanable.dirty_ratio();
    if (ratio > config().min_cleanable_dirty_ratio) co_return ratio;
    if (config().max_compaction_lag_ms == INT64_MAX) co_return 0;
    const auto sealed = committed_segments();
    const auto dirty =
        std::ranges::upper_bound(sealed, cleanable.dirty_from, {}, &Segment::end_offset);
    if (dirty == sealed.end()) co_return 0;
    const Segment first = *dirty;
    const auto bytes =
        co_await folder_.read_segment(first.base_offset, 0, record::kBatchHeaderSize);
    if (!bytes) co_return 0;
    const auto header = record::read_batch_header(bytes->view());
    const bool has_time = header && header->max_timestamp.ms >= 0;
    const Timestamp oldest = has_time ? header->max_timestamp : first.last_append;
    co_return now.ms - oldest.ms > config().max_compaction_lag_ms ? kOverdue + ratio : 0;
}

Task<bool> Partition::compact() {
    const std::shared_ptr<Partition> self = shared_from_this();
    if (is_closed_ || is_resetting_) co_return false;
    const port::Gate::Hold hold = work_.enter();
    is_compacting_ = true;
    const bool was_cleaned = co_await clean_once();
    is_compacting_ = false;
    progress_.notify_all();
    if (was_cleaned) {
        is_uncleanable_ = false;
        cleaning_delay_ = {};
    } else {
        put_off_cleaning();
    }
    co_return was_cleaned;
}

void Partition::put_off_cleaning() {
    const Duration first = std::max(services_.config.cleaner.backoff, milliseconds(1));
    cleaning_delay_ = std::clamp(cleaning_delay_ * 2, std::min(first, kDelayMax), kDelayMax);
    cleaning_from_ = services_.ports.clock.now() + cleaning_delay_;
}

Task<bool> Partition::clean_once() {
    if (log_->swapping() && !co_await finish_swap()) co_return false;
    if (log_->is_swap_noted() && !co_await write_checkpoint(false)) co_return false;
    if (!config().compacts) co_return false;

    const Timestamp now = services_.ports.clock.wall_now();
    const storage::Cleanable cleanable = find_cleanable(now);
    if (cleanable.is_empty()) co_return false;
    const auto sealed = committed_segments().first(cleanable.segment_count);
    const std::vector<Segment> segments(sealed.begin(), sealed.end());
    if (!begin_round(segments)) co_return false;
    const auto dirty =
        std::ranges::upper_bound(segments, cleanable.dirty_from, {}, &Segment::end_offset);

    const auto keys_max =
        static_cast<std::uint64_t>(cleanable.dirty_to.since(cleanable.dirty_from));
    const auto memory = services_.cleaner_budget->take(storage::OffsetMap::bytes_for(keys_max));
    std::optional<storage::OffsetMap> map(
        std::in_place, memory.size_bytes(), keys_max,
        storage::HashKey{services_.ports.entropy.next(), services_.ports.entropy.next()});
    storage::DirtyScan scan({dirty, segments.end()}, cleanable.dirty_from, *map);
    const bool was_cleaned = co_await clean(segments, now, &scan, &*map);
    // Many pages take the system some milliseconds to take back.
    co_await services_.ports.spawn.offload([&map] { map.reset(); });
    co_return was_cleaned;
}

Task<bool> Partition::clean(std::vector<Segment> segments, Timestamp now, storage::DirtyScan* scan,
                            const storage::OffsetMap* map) {
    if (!co_await scan_keys(scan)) co_return false;
    storage::CleaningRules rules{
        .map_end = scan->end(),
        .now = now,
        .delete_retention_ms = config().delete_retention_ms,
        .index_interval_bytes = config().index_interval_bytes,
        .producer_ends = storage::producer_ends(log_->producers().states())};
    const auto end = std::ranges::lower_bound(segments, scan->end(), {}, &Segment::base_offset);
    for (std::span rest(segments.begin(), end); !rest.empty();) {
        const std::size_t count = storage::group_size(rest, config().segment_bytes);
        const auto group = rest.first(count);
        if (!co_await clean_group({group.begin(), group.end()}, rules, map)) co_return false;
        rest = rest.subspan(count);
    }
    log_->set_cleaned_to(std::max(log_->cleaned_to(), scan->end()));
    ++services_.metrics.cleaner_rounds;
    co_return true;
}

/// Damage is never cleaned away: what is known of it stops the round before it begins.
bool Partition::begin_round(const std::vector<Segment>& segments) {
    for (const storage::Damage& damage : log_->verified().damages()) {
        if (damage.first_offset >= segments.back().end_offset ||
            damage.next_offset <= segments.front().base_offset) {
            continue;
        }
        give_up_cleaning(damage);
        return false;
    }
    for (std::size_t i = 1; i < segments.size(); ++i) {
        const Offset expected = segments[i - 1].end_offset;
        if (segments[i].base_offset == expected) continue;
        give_up_cleaning({.segment = expected,
                          .first_offset = expected,
                          .next_offset = segments[i].base_offset,
                          .reason = storage::DamageReason::kMissingFile});
        return false;
    }
    return true;
}

void Partition::give_up_cleaning(const storage::Damage& damage) {
    is_uncleanable_ = true;
    ++services_.metrics.cleaner_failures;
    services_.ports.log.error("damaged data stops the compaction of a partition; tried again later",
                              {{"file", folder_.file_path(damage.segment, storage::FileKind::kLog)},
                               {"position", damage.position},
                               {"first_offset", damage.first_offset},
                               {"reason", storage::damage_reason_text(damage.reason)}});
}

void Partition::failed_cleaning(DiskError error) {
    ++services_.metrics.cleaner_failures;
    services_.ports.log.warn("a partition could not be compacted; it is tried again",
                             {{"folder", folder_.path()}, {"error", port::disk_error_name(error)}});
}

/// Nothing when the round cannot go on.
Task<std::optional<Buffer>> Partition::read_to_clean(storage::NeedBytes need) {
    if (breaks_off_cleaning()) co_return std::nullopt;
    auto bytes = co_await folder_.read_segment(need.segment, need.position, need.size_bytes);
    if (bytes) {
        services_.metrics.cleaner_read_bytes += bytes->size();
        co_return *std::move(bytes);
    }
    // Retention took it in the meantime.
    if (need.segment < log_->segments().front().base_offset) co_return std::nullopt;
    if (bytes.error() == DiskError::kIo || bytes.error() == DiskError::kNotFound) {
        const bool is_missing = bytes.error() == DiskError::kNotFound;
        give_up_cleaning({.segment = need.segment,
                          .position = need.position,
                          .first_offset = need.segment,
                          .next_offset = need.segment,
                          .reason = is_missing ? storage::DamageReason::kMissingFile
                                               : storage::DamageReason::kUnreadable});
    } else {
        failed_cleaning(bytes.error());
    }
    co_return std::nullopt;
}

bool Partition::breaks_off_cleaning() const {
    return is_closed_ || is_resetting_ || services_.is_stopping;
}

Task<void> Partition::pace(std::uint64_t size_bytes) {
    port::Clock& clock = services_.ports.clock;
    const Instant paid_at = services_.cleaner_budget->spend(clock.now(), size_bytes);
    while (!breaks_off_cleaning() && clock.now() < paid_at) {
        co_await port::sleep_for(clock, std::min(kPaceStep, paid_at - clock.now()));
    }
}

Task<bool> Partition::scan_keys(storage::DirtyScan* scan) {
    while (const auto need = scan->need()) {
        const auto bytes = co_await read_to_clean(*need);
        if (!bytes) co_return false;
        co_await services_.ports.spawn.offload([&] { scan->feed(bytes->view()); });
        co_await pace(bytes->size());
    }
    if (scan->damage()) give_up_cleaning(*scan->damage());
    co_return !scan->damage();
}

Task<bool> Partition::clean_group(std::vector<Segment> group, storage::CleaningRules rules,
                                  const storage::OffsetMap* map) {
    storage::GroupCleaner cleaner(group, std::move(rules), *map);
    const storage::SwapFileName name{group.front().base_offset, group.back().end_offset};
    const auto file = co_await folder_.create_cleaned(name.base_offset);
    if (!file) {
        failed_cleaning(file.error());
        co_return false;
    }
    const bool is_rewritten = co_await rewrite(&cleaner, *file);
    if (is_rewritten && cleaner.has_changed()) {
        co_return co_await swap_in(std::move(group), &cleaner, *file);
    }
    co_await folder_.remove_rewritten(name);
    co_return is_rewritten;
}

Task<bool> Partition::rewrite(storage::GroupCleaner* cleaner, FilePtr file) {
    std::uint64_t position = 0;
    std::uint64_t synced_to = 0;
    while (const auto need = cleaner->need()) {
        const auto bytes = co_await read_to_clean(*need);
        if (!bytes) co_return false;
        std::vector<Buffer> output;
        std::size_t output_bytes = 0;
        co_await services_.ports.spawn.offload([&] {
            cleaner->feed(bytes->view());
            output.push_back(Buffer::copy_of(cleaner->take_output()));
            output_bytes = output.front().size();
        });
        if (output_bytes > 0) {
            auto done = co_await services_.ports.disk.write(file, position, std::move(output));
            position += output_bytes;
            if (done && position - synced_to >= kSyncBytes) {
                done = co_await services_.ports.disk.sync({file}, {});
                synced_to = position;
            }
            if (!done) {
                failed_cleaning(done.error());
                co_return false;
            }
            services_.metrics.cleaner_written_bytes += output_bytes;
        }
        co_await pace(bytes->size() + output_bytes);
    }
    if (cleaner->damage()) give_up_cleaning(*cleaner->damage());
    co_return !cleaner->damage();
}

Task<bool> Partition::swap_in(std::vector<Segment> group, storage::GroupCleaner* cleaner,
                              FilePtr file) {
    const Segment segment = cleaner->segment();
    const auto offered = co_await folder_.offer_swap(swap_name(segment), file);
    const std::size_t held_before = log_->tail_bytes_held();
    if (!offered || breaks_off_cleaning() || !log_->replace_segments(group, segment)) {
        if (!offered) failed_cleaning(offered.error());
        co_await folder_.remove_rewritten(swap_name(segment));
        co_return false;
    }
    services_.tail_bytes_held -= held_before - log_->tail_bytes_held();
    folder_.read_from(segment.base_offset, std::move(file));
    for (const Segment& old : group) {
        services_.indexes.erase(folder_.file_path(old.base_offset, storage::FileKind::kLog));
    }
    const auto index = std::make_shared<const storage::SegmentIndex>(cleaner->take_index());
    services_.indexes.put(folder_.file_path(segment.base_offset, storage::FileKind::kLog), index,
                          index->memory_bytes());
    services_.metrics.cleaner_removed_records += cleaner->removed_records();
    progress_.notify_all();
    if (!co_await finish_swap()) co_return false;
    std::vector<storage::WriteStep> steps;
    steps.emplace_back(storage::SealSegment{segment.base_offset, index});
    (void)co_await folder_.perform(std::move(steps));
    co_return (co_await write_checkpoint(false)).has_value();
}

/// The log speaks of the rewritten segment already: the checkpoint, then the names follow. After a
/// failure the next round, or the next start, goes on here.
Task<bool> Partition::finish_swap() {
    if (!co_await write_checkpoint(false)) co_return false;
    const auto finished = co_await folder_.finish_swap(swap_name(*log_->swapping()));
    if (!finished) {
        failed_cleaning(finished.error());
        co_return false;
    }
    log_->swap_ended();
    co_return true;
}

}  // namespace dlog::replication
