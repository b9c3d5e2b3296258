#include "cli/log_dump.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "base/result.h"
#include "cli/segment_scan.h"
#include "cli/start_point.h"
#include "record/error.h"
#include "record/reader.h"
#include "storage/checkpoint.h"
#include "storage/index.h"
#include "storage/segment.h"

namespace dlog::cli {

namespace {

constexpr std::uint64_t kSmallFileBytesMax = 256 << 20;

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

std::string number(std::int64_t value) {
    return std::to_string(value);
}
std::string number(std::uint64_t value) {
    return std::to_string(value);
}

std::string shown_time(Timestamp time) {
    return time.ms < 0 ? "none" : format_time(time.ms);
}

std::string_view compression_text(codec::Compression compression) {
    static constexpr std::string_view kNames[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    const auto index = static_cast<std::size_t>(compression);
    return index < std::size(kNames) ? kNames[index] : "unknown";
}

/// Bytes as text on one line: what is not printable ASCII becomes \xNN.
std::string quoted(const std::optional<ByteView>& bytes) {
    if (!bytes.has_value()) return "null";
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out = "\"";
    for (const std::uint8_t byte : *bytes) {
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += static_cast<char>(byte);
        } else if (byte < 0x20 || byte >= 0x7f) {
            out += "\\x";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        } else {
            out += static_cast<char>(byte);
        }
    }
    return out + '"';
}

std::string file_name_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

void print_record(const record::Record& record, const DumpOptions& options) {
    std::string line =
        "  record " + number(record.offset.value) + " " + shown_time(record.timestamp);
    if (options.shows_values) {
        line += " key=" + quoted(record.key) + " value=" + quoted(record.value);
    } else {
        line += " key_bytes=" + (record.key ? number(std::uint64_t{record.key->size()}) : "null");
        line +=
            " value_bytes=" + (record.value ? number(std::uint64_t{record.value->size()}) : "null");
    }
    record::RecordHeaders headers = record.headers;
    while (headers.count() > 0) {
        const record::RecordHeader header = headers.next();
        line += " " + quoted(header.key) + "=" + quoted(header.value);
    }
    print(line + '\n');
}

/// False when the records inside a batch with a good CRC cannot be read.
bool print_records(const ScannedBatch& batch, const DumpOptions& options,
                   record::ReaderScratch& scratch) {
    auto reader = record::BatchReader::open(batch.bytes, scratch);
    if (!reader) {
        print("  DAMAGED records: " + std::string(record::error_text(reader.error())) + '\n');
        return false;
    }
    for (;;) {
        record::Record record;
        const auto more = reader->next(record);
        if (!more) {
            print("  DAMAGED record: " + std::string(record::error_text(more.error())) + '\n');
            return false;
        }
        if (!*more) return true;
        print_record(record, options);
    }
}

void print_batch(const ScannedBatch& batch) {
    const record::BatchHeader& header = batch.header;
    std::string line = "batch at " + number(batch.position) + ": offsets " +
                       number(header.base_offset.value) + "-" + number(header.last_offset().value) +
                       " records=" + number(std::int64_t{header.record_count}) +
                       " bytes=" + number(std::uint64_t{header.size_bytes()}) +
                       " epoch=" + number(std::int64_t{header.leader_epoch.value}) +
                       " compression=" + std::string(compression_text(header.compression())) +
                       " time=" + shown_time(header.base_timestamp) + ".." +
                       shown_time(header.max_timestamp);
    if (header.has_log_append_time()) line += " log_append_time";
    if (header.is_transactional()) line += " transactional";
    if (header.is_control()) line += " control";
    if (header.has_producer()) {
        line += " producer=" + number(header.producer_id.value) + "/" +
                number(std::int64_t{header.producer_epoch.value}) +
                " sequence=" + number(std::int64_t{header.base_sequence});
    }
    print(line + '\n');
}

void print_damage(const ScannedDamage& damage) {
    std::string line = "DAMAGED at " + number(damage.position) + ": " +
                       std::string(storage::damage_reason_text(damage.reason)) + "; ";
    line += number(damage.end_position - damage.position) + " bytes";
    if (damage.next_offset != kNoOffset) {
        line += ", offsets " + number(damage.first_offset.value) + "-" +
                number(damage.next_offset.value - 1) + " are lost, the next intact batch is at " +
                number(damage.end_position);
    } else {
        line += " up to the file's end, nothing intact follows";
    }
    print(line + '\n');
}

std::expected<bool, std::string> dump_segment(const std::string& path, Offset base_offset,
                                              const DumpOptions& options) {
    DLOG_TRY_ASSIGN(const InputFile file, InputFile::open(path));
    SegmentScanner scanner(file, base_offset);
    record::ReaderScratch scratch;
    bool is_intact = true;
    std::uint64_t batches = 0;
    std::uint64_t records = 0;
    while (const auto item = scanner.next()) {
        if (const auto* damage = std::get_if<ScannedDamage>(&*item)) {
            print_damage(*damage);
            is_intact = false;
            continue;
        }
        const auto& batch = std::get<ScannedBatch>(*item);
        ++batches;
        records += static_cast<std::uint64_t>(batch.header.record_count);
        print_batch(batch);
        if (options.shows_records || options.shows_values) {
            is_intact = print_records(batch, options, scratch) && is_intact;
        }
    }
    print(number(batches) + " batches, " + number(records) + " records, " + number(file.size()) +
          " bytes, next offset " + number(scanner.end_offset().value) + '\n');
    return is_intact;
}

/// An offset index and the time index beside it are decoded together: each vouches for the other.
std::expected<bool, std::string> dump_index(const std::string& path, Offset base_offset) {
    const std::string folder = path.substr(0, path.size() - file_name_of(path).size());
    const std::string offsets =
        folder + storage::segment_file_name(base_offset, storage::FileKind::kIndex);
    const std::string times =
        folder + storage::segment_file_name(base_offset, storage::FileKind::kTimeIndex);
    DLOG_TRY_ASSIGN(const auto offset_bytes, read_whole(offsets, kSmallFileBytesMax));
    DLOG_TRY_ASSIGN(const auto time_bytes, read_whole(times, kSmallFileBytesMax));
    const auto index = storage::SegmentIndex::decode(offset_bytes, time_bytes);
    if (!index) {
        print("DAMAGED: " + offsets + " and " + times + ": " +
              std::string(storage::error_text(index.error())) +
              " (the node makes them again from the segment)\n");
        return false;
    }
    print("covers offsets " + number(index->base_offset().value) + "-" +
          number(index->covers_to().offset.value - 1) + ", bytes 0-" +
          number(index->covers_to().position) + ", " + number(std::uint64_t{index->entry_count()}) +
          " entries\n");
    std::uint64_t position = 0;
    for (;;) {
        const storage::IndexEntry entry = index->ceiling_position(position);
        if (entry == index->covers_to()) break;
        print("offset " + number(entry.offset.value) + " at " + number(entry.position) + '\n');
        position = entry.position;
    }
    return true;
}

void print_producers(const storage::ProducerMap& producers) {
    std::vector<ProducerId> ids;
    for (const auto& [id, state] : producers) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    for (const ProducerId id : ids) {
        const storage::ProducerState& state = producers.at(id);
        std::string line =
            "producer " + number(id.value) + ": epoch " + number(std::int64_t{state.epoch.value});
        if (state.batch_count > 0) {
            const storage::ProducerBatch& last = state.batches[state.batch_count - 1U];
            line += ", last sequence " + number(std::int64_t{last.last_sequence}) + " at offset " +
                    number(last.last_offset.value);
        }
        print(line + '\n');
    }
}

std::expected<bool, std::string> dump_checkpoint(const std::string& path) {
    DLOG_TRY_ASSIGN(const auto bytes, read_whole(path, kSmallFileBytesMax));
    const auto image = storage::decode_checkpoint(bytes);
    if (!image) {
        print("DAMAGED: " + path + ": " + std::string(storage::error_text(image.error())) +
              " (the node reads all segments instead)\n");
        return false;
    }
    const storage::LogPosition point = image->recovery_point();
    print("log start offset " + number(image->log_start_offset.value) + ", recovery point offset " +
          number(point.offset.value) + " at " + number(point.position) + " of " +
          storage::segment_file_name(point.segment, storage::FileKind::kLog) +
          (image->is_clean ? ", stopped in order" : ", not stopped in order") + '\n');
    for (const storage::Segment& segment : image->segments) {
        print("segment " + number(segment.base_offset.value) + ": end offset " +
              number(segment.end_offset.value) + ", " + number(segment.size_bytes) +
              " bytes, latest time " + shown_time(segment.max_timestamp) + '\n');
    }
    for (const storage::EpochStart& epoch : image->epochs) {
        print("leader epoch " + number(std::int64_t{epoch.epoch.value}) + " from offset " +
              number(epoch.start_offset.value) + '\n');
    }
    print_producers(image->producers);
    return true;
}

}  // namespace

std::expected<bool, std::string> dump_file(const std::string& path, const DumpOptions& options) {
    const std::string name = file_name_of(path);
    if (name == storage::kCheckpointFileName) return dump_checkpoint(path);
    const auto parsed = storage::parse_segment_file_name(name);
    if (!parsed) {
        return unexpected(
            path +
            " is not named like a file of a log: give a segment "
            "(00000000000000000000.log), its .index or .timeindex, or log.checkpoint");
    }
    if (parsed->kind == storage::FileKind::kLog) {
        return dump_segment(path, parsed->base_offset, options);
    }
    return dump_index(path, parsed->base_offset);
}

}  // namespace dlog::cli
