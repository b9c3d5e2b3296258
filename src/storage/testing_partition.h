/// For this room's tests: a driver that performs a log's plans on a folder in memory.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/buffer.h"
#include "storage/cut.h"
#include "storage/file_fetch.h"
#include "storage/log.h"
#include "storage/recovery.h"
#include "storage/testing_folder.h"

namespace dlog::storage::testing {

struct ReadOutcome {
    Bytes bytes;
    Offset first_offset;
    Offset next_offset;
    std::optional<Damage> damage;
    bool from_memory = false;
    std::size_t bytes_read = 0;  ///< from the file, to serve this
};

/// Performs the log's plans on a TestFolder, as the real driver does on the Disk port.
class TestPartition {
  public:
    explicit TestPartition(LogConfig config, std::uint64_t seed = 1)
        : config_(config),
          seed_(seed),
          log_(std::make_unique<Log>(config, empty_image(), SegmentIndex(Offset{0}), false, seed)) {
    }

    TestFolder folder;
    RecoveredLog recovered;  ///< of the last recovery, without what the log took over
    LeaderEpoch epoch{1};
    Timestamp now{1'000'000};

    [[nodiscard]] Log& log() { return *log_; }

    [[nodiscard]] Result<Appended> append(const BatchOptions& options = {}) {
        return log_->append(make_batch(options), epoch, now);
    }
    void write() {
        const WritePlan plan = log_->take_writes();
        if (plan.empty()) return;
        for (const WriteStep& step : plan.steps) folder.perform(step);
        log_->written();
    }
    void sync() {
        const SyncTarget target = log_->sync_target();
        folder.sync(target.segments, target.changes_folder);
        log_->persisted(target);
    }
    void flush() {
        write();
        sync();
    }
    void checkpoint(bool is_clean = false) {
        const LogImage image = log_->image(is_clean);
        folder.checkpoint = encode_checkpoint(image);
        log_->checkpointed(image);
    }

    /// A new process on the same folder.
    void recover() {
        RecoveryInput input{.config = config_, .now = now};
        if (folder.checkpoint) input.checkpoint = folder.checkpoint->view();
        input.names = folder.names();
        Recovery recovery(input);
        read_count = 0;
        while (const auto need = recovery.need()) {
            ++read_count;
            if (unreadable.contains(need->segment)) {
                recovery.feed_unreadable();
            } else if (!folder.logs.contains(need->segment)) {
                recovery.feed_missing();
            } else {
                // A copy of just the right size, so that ASan sees reads beyond it.
                const ByteView view = folder.read(*need);
                const Bytes copy(view.begin(), view.end());
                recovery.feed(copy);
            }
        }
        recovered = recovery.finish();
        for (const WriteStep& step : recovered.repairs) folder.perform(step);
        for (const RemoveIndexes& stale : recovered.stale_indexes) folder.perform(stale);
        std::vector<Offset> unsynced;
        for (const UnsyncedPart& part : recovered.unsynced) unsynced.push_back(part.segment);
        folder.sync(unsynced, true);
        log_ = std::make_unique<Log>(config_, recovered.image, recovered.active_index,
                                     recovered.has_active_file, seed_);
        for (const Damage& damage : recovered.damages) log_->verified().note_damage(damage);
        if (recovered.needs_checkpoint) checkpoint();
    }
    std::set<Offset> unreadable;
    std::size_t read_count = 0;

    [[nodiscard]] Result<Appended> append_replicated(BatchOptions options = {}) {
        options.base_offset = log_->log_end_offset();
        options.leader_epoch = epoch;
        return log_->append_replicated(make_batch(options), now);
    }

    /// What the log is at `end`, which is on stable storage. `damage` gets what hides it.
    [[nodiscard]] std::optional<LogCut> find_cut(Offset end, std::optional<Damage>* damage = {}) {
        std::optional<LogImage> image;
        if (folder.checkpoint) image = *decode_checkpoint(folder.checkpoint->view());
        CutScan scan(log_->segments(), image ? &*image : nullptr, end, config_, now);
        cut_scan_bytes = 0;
        while (const auto need = scan.need()) {
            if (unreadable.contains(need->segment)) {
                scan.feed_unreadable(DamageReason::kUnreadable);
                continue;
            }
            const ByteView view = folder.read(*need);
            const Bytes copy(view.begin(), view.end());
            cut_scan_bytes += copy.size();
            scan.feed(copy);
        }
        if (damage != nullptr) *damage = scan.damage();
        if (scan.damage()) return std::nullopt;
        return scan.finish();
    }
    std::size_t cut_scan_bytes = 0;

