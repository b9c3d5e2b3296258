/// For this room's tests: batches to append, a folder in memory that can tear and lose what was not
/// synced, and a driver that performs the log's plans on it.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/random.h"
#include "record/batch.h"
#include "record/builder.h"
#include "storage/file_fetch.h"
#include "storage/log.h"
#include "storage/recovery.h"

namespace dlog::storage::testing {

struct BatchOptions {
    int record_count = 1;
    std::size_t value_bytes = 10;
    Timestamp timestamp{1'000};
    ProducerId producer = kNoProducer;
    ProducerEpoch producer_epoch = record::kNoProducerEpoch;
    std::int32_t sequence = record::kNoSequence;
    std::uint8_t fill = 'x';
    Offset base_offset{0};
    LeaderEpoch leader_epoch{0};
};

inline Buffer make_batch(const BatchOptions& options = {}) {
    record::BatchSpec spec;
    spec.base_offset = options.base_offset;
    spec.leader_epoch = options.leader_epoch;
    spec.producer_id = options.producer;
    spec.producer_epoch = options.producer_epoch;
    spec.base_sequence = options.sequence;
    record::BatchBuilder builder(spec);
    const std::vector<std::uint8_t> value(options.value_bytes, options.fill);
    for (int i = 0; i < options.record_count; ++i) {
        builder.append(options.timestamp, std::nullopt, ByteView(value));
    }
    auto batch = builder.build();
    DLOG_ASSERT(batch.has_value());
    return *std::move(batch);
}

using Bytes = std::vector<std::uint8_t>;

struct TestFile {
    Bytes bytes;
    Bytes synced;
    bool is_name_synced = false;
};

/// A partition's folder. `crash` keeps what was synced and any mixture of the rest.
class TestFolder {
  public:
    std::map<Offset, TestFile> logs;
    std::map<Offset, std::pair<Buffer, Buffer>> indexes;
    std::optional<Buffer> checkpoint;
    std::vector<std::string> foreign;
    std::set<Offset> aside;

    void perform(const WriteStep& step) {
        if (const auto* create = std::get_if<CreateSegment>(&step)) {
            logs[create->segment].bytes.clear();
        } else if (const auto* write = std::get_if<WriteBytes>(&step)) {
            std::uint64_t position = write->position;
            for (const Buffer& part : write->parts) {
                put(write->segment, position, part.view());
                position += part.size();
            }
            DLOG_ASSERT(position == write->position + write->size_bytes, position);
        } else if (const auto* seal = std::get_if<SealSegment>(&step)) {
            if (!seal->index->is_complete()) return;
            indexes[seal->segment] = {seal->index->encode_offsets(), seal->index->encode_times()};
        } else if (const auto* cut = std::get_if<TruncateSegment>(&step)) {
            DLOG_ASSERT(logs.contains(cut->segment), cut->segment);
            logs[cut->segment].bytes.resize(cut->size_bytes);
        } else if (const auto* remove = std::get_if<RemoveSegment>(&step)) {
            take_name(remove->segment);
            indexes.erase(remove->segment);
        } else if (const auto* away = std::get_if<SetAsideSegment>(&step)) {
            take_name(away->segment);
            aside.insert(away->segment);
        }
    }

    void put(Offset segment, std::uint64_t position, ByteView bytes) {
        DLOG_ASSERT(logs.contains(segment), segment);
        Bytes& file = logs[segment].bytes;
        if (file.size() < position + bytes.size()) file.resize(position + bytes.size());
        std::ranges::copy(bytes, file.begin() + static_cast<std::ptrdiff_t>(position));
    }

    void sync(const std::vector<Offset>& segments, bool names) {
        for (const Offset segment : segments) logs.at(segment).synced = logs.at(segment).bytes;
        if (!names) return;
        for (auto& [base, file] : logs) file.is_name_synced = true;
        removed_.clear();
    }

