#include "cli/log_dump.h"

#include <algorithm>
#include <string_view>

#include "base/result.h"
#include "cli/dump_sink.h"
#include "cli/segment_scan.h"
#include "record/error.h"
#include "record/reader.h"
#include "storage/checkpoint.h"
#include "storage/index.h"
#include "storage/segment.h"

namespace dlog::cli {

namespace {

constexpr std::uint64_t kSmallFileBytesMax = 256 << 20;

std::string file_name_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// False when the records inside a batch with a good CRC cannot be read.
bool dump_records(const ScannedBatch& batch, DumpSink& sink, record::ReaderScratch& scratch) {
    auto reader = record::BatchReader::open(batch.bytes, scratch);
    if (!reader) {
        sink.unreadable_records(record::error_text(reader.error()));
        return false;
    }
    for (;;) {
        record::Record record;
        const auto more = reader->next(record);
        if (!more) {
            sink.unreadable_records(record::error_text(more.error()));
            return false;
        }
        if (!*more) return true;
        sink.record(record);
    }
}

std::expected<bool, std::string> dump_segment(const std::string& path, Offset base_offset,
                                              bool shows_records, DumpSink& sink) {
    DLOG_TRY_ASSIGN(const InputFile file, InputFile::open(path));
    SegmentScanner scanner(file, base_offset);
    record::ReaderScratch scratch;
    bool is_intact = true;
    SegmentSum sum{.size_bytes = file.size()};
    while (const auto item = scanner.next()) {
        if (const auto* damage = std::get_if<ScannedDamage>(&*item)) {
            sink.damage(*damage);
            is_intact = false;
            continue;
        }
        const auto& batch = std::get<ScannedBatch>(*item);
        ++sum.batches;
        sum.records += static_cast<std::uint64_t>(batch.header.record_count);
        sink.batch(batch);
        if (shows_records) is_intact = dump_records(batch, sink, scratch) && is_intact;
    }
    sum.next_offset = scanner.end_offset();
    sink.segment(path, sum);
    return is_intact;
}

/// An offset index and the time index beside it are decoded together: each vouches for the other.
std::expected<bool, std::string> dump_index(const std::string& path, Offset base_offset,
                                            DumpSink& sink) {
    const std::string folder = path.substr(0, path.size() - file_name_of(path).size());
    const std::string offsets =
        folder + storage::segment_file_name(base_offset, storage::FileKind::kIndex);
    const std::string times =
        folder + storage::segment_file_name(base_offset, storage::FileKind::kTimeIndex);
    DLOG_TRY_ASSIGN(const auto offset_bytes, read_whole(offsets, kSmallFileBytesMax));
    DLOG_TRY_ASSIGN(const auto time_bytes, read_whole(times, kSmallFileBytesMax));
    const auto index = storage::SegmentIndex::decode(offset_bytes, time_bytes);
    if (!index) {
        sink.damaged_file(path, storage::error_text(index.error()),
                          "this file or the one beside it; the node makes both again from the "
                          "segment");
        return false;
    }
    sink.index(path, *index);
    return true;
}

std::expected<bool, std::string> dump_checkpoint(const std::string& path, DumpSink& sink) {
    DLOG_TRY_ASSIGN(const auto bytes, read_whole(path, kSmallFileBytesMax));
    const auto image = storage::decode_checkpoint(bytes);
    if (!image) {
        sink.damaged_file(path, storage::error_text(image.error()),
                          "the node reads all segments instead");
        return false;
    }
    sink.checkpoint(path, *image);
    return true;
}

/// Where the records of a segment's file, finished or of a compaction, begin.
std::optional<Offset> base_of_segment(const std::string& name) {
    if (const auto swap = storage::parse_swap_file_name(name)) return swap->base_offset;
    const std::size_t suffix = storage::is_cleaned_file_name(name) ? name.rfind('.') : name.size();
    const auto segment = storage::parse_segment_file_name(std::string_view(name).substr(0, suffix));
    if (!segment || segment->kind != storage::FileKind::kLog) return std::nullopt;
    return segment->base_offset;
}

}  // namespace

std::vector<storage::IndexEntry> entries_of(const storage::SegmentIndex& index) {
    std::vector<storage::IndexEntry> entries;
    std::uint64_t position = 0;
    for (;;) {
        const storage::IndexEntry entry = index.ceiling_position(position);
        if (entry == index.covers_to()) return entries;
        entries.push_back(entry);
        position = entry.position;
    }
}

std::vector<ProducerId> sorted_ids(const storage::ProducerMap& producers) {
    std::vector<ProducerId> ids;
    for (const auto& [id, state] : producers) ids.push_back(id);
    std::ranges::sort(ids);
    return ids;
}

std::expected<bool, std::string> dump_file(const std::string& path, const DumpOptions& options) {
    const std::unique_ptr<DumpSink> sink =
        options.is_json ? json_sink(options) : text_sink(options);
    const std::string name = file_name_of(path);
    if (name == storage::kCheckpointFileName) return dump_checkpoint(path, *sink);
    if (const auto base = base_of_segment(name)) {
        return dump_segment(path, *base, options.shows_records || options.shows_values, *sink);
    }
    if (const auto parsed = storage::parse_segment_file_name(name)) {
        return dump_index(path, parsed->base_offset, *sink);
    }
    return unexpected(path +
                      " is not named like a file of a log: give a segment "
                      "(00000000000000000000.log), its .index or .timeindex, or log.checkpoint");
}

}  // namespace dlog::cli
