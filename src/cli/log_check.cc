#include "cli/log_check.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "base/result.h"
#include "cli/json.h"
#include "cli/segment_scan.h"
#include "storage/checkpoint.h"
#include "storage/index.h"
#include "storage/segment.h"
#include "storage/swap.h"

namespace dlog::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSmallFileBytesMax = 256 << 20;

std::string number(std::int64_t value) {
    return std::to_string(value);
}

/// The files of one partition.
struct PartitionFiles {
    std::string folder;
    std::vector<std::string> names;
};

/// What reading a segment's file showed.
struct SegmentFacts {
    Offset base_offset;
    Offset end_offset;
    std::uint64_t size_bytes = 0;
    /// Where batches begin, for the check of the index.
    std::vector<storage::IndexEntry> batches;
    /// Damage at the file's end behind which nothing is intact.
    std::optional<ScannedDamage> torn_end;
};

class PartitionCheck {
  public:
    PartitionCheck(const PartitionFiles& files, CheckReport& report)
        : files_(files), report_(report) {}

    void run() {
        read_checkpoint();
        find_segments();
        if (!has_checkpoint_ && !segments_.empty()) {
            note(files_.folder, 0, "there is no log.checkpoint: a start reads every segment",
                 false);
        }
        std::optional<SegmentFacts> previous;
        for (const auto& [base_offset, kinds] : segments_) {
            const auto log = kinds.find(storage::FileKind::kLog);
            if (log == kinds.end()) {
                note(kinds.begin()->second, 0, "an index without its segment", false);
                continue;
            }
            ++report_.segments;
            std::optional<SegmentFacts> facts = scan(base_offset, log->second);
            if (!facts) continue;
            if (previous) check_follows(*previous, *facts, log->second);
            check_against_checkpoint(*facts, log->second);
            check_index(*facts, kinds);
            previous = std::move(facts);
        }
        check_missing_segments();
    }

  private:
    void note(const std::string& file, std::uint64_t position, std::string text, bool is_damage) {
        report_.findings.push_back({file, position, std::move(text), is_damage});
    }

    [[nodiscard]] std::string path_of(std::string_view name) const {
        return files_.folder + "/" + std::string(name);
    }

    void read_checkpoint() {
        has_checkpoint_ =
            std::ranges::find(files_.names, storage::kCheckpointFileName) != files_.names.end();
        if (!has_checkpoint_) return;
        const std::string path = path_of(storage::kCheckpointFileName);
        const auto bytes = read_whole(path, kSmallFileBytesMax);
        if (!bytes) return note(path, 0, bytes.error(), true);
        auto image = storage::decode_checkpoint(*bytes);
        if (!image) {
            return note(path, 0,
                        std::string(storage::error_text(image.error())) +
                            "; a start reads every segment instead",
                        true);
        }
        image_ = *std::move(image);
    }

    /// What belongs to the log once the next start has ended a compaction that was interrupted.
    void find_segments() {
        const storage::SwapRepairs repairs =
            storage::plan_swap_repairs(files_.names, image_ ? &*image_ : nullptr);
        for (const std::string& name : files_.names) {
            const auto file = storage::parse_segment_file_name(name);
            const bool goes = std::ranges::find(repairs.remove, name) != repairs.remove.end();
            if (goes) {
                note(path_of(name), 0,
                     "is left from a compaction that was interrupted; the next start removes it",
                     false);
            } else if (file) {
                segments_[file->base_offset][file->kind] = path_of(name);
            }
        }
        if (!repairs.finish) return;
        const std::string name =
            storage::swap_file_name(repairs.finish->base_offset, repairs.finish->end_offset);
        note(path_of(name), 0,
             "holds the offsets " + number(repairs.finish->base_offset.value) + "-" +
                 number(repairs.finish->end_offset.value - 1) +
                 " after a compaction that was interrupted; the next start puts it in their place",
             false);
        segments_[repairs.finish->base_offset][storage::FileKind::kLog] = path_of(name);
    }

    /// Whether bytes from here on are vouched for by the checkpoint: damage there is loss.
    [[nodiscard]] bool is_before_recovery_point(Offset segment, std::uint64_t position) const {
        if (!image_) return true;
        const storage::LogPosition point = image_->recovery_point();
        return segment < point.segment || (segment == point.segment && position < point.position);
    }

