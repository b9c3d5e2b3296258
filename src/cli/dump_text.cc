#include <algorithm>
#include <cstdio>

#include "cli/dump_sink.h"
#include "cli/log_dump.h"
#include "cli/start_point.h"
#include "record/reader.h"
#include "storage/segment.h"

namespace dlog::cli {

namespace {

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

void print_producers(const storage::ProducerMap& producers) {
    for (const ProducerId id : sorted_ids(producers)) {
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

class TextSink final : public DumpSink {
  public:
    explicit TextSink(bool shows_values) : shows_values_(shows_values) {}

    void record(const record::Record& record) override {
        std::string line =
            "  record " + number(record.offset.value) + " " + shown_time(record.timestamp);
        if (shows_values_) {
            line += " key=" + quoted(record.key) + " value=" + quoted(record.value);
        } else {
            line +=
                " key_bytes=" + (record.key ? number(std::uint64_t{record.key->size()}) : "null");
            line += " value_bytes=" +
                    (record.value ? number(std::uint64_t{record.value->size()}) : "null");
        }
        record::RecordHeaders headers = record.headers;
        while (headers.count() > 0) {
            const record::RecordHeader header = headers.next();
            line += " " + quoted(header.key) + "=" + quoted(header.value);
        }
        print(line + '\n');
    }

    void batch(const ScannedBatch& batch) override {
        const record::BatchHeader& header = batch.header;
        std::string line =
            "batch at " + number(batch.position) + ": offsets " + number(header.base_offset.value) +
            "-" + number(header.last_offset().value) +
            " records=" + number(std::int64_t{header.record_count}) +
            " bytes=" + number(std::uint64_t{header.size_bytes()}) +
            " epoch=" + number(std::int64_t{header.leader_epoch.value}) +
            " compression=" + std::string(compression_text(header.compression())) +
            " time=" + shown_time(header.base_timestamp) + ".." + shown_time(header.max_timestamp);
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

    void damage(const ScannedDamage& damage) override {
        std::string line = "DAMAGED at " + number(damage.position) + ": " +
                           std::string(storage::damage_reason_text(damage.reason)) + "; ";
        line += number(damage.end_position - damage.position) + " bytes";
        if (damage.next_offset != kNoOffset) {
            line += ", offsets " + number(damage.first_offset.value) + "-" +
                    number(damage.next_offset.value - 1) +
                    " are lost, the next intact batch is at " + number(damage.end_position);
        } else {
            line += " up to the file's end, nothing intact follows";
        }
        print(line + '\n');
    }

    void unreadable_records(std::string_view reason) override {
        print("  DAMAGED records: " + std::string(reason) + '\n');
    }

    void segment(const std::string&, const SegmentSum& sum) override {
        print(number(sum.batches) + " batches, " + number(sum.records) + " records, " +
              number(sum.size_bytes) + " bytes, next offset " + number(sum.next_offset.value) +
              '\n');
    }

    void index(const std::string&, const storage::SegmentIndex& index) override {
        print("covers offsets " + number(index.base_offset().value) + "-" +
              number(index.covers_to().offset.value - 1) + ", bytes 0-" +
              number(index.covers_to().position) + ", " +
              number(std::uint64_t{index.entry_count()}) + " entries\n");
        for (const storage::IndexEntry& entry : entries_of(index)) {
            print("offset " + number(entry.offset.value) + " at " + number(entry.position) + '\n');
        }
    }

    void checkpoint(const std::string&, const storage::LogImage& image) override {
        const storage::LogPosition point = image.recovery_point();
        print("log start offset " + number(image.log_start_offset.value) +
              ", recovery point offset " + number(point.offset.value) + " at " +
              number(point.position) + " of " +
              storage::segment_file_name(point.segment, storage::FileKind::kLog) +
              (image.is_clean ? ", stopped in order" : ", not stopped in order") + '\n');
        for (const storage::Segment& segment : image.segments) {
            print("segment " + number(segment.base_offset.value) + ": end offset " +
                  number(segment.end_offset.value) + ", " + number(segment.size_bytes) +
                  " bytes, latest time " + shown_time(segment.max_timestamp) + '\n');
        }
        for (const storage::EpochStart& epoch : image.epochs) {
            print("leader epoch " + number(std::int64_t{epoch.epoch.value}) + " from offset " +
                  number(epoch.start_offset.value) + '\n');
        }
        print_producers(image.producers);
    }

    void damaged_file(const std::string& path, std::string_view reason,
                      std::string_view remedy) override {
        print("DAMAGED: " + path + ": " + std::string(reason) + " (" + std::string(remedy) + ")\n");
    }

  private:
    const bool shows_values_;
};

}  // namespace

std::string_view compression_text(codec::Compression compression) {
    static constexpr std::string_view kNames[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    const auto index = static_cast<std::size_t>(compression);
    return index < std::size(kNames) ? kNames[index] : "unknown";
}

std::unique_ptr<DumpSink> text_sink(const DumpOptions& options) {
    return std::make_unique<TextSink>(options.shows_values);
}

}  // namespace dlog::cli
