#include "cli/dump_sink.h"
#include "cli/json.h"
#include "cli/log_dump.h"
#include "cli/record_format.h"
#include "cli/session.h"
#include "record/reader.h"

namespace dlog::cli {

namespace {

constexpr std::size_t kOutputBytes = 64 << 10;

std::string size_json(const std::optional<ByteView>& bytes) {
    return bytes ? std::to_string(bytes->size()) : "null";
}

std::string offset_json(Offset offset) {
    return offset == kNoOffset ? "null" : std::to_string(offset.value);
}

std::string producers_json(const storage::ProducerMap& producers) {
    std::vector<std::string> values;
    for (const ProducerId id : sorted_ids(producers)) {
        const storage::ProducerState& state = producers.at(id);
        std::string last_sequence = "null";
        std::string last_offset = "null";
        if (state.batch_count > 0) {
            const storage::ProducerBatch& last = state.batches[state.batch_count - 1U];
            last_sequence = std::to_string(last.last_sequence);
            last_offset = std::to_string(last.last_offset.value);
        }
        values.push_back(json_object({{"id", std::to_string(id.value)},
                                      {"epoch", std::to_string(state.epoch.value)},
                                      {"last_sequence", last_sequence},
                                      {"last_offset", last_offset}}));
    }
    return json_array(values);
}

std::string segments_json(const storage::LogImage& image) {
    std::vector<std::string> values;
    for (const storage::Segment& segment : image.segments) {
        values.push_back(
            json_object({{"base_offset", std::to_string(segment.base_offset.value)},
                         {"end_offset", std::to_string(segment.end_offset.value)},
                         {"bytes", std::to_string(segment.size_bytes)},
                         {"max_timestamp_ms", std::to_string(segment.max_timestamp.ms)}}));
    }
    return json_array(values);
}

std::string epochs_json(const storage::LogImage& image) {
    std::vector<std::string> values;
    for (const storage::EpochStart& epoch : image.epochs) {
        values.push_back(json_object({{"epoch", std::to_string(epoch.epoch.value)},
                                      {"start_offset", std::to_string(epoch.start_offset.value)}}));
    }
    return json_array(values);
}

class JsonSink final : public DumpSink {
  public:
    explicit JsonSink(bool shows_values) : shows_values_(shows_values) {}
    ~JsonSink() override { static_cast<void>(write_out(out_)); }

    void batch(const ScannedBatch& batch) override {
        const record::BatchHeader& header = batch.header;
        line(json_object({{"kind", json_string("batch")},
                          {"position", std::to_string(batch.position)},
                          {"base_offset", std::to_string(header.base_offset.value)},
                          {"last_offset", std::to_string(header.last_offset().value)},
                          {"records", std::to_string(header.record_count)},
                          {"bytes", std::to_string(header.size_bytes())},
                          {"leader_epoch", std::to_string(header.leader_epoch.value)},
                          {"compression", json_string(compression_text(header.compression()))},
                          {"base_timestamp_ms", std::to_string(header.base_timestamp.ms)},
                          {"max_timestamp_ms", std::to_string(header.max_timestamp.ms)},
                          {"log_append_time", json_bool(header.has_log_append_time())},
                          {"transactional", json_bool(header.is_transactional())},
                          {"control", json_bool(header.is_control())},
                          {"producer_id", std::to_string(header.producer_id.value)},
                          {"producer_epoch", std::to_string(header.producer_epoch.value)},
                          {"base_sequence", std::to_string(header.base_sequence)}}));
    }

    void record(const record::Record& record) override {
        const std::string offset = std::to_string(record.offset.value);
        const std::string timestamp = std::to_string(record.timestamp.ms);
        const std::string headers = headers_json(record);
        if (shows_values_) {
            return line(json_object({{"kind", json_string("record")},
                                     {"offset", offset},
                                     {"timestamp_ms", timestamp},
                                     {"key", json_bytes(record.key)},
                                     {"value", json_bytes(record.value)},
                                     {"headers", headers}}));
        }
        line(json_object({{"kind", json_string("record")},
                          {"offset", offset},
                          {"timestamp_ms", timestamp},
                          {"key_bytes", size_json(record.key)},
                          {"value_bytes", size_json(record.value)},
                          {"headers", headers}}));
    }

    void damage(const ScannedDamage& damage) override {
        line(json_object({{"kind", json_string("damage")},
                          {"position", std::to_string(damage.position)},
                          {"end_position", std::to_string(damage.end_position)},
                          {"reason", json_string(storage::damage_reason_text(damage.reason))},
                          {"first_lost_offset", std::to_string(damage.first_offset.value)},
                          {"next_offset", offset_json(damage.next_offset)}}));
    }

    void unreadable_records(std::string_view reason) override {
        line(json_object(
            {{"kind", json_string("unreadable_records")}, {"reason", json_string(reason)}}));
    }

    void segment(const std::string& path, const SegmentSum& sum) override {
        line(json_object({{"kind", json_string("segment")},
                          {"file", json_string(path)},
                          {"batches", std::to_string(sum.batches)},
                          {"records", std::to_string(sum.records)},
                          {"bytes", std::to_string(sum.size_bytes)},
                          {"next_offset", std::to_string(sum.next_offset.value)}}));
    }

    void index(const std::string& path, const storage::SegmentIndex& index) override {
        std::vector<std::string> entries;
        for (const storage::IndexEntry& entry : entries_of(index)) {
            entries.push_back(json_object({{"offset", std::to_string(entry.offset.value)},
                                           {"position", std::to_string(entry.position)}}));
        }
        line(json_object({{"kind", json_string("index")},
                          {"file", json_string(path)},
                          {"base_offset", std::to_string(index.base_offset().value)},
                          {"end_offset", std::to_string(index.covers_to().offset.value)},
                          {"bytes", std::to_string(index.covers_to().position)},
                          {"entries", json_array(entries)}}));
    }

    void checkpoint(const std::string& path, const storage::LogImage& image) override {
        const storage::LogPosition point = image.recovery_point();
        line(json_object({{"kind", json_string("checkpoint")},
                          {"file", json_string(path)},
                          {"log_start_offset", std::to_string(image.log_start_offset.value)},
                          {"recovery_offset", std::to_string(point.offset.value)},
                          {"recovery_segment", std::to_string(point.segment.value)},
                          {"recovery_position", std::to_string(point.position)},
                          {"clean_stop", json_bool(image.is_clean)},
                          {"cleaned_to", std::to_string(image.cleaned_to.value)},
                          {"swapping", offset_json(image.swapping.value_or(kNoOffset))},
                          {"segments", segments_json(image)},
                          {"epochs", epochs_json(image)},
                          {"producers", producers_json(image.producers)}}));
    }

    void damaged_file(const std::string& path, std::string_view reason,
                      std::string_view remedy) override {
        line(json_object({{"kind", json_string("damaged_file")},
                          {"file", json_string(path)},
                          {"reason", json_string(reason)},
                          {"remedy", json_string(remedy)}}));
    }

  private:
    void line(const std::string& object) {
        out_ += object + '\n';
        if (out_.size() < kOutputBytes) return;
        static_cast<void>(write_out(out_));
        out_.clear();
    }

    const bool shows_values_;
    std::string out_;
};

}  // namespace

std::unique_ptr<DumpSink> json_sink(const DumpOptions& options) {
    return std::make_unique<JsonSink>(options.shows_values);
}

}  // namespace dlog::cli
