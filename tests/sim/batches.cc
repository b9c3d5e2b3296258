#include "batches.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "record/batch.h"
#include "record/builder.h"
#include "record/reader.h"

namespace dlog::simtest {

namespace {

constexpr std::string_view kHeader = "payload";

void append_record(record::BatchBuilder& builder, const BatchToMake& batch, RecordName name,
                   ByteView payload) {
    if (batch.key_count == 0) {
        return builder.append(batch.timestamp, std::nullopt, payload);
    }
    std::uint32_t key = key_of(name, batch.key_count);
    if (batch.keys_collide) key /= 2;
    const std::string text = "key " + std::to_string(key);
    if (!is_tombstone(name, batch.key_count)) {
        return builder.append(batch.timestamp, as_bytes(text), payload);
    }
    const record::RecordHeader header{.key = as_bytes(kHeader), .value = payload};
    builder.append(batch.timestamp, as_bytes(text), std::nullopt, std::span(&header, 1));
}

std::optional<RecordName> name_of(record::Record record) {
    if (record.value) return read_payload(*record.value);
    if (record.headers.count() != 1) return std::nullopt;
    const record::RecordHeader header = record.headers.next();
    return header.value ? read_payload(*header.value) : std::nullopt;
}

}  // namespace

Buffer make_batch(const BatchToMake& batch) {
    record::BatchSpec spec;
    spec.producer_id = batch.producer_id;
    spec.producer_epoch = ProducerEpoch(batch.producer_epoch);
    spec.base_sequence = batch.base_sequence;
    spec.compression = static_cast<codec::Compression>(batch.codec);
    record::BatchBuilder builder(spec);
    for (std::uint32_t at = 0; at < batch.count; ++at) {
        const auto payload = make_payload({batch.first.producer, batch.first.number + at},
                                          batch.payload_bytes + at % 7);
        append_record(builder, batch, {batch.first.producer, batch.first.number + at}, payload);
    }
    auto built = builder.build();
    DLOG_ASSERT(built.has_value());
    return *std::move(built);
}

std::int64_t note_batches(History& history, LogId log, ByteView bytes, std::int64_t from,
                          History::Reading* reading) {
    record::BatchSplitter splitter(bytes);
    record::ReaderScratch scratch;
    std::int64_t next = from;
    while (true) {
        const auto item = splitter.next();
        if (!item) {
            if (item.error() != record::Error::kTruncated) {
                history.fail("bytes that are no batch were served at offset " +
                             std::to_string(next));
            }
            return next;
        }
        if (!*item) return next;
        const record::BatchHeader& header = (*item)->header;
        if (next > from && header.base_offset.value < next) {
            history.fail("a batch of offset " + std::to_string(header.base_offset.value) +
                         " was served behind offset " + std::to_string(next - 1));
        }
        std::int64_t before = header.base_offset.value - 1;
        if (!record::verify_crc((*item)->bytes)) {
            history.seen(log, header.base_offset.value, std::nullopt);
            next = std::max(next, header.next_offset().value);
            continue;
        }
        auto reader = record::BatchReader::open((*item)->bytes, scratch);
        record::Record record;
        while (reader) {
            const auto more = reader->next(record);
            if (!more) history.fail("a batch with a good CRC cannot be read");
            if (!more || !*more) break;
            if (std::exchange(before, record.offset.value) >= record.offset.value) {
                history.fail("the offsets of a batch do not ascend");
            }
            if (record.offset.value < from) continue;
            const auto name = name_of(record);
            history.seen(log, record.offset.value, name);
            if (name && reading != nullptr) reading->records.emplace(record.offset.value, *name);
        }
        if (!reader) history.fail("a batch with a good CRC cannot be opened");
        next = std::max(next, header.next_offset().value);
    }
}

}  // namespace dlog::simtest