    [[nodiscard]] std::optional<SegmentFacts> scan(Offset base_offset, const std::string& path) {
        const auto file = InputFile::open(path);
        if (!file) {
            note(path, 0, file.error(), true);
            return std::nullopt;
        }
        SegmentFacts facts{.base_offset = base_offset, .size_bytes = file->size()};
        SegmentScanner scanner(*file, base_offset);
        while (const auto item = scanner.next()) {
            if (const auto* damage = std::get_if<ScannedDamage>(&*item)) {
                note_damage(base_offset, path, *damage);
                if (!damage->has_intact_after) facts.torn_end = *damage;
                continue;
            }
            const auto& batch = std::get<ScannedBatch>(*item);
            facts.batches.push_back({batch.header.base_offset, batch.position});
            ++report_.batches;
            report_.records += static_cast<std::uint64_t>(batch.header.record_count);
        }
        report_.bytes += file->size();
        facts.end_offset = scanner.end_offset();
        return facts;
    }

    void note_damage(Offset segment, const std::string& path, const ScannedDamage& damage) {
        const bool is_last = segment == segments_.rbegin()->first;
        const bool is_torn_tail = is_last && !damage.has_intact_after &&
                                  !is_before_recovery_point(segment, damage.position);
        std::string text = std::string(storage::damage_reason_text(damage.reason)) + ", " +
                           std::to_string(damage.end_position - damage.position) + " bytes";
        if (is_torn_tail) {
            text += ": a torn end behind the recovery point; the next start cuts it off";
        } else if (damage.next_offset != kNoOffset) {
            text += ", offsets " + number(damage.first_offset.value) + "-" +
                    number(damage.next_offset.value - 1) + " are lost";
        } else {
            text +=
                ", from offset " + number(damage.first_offset.value) + " on up to the file's end";
        }
        note(path, damage.position, std::move(text), !is_torn_tail);
    }

    void check_follows(const SegmentFacts& previous, const SegmentFacts& facts,
                       const std::string& path) {
        if (previous.torn_end) return;  // said already
        if (facts.base_offset > previous.end_offset) {
            note(path, 0,
                 "offsets " + number(previous.end_offset.value) + "-" +
                     number(facts.base_offset.value - 1) +
                     " are missing between the segment before and this one",
                 true);
        } else if (facts.base_offset < previous.end_offset) {
            note(path, 0,
                 "begins at offset " + number(facts.base_offset.value) +
                     ", but the segment before ends at " + number(previous.end_offset.value),
                 true);
        }
    }

    [[nodiscard]] const storage::Segment* in_checkpoint(Offset base_offset) const {
        if (!image_) return nullptr;
        for (const storage::Segment& segment : image_->segments) {
            if (segment.base_offset == base_offset) return &segment;
        }
        return nullptr;
    }

    void check_against_checkpoint(const SegmentFacts& facts, const std::string& path) {
        const storage::Segment* promised = in_checkpoint(facts.base_offset);
        if (promised == nullptr) return;
        if (facts.size_bytes < promised->size_bytes) {
            note(path, facts.size_bytes,
                 "the file ends here, but the checkpoint vouches for " +
                     std::to_string(promised->size_bytes) + " bytes",
                 true);
        } else if (facts.end_offset < promised->end_offset && !facts.torn_end) {
            note(path, facts.size_bytes,
                 "ends at offset " + number(facts.end_offset.value) +
                     ", but the checkpoint vouches for offsets up to " +
                     number(promised->end_offset.value),
                 true);
        }
    }

    void check_missing_segments() {
        if (!image_) return;
        for (const storage::Segment& segment : image_->segments) {
            if (segment.is_empty()) continue;
            const auto found = segments_.find(segment.base_offset);
            if (found != segments_.end() && found->second.contains(storage::FileKind::kLog)) {
                continue;
            }
            note(files_.folder + "/" +
                     storage::segment_file_name(segment.base_offset, storage::FileKind::kLog),
                 0,
                 "is missing: offsets " + number(segment.base_offset.value) + "-" +
                     number(segment.end_offset.value - 1) + " are lost",
                 true);
        }
    }

    void check_index(const SegmentFacts& facts,
                     const std::map<storage::FileKind, std::string>& kinds) {
        const auto offsets = kinds.find(storage::FileKind::kIndex);
        const auto times = kinds.find(storage::FileKind::kTimeIndex);
        if (offsets == kinds.end() || times == kinds.end()) return;  // made when it is needed
        const auto offset_bytes = read_whole(offsets->second, kSmallFileBytesMax);
        const auto time_bytes = read_whole(times->second, kSmallFileBytesMax);
        if (!offset_bytes) return note(offsets->second, 0, offset_bytes.error(), true);
        if (!time_bytes) return note(times->second, 0, time_bytes.error(), true);
        const auto index = storage::SegmentIndex::decode(*offset_bytes, *time_bytes);
        if (!index) {
            return note(offsets->second, 0,
                        std::string(storage::error_text(index.error())) +
                            " (this file or its .timeindex); the node makes both again",
                        true);
        }
        std::uint64_t position = 0;
        for (;;) {
            const storage::IndexEntry entry = index->ceiling_position(position);
            if (entry == index->covers_to()) return;
            if (!begins_batch(facts, entry)) {
                return note(offsets->second, 0,
                            "says that offset " + number(entry.offset.value) + " is at " +
                                std::to_string(entry.position) +
                                " of its segment, where no such batch begins",
                            true);
            }
            position = entry.position;
        }
    }