    /// How far a truncation or reset comes.
    enum class CutStep : std::uint8_t { kMemory, kCheckpoint, kSomeRepairs, kRepairs, kSynced };
    void truncate(Offset end, CutStep last = CutStep::kSynced) {
        flush();
        DLOG_ASSERT(log_->persisted_offset() >= end, end);
        (void)log_->truncate(*find_cut(end));
        finish_cut(last);
    }
    void reset(Offset start, CutStep last = CutStep::kSynced) {
        for (const Segment& segment : log_->segments()) {
            if (segment.base_offset != start || segment.is_empty()) continue;
            truncate(start);
            break;
        }
        (void)log_->reset(start);
        finish_cut(last);
    }
    void finish_cut(CutStep last) {
        if (last >= CutStep::kCheckpoint && log_->needs_checkpoint()) checkpoint();
        if (last < CutStep::kSomeRepairs) return;
        const WritePlan plan = log_->take_writes();
        const bool is_whole = last >= CutStep::kRepairs;
        const std::size_t count = is_whole ? plan.steps.size() : plan.steps.size() / 2;
        for (std::size_t i = 0; i < count; ++i) folder.perform(plan.steps[i]);
        if (!is_whole) return;
        if (!plan.empty()) log_->written();
        if (last < CutStep::kSynced) return;
        const SyncTarget target = log_->cut_target();
        folder.sync(target.segments, target.changes_folder);
        log_->persisted(target);
        DLOG_ASSERT(!log_->has_pending_cuts() && !log_->needs_checkpoint());
    }

    [[nodiscard]] std::shared_ptr<const SegmentIndex> load_index(const FileRead& plan) {
        const Offset base = plan.segment.base_offset;
        IndexEntry end{plan.segment.end_offset, plan.segment.size_bytes};
        const bool is_active = base == log_->active_index()->base_offset();
        if (is_active) end = log_->active_index()->covers_from();
        if (const auto files = folder.indexes.find(base); files != folder.indexes.end()) {
            auto index =
                SegmentIndex::decode(files->second.first.view(), files->second.second.view());
            if (index && index->covers_to() == end) {
                return std::make_shared<const SegmentIndex>(*std::move(index));
            }
        }
        IndexBuilder builder(SegmentIndex(base), end, config_.index_interval_bytes);
        while (const auto need = builder.need()) {
            ++index_reads;
            const ByteView view = folder.read(*need);
            const Bytes copy(view.begin(), view.end());
            builder.feed(copy);
        }
        for (const Damage& damage : builder.damages()) log_->verified().note_damage(damage);
        auto index = std::make_shared<const SegmentIndex>(builder.take());
        if (is_active) log_->adopt_index_prefix(*index);
        return index;
    }
    std::size_t index_reads = 0;

    [[nodiscard]] std::optional<ReadOutcome> read(const ReadRequest& request) {
        const auto plan = log_->read(request);
        if (!plan) return std::nullopt;
        ReadOutcome outcome{.first_offset = request.from, .next_offset = request.from};
        if (const auto* memory = std::get_if<MemoryRead>(&*plan)) {
            for (const Buffer& part : memory->parts) {
                outcome.bytes.insert(outcome.bytes.end(), part.view().begin(), part.view().end());
            }
            outcome.first_offset = memory->first_offset;
            outcome.next_offset = memory->next_offset;
            outcome.from_memory = true;
            DLOG_ASSERT(outcome.bytes.size() == memory->size_bytes, memory->size_bytes);
        } else if (const auto* damaged = std::get_if<DamagedRead>(&*plan)) {
            outcome.damage = damaged->damage;
        } else if (const auto* file = std::get_if<FileRead>(&*plan)) {
            read_file(*file, outcome);
        }
        return outcome;
    }

    /// Every batch from `from` on, one read after the other; stops at damage.
    [[nodiscard]] ReadOutcome read_all(Offset from, Offset limit, std::size_t max_bytes = 4096) {
        ReadOutcome all{.first_offset = from, .next_offset = from};
        while (all.next_offset < limit) {
            const auto some = read({.from = all.next_offset,
                                    .limit = limit,
                                    .max_bytes = max_bytes,
                                    .at_least_one = true});
            DLOG_ASSERT(some.has_value());
            if (some->damage) {
                all.damage = some->damage;
                break;
            }
            if (some->bytes.empty()) break;
            all.bytes.insert(all.bytes.end(), some->bytes.begin(), some->bytes.end());
            DLOG_ASSERT(some->next_offset > all.next_offset, all.next_offset);
            all.next_offset = some->next_offset;
        }
        return all;
    }

  private:
    void read_file(FileRead plan, ReadOutcome& outcome) {
        if (!folder.logs.contains(plan.segment.base_offset)) {
            log_->note_unreadable(plan.segment.base_offset, DamageReason::kMissingFile);
            outcome.damage = *log_->verified().damage_at(plan.request.from);
            return;
        }
        if (plan.index == nullptr) plan.index = load_index(plan);
        FileFetch fetch(plan);
        for (;;) {
            const FileFetch::Step step = fetch.next(log_->verified());
            if (const auto* need = std::get_if<NeedBytes>(&step)) {
                const Buffer bytes = Buffer::copy_of(folder.read(*need));
                outcome.bytes_read += bytes.size();
                fetch.feed(bytes, log_->verified());
            } else if (const auto* damage = std::get_if<Damage>(&step)) {
                outcome.damage = *damage;
                return;
            } else {
                const auto& slice = std::get<FileSlice>(step);
                const ByteView view = folder.read(
                    {slice.segment, slice.position, static_cast<std::size_t>(slice.size_bytes)});
                outcome.bytes.assign(view.begin(), view.end());
                outcome.first_offset = slice.first_offset;
                outcome.next_offset = slice.next_offset;
                return;
            }
        }
    }

    LogConfig config_;
    std::uint64_t seed_;
    std::unique_ptr<Log> log_;
};

}  // namespace dlog::storage::testing