    /// Power loss: of each file the synced bytes remain, and of what came after any prefix, with
    /// some of its 512-byte sectors left as zeros. A name that was made or taken away since the
    /// last sync may be there or not.
    void crash(Random& random) {
        for (auto& [base, synced] : removed_) {
            if (logs.contains(base) || random.chance(1, 2)) continue;
            logs[base] = {.bytes = synced, .synced = synced, .is_name_synced = true};
        }
        removed_.clear();
        for (auto it = logs.begin(); it != logs.end();) {
            TestFile& file = it->second;
            if (!file.is_name_synced && random.chance(1, 2)) {
                it = logs.erase(it);
                continue;
            }
            Bytes after = file.synced;
            const Bytes& now = file.bytes;
            if (now.size() >= after.size()) {
                const std::size_t extra = now.size() - after.size();
                const std::size_t kept = extra == 0 ? 0 : random.below(extra + 1);
                const std::size_t begin = after.size();
                after.resize(begin + kept);
                for (std::size_t at = begin; at < after.size(); ++at) after[at] = now[at];
                for (std::size_t at = begin; at < after.size(); at += 512) {
                    if (!random.chance(1, 8)) continue;
                    const std::size_t end = std::min(after.size(), at + 512);
                    std::fill(after.begin() + static_cast<std::ptrdiff_t>(at),
                              after.begin() + static_cast<std::ptrdiff_t>(end), 0);
                }
            } else if (random.chance(1, 2)) {
                after = now;  // The truncation reached the device.
            }
            file.bytes = after;
            file.synced = after;
            file.is_name_synced = true;
            ++it;
        }
    }

    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> names = foreign;
        for (const auto& [base, file] : logs) {
            names.push_back(segment_file_name(base, FileKind::kLog));
        }
        for (const auto& [base, files] : indexes) {
            names.push_back(segment_file_name(base, FileKind::kIndex));
            names.push_back(segment_file_name(base, FileKind::kTimeIndex));
        }
        for (const Offset base : aside) {
            names.push_back(segment_file_name(base, FileKind::kLog) + ".aside");
        }
        if (checkpoint) names.emplace_back(kCheckpointFileName);
        return names;
    }

    [[nodiscard]] ByteView read(const NeedBytes& need) const {
        const Bytes& file = logs.at(need.segment).bytes;
        if (need.position >= file.size()) return {};
        const std::size_t left = file.size() - need.position;
        return ByteView(file).subspan(need.position, std::min(left, need.size_bytes));
    }

  private:
    void take_name(Offset segment) {
        const auto file = logs.find(segment);
        if (file == logs.end()) return;
        if (file->second.is_name_synced) removed_[segment] = file->second.synced;
        logs.erase(file);
    }

    std::map<Offset, Bytes> removed_;  ///< and the folder not synced since
};

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
        folder.sync(recovered.unsynced_segments, true);
        log_ = std::make_unique<Log>(config_, recovered.image, recovered.active_index,
                                     recovered.has_active_file, seed_);
        for (const Damage& damage : recovered.damages) log_->verified().note_damage(damage);
        if (recovered.needs_checkpoint) checkpoint();
    }
    std::set<Offset> unreadable;
    std::size_t read_count = 0;

    [[nodiscard]] std::shared_ptr<const SegmentIndex> load_index(const FileRead& plan) {
        const Offset base = plan.segment.base_offset;
        IndexEntry end{plan.segment.end_offset, plan.segment.size_bytes};
        const bool is_active = base == log_->active_index().base_offset();
        if (is_active) end = log_->active_index().covers_from();
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
    void read_file(const FileRead& plan, ReadOutcome& outcome) {
        if (!folder.logs.contains(plan.segment.base_offset)) {
            log_->note_unreadable(plan.segment.base_offset, DamageReason::kMissingFile);
            outcome.damage = *log_->verified().damage_at(plan.request.from);
            return;
        }
        std::shared_ptr<const SegmentIndex> index;
        if (plan.needs_index) {
            index = load_index(plan);
        } else if (plan.segment.base_offset == log_->active_index().base_offset()) {
            index = std::make_shared<const SegmentIndex>(log_->active_index());
        }
        FileFetch fetch(plan, index);
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
