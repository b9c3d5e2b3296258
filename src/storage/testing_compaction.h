/// For this room's tests: keyed records, and a driver that compacts a TestPartition as the real one
/// does.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.h"
#include "record/builder.h"
#include "record/reader.h"
#include "storage/cleaner.h"
#include "storage/swap.h"
#include "storage/testing_partition.h"

namespace dlog::storage::testing {

struct KeyedRecord {
    std::optional<std::string> key;
    std::optional<std::string> value;
    Timestamp timestamp{1'000};
    bool operator==(const KeyedRecord&) const = default;
};

inline Buffer make_keyed_batch(const std::vector<KeyedRecord>& records,
                               record::BatchSpec spec = {}) {
    record::BatchBuilder builder(spec);
    for (const KeyedRecord& record : records) {
        const auto bytes = [](const std::optional<std::string>& text) {
            return text ? std::optional<ByteView>(as_bytes(*text)) : std::nullopt;
        };
        builder.append(record.timestamp, bytes(record.key), bytes(record.value));
    }
    auto batch = builder.build();
    DLOG_ASSERT(batch.has_value());
    return *std::move(batch);
}

/// The records in whole batches, by offset. The batches must continue each other from `from` on.
inline std::map<Offset, KeyedRecord> records_of(ByteView bytes, Offset from) {
    std::map<Offset, KeyedRecord> records;
    BatchWalker walker(bytes, from, CrcCheck::kYes);
    record::ReaderScratch scratch;
    while (const auto item = walker.next()) {
        auto reader = record::BatchReader::open(item->bytes, scratch);
        DLOG_ASSERT(reader.has_value());
        record::Record record;
        for (;;) {
            const auto more = reader->next(record);
            DLOG_ASSERT(more.has_value());
            if (!*more) break;
            const auto text = [](const std::optional<ByteView>& view) {
                return view ? std::optional<std::string>(as_text(*view)) : std::nullopt;
            };
            records[record.offset] = {text(record.key), text(record.value), record.timestamp};
        }
    }
    DLOG_ASSERT(walker.stop() == BatchWalker::Stop::kEnd, static_cast<int>(walker.stop()));
    return records;
}

/// How far a compaction goes before the process ends.
enum class StopAt : std::uint8_t { kNever, kOffered, kRenamed };

struct CompactOptions {
    std::size_t map_bytes = 1 << 20;
    StopAt stop = StopAt::kNever;
};

struct CompactOutcome {
    std::uint64_t removed_records = 0;
    std::optional<Damage> damage;
    bool has_stopped = false;
};

/// One round. The folder's rewritten files have their new names at once.
inline CompactOutcome compact(TestPartition& partition, const CompactOptions& options = {}) {
    Log& log = partition.log();
    CompactOutcome outcome;
    if (log.swapping()) log.swap_ended();
    if (log.is_swap_noted()) partition.checkpoint();
    const Cleanable cleanable = find_cleanable(log.sealed_segments(), log.cleaned_to(),
                                               partition.now, log.config().min_compaction_lag_ms);
    if (cleanable.is_empty()) return outcome;
    const auto sealed = log.sealed_segments().first(cleanable.segment_count);
    const std::vector<Segment> segments(sealed.begin(), sealed.end());
    const auto dirty =
        std::ranges::upper_bound(segments, cleanable.dirty_from, {}, &Segment::end_offset);
    const auto read = [&](const NeedBytes& need) {
        const ByteView view = partition.folder.read(need);
        return Bytes(view.begin(), view.end());  // just as large, so that ASan sees reads beyond
    };
    OffsetMap map(options.map_bytes, UINT32_MAX, {1, 2});
    DirtyScan scan({dirty, segments.end()}, cleanable.dirty_from, map);
    while (const auto need = scan.need()) scan.feed(read(*need));
    outcome.damage = scan.damage();
    if (outcome.damage) return outcome;
    CleaningRules rules{.map_end = scan.end(),
                        .now = partition.now,
                        .delete_retention_ms = log.config().delete_retention_ms,
                        .index_interval_bytes = log.config().index_interval_bytes,
                        .producer_ends = producer_ends(log.producers().states())};
    const auto end = std::ranges::lower_bound(segments, scan.end(), {}, &Segment::base_offset);
    for (std::span rest(segments.begin(), end); !rest.empty();) {
        const auto group = rest.first(group_size(rest, log.config().segment_bytes));
        rest = rest.subspan(group.size());
        GroupCleaner cleaner({group.begin(), group.end()}, rules, map);
        Bytes file;
        while (const auto need = cleaner.need()) {
            cleaner.feed(read(*need));
            const Bytes output = cleaner.take_output();
            file.insert(file.end(), output.begin(), output.end());
        }
        outcome.damage = cleaner.damage();
        if (outcome.damage) return outcome;
        DLOG_ASSERT(file.size() == cleaner.segment().size_bytes, file.size());
        if (!cleaner.has_changed()) continue;
        outcome.removed_records += cleaner.removed_records();
        outcome.has_stopped = options.stop == StopAt::kOffered;
        if (outcome.has_stopped) return outcome;
        const bool is_replaced = log.replace_segments(group, cleaner.segment());
        DLOG_ASSERT(is_replaced);
        partition.checkpoint();
        for (const Segment& old : group) partition.folder.perform(RemoveSegment{old.base_offset});
        partition.folder.sync({}, true);
        partition.folder.logs[group.front().base_offset] = {
            .bytes = file, .synced = file, .is_name_synced = true};
        outcome.has_stopped = options.stop == StopAt::kRenamed;
        if (outcome.has_stopped) return outcome;
        partition.folder.perform(SealSegment{
            group.front().base_offset, std::make_shared<const SegmentIndex>(cleaner.take_index())});
        log.swap_ended();
        partition.checkpoint();
    }
    log.set_cleaned_to(scan.end());
    return outcome;
}

}  // namespace dlog::storage::testing