    [[nodiscard]] static bool begins_batch(const SegmentFacts& facts,
                                           const storage::IndexEntry& entry) {
        const auto found = std::lower_bound(
            facts.batches.begin(), facts.batches.end(), entry.position,
            [](const storage::IndexEntry& batch, std::uint64_t at) { return batch.position < at; });
        return found != facts.batches.end() && *found == entry;
    }

    const PartitionFiles& files_;
    CheckReport& report_;
    /// By base offset; of a rewritten segment its new file.
    std::map<Offset, std::map<storage::FileKind, std::string>> segments_;
    bool has_checkpoint_ = false;
    std::optional<storage::LogImage> image_;
};

/// Every folder below `folder` that holds files of a log.
std::expected<std::map<std::string, PartitionFiles>, std::string> find_partitions(
    const std::string& folder) {
    std::map<std::string, PartitionFiles> partitions;
    std::error_code error;
    fs::recursive_directory_iterator at(folder, error);
    if (error) return unexpected("cannot list " + folder + ": " + error.message());
    while (at != fs::recursive_directory_iterator()) {
        const std::string name = at->path().filename().string();
        const std::string parent = at->path().parent_path().string();
        const bool is_of_log = name == storage::kCheckpointFileName ||
                               storage::is_cleaned_file_name(name) ||
                               storage::parse_segment_file_name(name).has_value() ||
                               storage::parse_swap_file_name(name).has_value();
        if (is_of_log) {
            PartitionFiles& files = partitions[parent];
            files.folder = parent;
            files.names.push_back(name);
        }
        at.increment(error);
        if (error) return unexpected("cannot list " + folder + ": " + error.message());
    }
    // As a start sees them: which of two swaps is looked at first must not depend on the folder.
    for (auto& [path, files] : partitions) std::ranges::sort(files.names);
    return partitions;
}

}  // namespace

bool CheckReport::has_damage() const {
    return std::any_of(findings.begin(), findings.end(),
                       [](const CheckFinding& finding) { return finding.is_damage; });
}

std::string check_text(const CheckReport& report, bool is_quiet) {
    std::string text;
    for (const CheckFinding& finding : report.findings) {
        if (is_quiet && !finding.is_damage) continue;
        text += (finding.is_damage ? "DAMAGED " : "note ") + finding.file + " at " +
                std::to_string(finding.position) + ": " + finding.text + '\n';
    }
    if (is_quiet) return text;
    return text + std::to_string(report.partitions) + " partitions, " +
           std::to_string(report.segments) + " segments, " + std::to_string(report.batches) +
           " batches, " + std::to_string(report.records) + " records, " +
           std::to_string(report.bytes) +
           " bytes: " + (report.has_damage() ? "damage found" : "all is well") + '\n';
}

std::string check_json(const CheckReport& report, bool is_quiet) {
    std::vector<std::string> findings;
    for (const CheckFinding& finding : report.findings) {
        if (is_quiet && !finding.is_damage) continue;
        findings.push_back(json_object({{"damage", json_bool(finding.is_damage)},
                                        {"file", json_string(finding.file)},
                                        {"position", std::to_string(finding.position)},
                                        {"text", json_string(finding.text)}}));
    }
    return json_object({{"damaged", json_bool(report.has_damage())},
                        {"partitions", std::to_string(report.partitions)},
                        {"segments", std::to_string(report.segments)},
                        {"batches", std::to_string(report.batches)},
                        {"records", std::to_string(report.records)},
                        {"bytes", std::to_string(report.bytes)},
                        {"findings", json_array(findings)}}) +
           '\n';
}

std::expected<CheckReport, std::string> check_folder(const std::string& folder) {
    DLOG_TRY_ASSIGN(const auto partitions, find_partitions(folder));
    CheckReport report;
    report.partitions = partitions.size();
    for (const auto& [path, files] : partitions) PartitionCheck(files, report).run();
    return report;
}

}  // namespace dlog::cli
