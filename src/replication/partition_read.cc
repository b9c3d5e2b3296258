// Reading: from memory at once, from files through the storage machine's FileFetch, and by
// timestamp.

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "record/batch.h"
#include "record/reader.h"
#include "replication/partition.h"
#include "replication/services.h"
#include "storage/file_fetch.h"
#include "storage/log.h"

namespace dlog::replication {

using port::Task;

namespace {

/// How much one step of a search by timestamp reads.
constexpr std::size_t kScanBytes = 1 << 20;

/// True of one batch that compaction has emptied. A segment may be no more than that, and a reader
/// that gets nothing to read many times in a row takes its limits for too small (librdkafka).
bool is_without_records(const ReadResult& result) {
    return result.size_bytes == record::kBatchHeaderSize;
}

}  // namespace

ReadResult Partition::empty_read() const {
    return {.high_watermark = high_watermark_, .log_start_offset = log_->log_start_offset()};
}

Offset Partition::limit_of(const ReadRequest& request) const {
    return request.limit ? *request.limit : high_watermark_;
}

std::optional<Result<ReadResult>> Partition::read_now(const ReadRequest& request) {
    if (is_closed_) return Result<ReadResult>(unexpected(Error::kClosed));
    auto plan = log_->read({.from = request.from,
                            .limit = limit_of(request),
                            .max_bytes = request.max_bytes,
                            .at_least_one = request.at_least_one,
                            .includes_deleted = request.limit.has_value()});
    if (!plan) return Result<ReadResult>(unexpected(Error::kOffsetOutOfRange));
    if (std::holds_alternative<storage::FileRead>(*plan)) return std::nullopt;
    if (std::holds_alternative<storage::DamagedRead>(*plan)) {
        return Result<ReadResult>(unexpected(Error::kCorrupt));
    }
    ReadResult result = empty_read();
    if (auto* memory = std::get_if<storage::MemoryRead>(&*plan)) {
        DLOG_ASSERT(memory->parts.empty() || memory->next_offset <= limit_of(request));
        result.size_bytes = memory->size_bytes;
        result.next_offset = memory->next_offset;
        result.parts.reserve(memory->parts.size());
        for (Buffer& part : memory->parts) result.parts.emplace_back(std::move(part));
    }
    return Result<ReadResult>(std::move(result));
}

Task<Result<ReadResult>> Partition::read(ReadRequest request) {
    const std::shared_ptr<Partition> self = shared_from_this();
    const port::Gate::Hold hold = work_.enter();
    // The last batch without records that the read went on behind. What stops the read there says
    // nothing against the offsets up to there: they are answered with that batch.
    std::optional<ReadResult> passed;
    while (true) {
        auto now = read_now(request);
        auto result = now ? *std::move(now) : co_await read_file(request);
        if (!result && result.error() == Error::kReplaced) continue;
        if (passed && (!result || result->size_bytes == 0)) co_return *std::move(passed);
        if (!result || !is_without_records(*result) || result->next_offset >= limit_of(request)) {
            co_return std::move(result);
        }
        request.from = result->next_offset;
        passed = *std::move(result);
    }
}

/// What is not in memory; kReplaced when compaction came in between.
Task<Result<ReadResult>> Partition::read_file(ReadRequest request) {
    const std::uint64_t replacements = log_->replacements();
    auto plan = log_->read({.from = request.from,
                            .limit = limit_of(request),
                            .max_bytes = request.max_bytes,
                            .at_least_one = request.at_least_one,
                            .includes_deleted = request.limit.has_value()});
    DLOG_ASSERT(plan && std::holds_alternative<storage::FileRead>(*plan));
    auto& file_read = std::get<storage::FileRead>(*plan);
    const Offset segment = file_read.segment.base_offset;
    DLOG_CO_TRY_ASSIGN(storage::FileSlice slice, co_await fetch(std::move(file_read)));

    ReadResult result = empty_read();
    result.size_bytes = slice.size_bytes;
    result.next_offset = slice.next_offset;
    if (slice.size_bytes == 0) co_return result;
    if (!slice.bytes.empty()) {
        result.parts.emplace_back(std::move(slice.bytes));
        co_return result;
    }
    auto file = co_await folder_.open_segment(segment);
    if (log_->replacements() != replacements) co_return unexpected(Error::kReplaced);
    if (!file) co_return unexpected(failed_read(segment, file.error()));
    result.parts.emplace_back(port::FileRange{
        .file = *std::move(file), .position = slice.position, .length = slice.size_bytes});
    co_return result;
}

/// Follows a FileFetch to its end.
Task<Partition::FetchResult> Partition::fetch(storage::FileRead plan) {
    const std::uint64_t replacements = log_->replacements();
    if (plan.index == nullptr) {
        DLOG_CO_TRY_ASSIGN(plan.index, co_await index_for(plan.segment));
    }
    storage::FileFetch machine(std::move(plan));
    while (!is_closed_) {
        storage::FileFetch::Step step = machine.next(log_->verified());
        if (auto* slice = std::get_if<storage::FileSlice>(&step)) co_return std::move(*slice);
        if (const auto* damage = std::get_if<storage::Damage>(&step)) {
            report(*damage);
            co_return unexpected(Error::kCorrupt);
        }
        const auto& need = std::get<storage::NeedBytes>(step);
        auto bytes = co_await folder_.read_segment(need.segment, need.position, need.size_bytes);
        if (log_->replacements() != replacements) co_return unexpected(Error::kReplaced);
        if (!bytes) co_return unexpected(failed_read(need.segment, bytes.error()));
        machine.feed(*std::move(bytes), log_->verified());
    }
    co_return unexpected(Error::kClosed);
}

Error Partition::failed_read(Offset segment, port::DiskError error) {
    if (is_closed_) return Error::kClosed;
    // Retention took it in the meantime.
    if (segment < log_->segments().front().base_offset) return Error::kOffsetOutOfRange;
    const bool is_missing = error == port::DiskError::kNotFound;
    if (!is_missing && error != port::DiskError::kIo) return Error::kStorageFailed;
    services_.ports.log.error(is_missing ? "a segment is missing" : "a segment cannot be read",
                              {{"file", folder_.file_path(segment, storage::FileKind::kLog)},
                               {"error", port::disk_error_name(error)}});
    if (is_missing) log_->note_unreadable(segment, storage::DamageReason::kMissingFile);
    return is_missing ? Error::kCorrupt : Error::kStorageFailed;
}

void Partition::report(const storage::Damage& damage) {
    ++services_.metrics.damaged_ranges;
    services_.ports.log.error("damaged data is not served",
                              {{"file", folder_.file_path(damage.segment, storage::FileKind::kLog)},
                               {"position", damage.position},
                               {"end_position", damage.end_position},
                               {"first_offset", damage.first_offset},
                               {"next_offset", damage.next_offset},
                               {"reason", storage::damage_reason_text(damage.reason)}});
}

// Indexes.

Task<Result<std::shared_ptr<const storage::SegmentIndex>>> Partition::index_for(
    storage::Segment segment) {
    const Offset base = segment.base_offset;
    const bool is_active = base == log_->segments().back().base_offset;
    if (is_active) {
        const storage::IndexEntry end = log_->active_index()->covers_from();
        if (end.position > 0) {
            DLOG_CO_TRY_ASSIGN(const storage::SegmentIndex prefix,
                               co_await build_index(storage::SegmentIndex(base), end));
            if (log_->active_index()->base_offset() == base &&
                log_->active_index()->covers_from() == end) {
                log_->adopt_index_prefix(prefix);
            }
        }
        // Unless it was sealed while its front was read.
        if (log_->active_index()->base_offset() == base) {
            co_return log_->active_index();
        }
    }
    const std::uint64_t replacements = log_->replacements();
    const std::string path = folder_.file_path(base, storage::FileKind::kLog);
    const storage::IndexEntry end{segment.end_offset, segment.size_bytes};
    const auto* known = services_.indexes.find(path);
    if (known != nullptr && (*known)->covers_to() == end) co_return *known;
    std::shared_ptr<const storage::SegmentIndex> index = co_await folder_.read_index(base);
    if (log_->replacements() != replacements) co_return unexpected(Error::kReplaced);
    if (index == nullptr || index->covers_to() != end) {
        DLOG_CO_TRY_ASSIGN(storage::SegmentIndex built,
                           co_await build_index(storage::SegmentIndex(base), end));
        index = std::make_shared<const storage::SegmentIndex>(std::move(built));
    }
    services_.indexes.put(path, index, index->memory_bytes());
    co_return index;
}

Task<Result<storage::SegmentIndex>> Partition::build_index(storage::SegmentIndex from,
                                                           storage::IndexEntry end) {
    const Offset segment = from.base_offset();
    const std::uint64_t replacements = log_->replacements();
    storage::IndexBuilder builder(std::move(from), end, config().index_interval_bytes);
    while (const auto need = builder.need()) {
        const auto bytes =
            co_await folder_.read_segment(need->segment, need->position, need->size_bytes);
        if (log_->replacements() != replacements) co_return unexpected(Error::kReplaced);
        if (!bytes) co_return unexpected(failed_read(segment, bytes.error()));
        builder.feed(bytes->view());
    }
    co_return builder.take();
}

// Timestamps and epochs.

/// Committed batches from the one that holds `from` on, in memory: one piece, whole batches.
Task<Result<Buffer>> Partition::read_bytes(Offset from) {
    auto plan = log_->read(
        {.from = from, .limit = high_watermark_, .max_bytes = kScanBytes, .at_least_one = true});
    if (!plan) co_return unexpected(Error::kOffsetOutOfRange);
    if (std::holds_alternative<storage::DamagedRead>(*plan)) co_return unexpected(Error::kCorrupt);
    if (std::holds_alternative<storage::NothingToRead>(*plan)) co_return Buffer();
    if (auto* memory = std::get_if<storage::MemoryRead>(&*plan)) {
        Buffer bytes = Buffer::allocate(memory->size_bytes);
        std::size_t at = 0;
        for (const Buffer& part : memory->parts) {
            std::memcpy(bytes.mutable_data() + at, part.data(), part.size());
            at += part.size();
        }
        co_return bytes;
    }
    const std::uint64_t replacements = log_->replacements();
    DLOG_CO_TRY_ASSIGN(storage::FileSlice slice,
                       co_await fetch(std::get<storage::FileRead>(std::move(*plan))));
    if (slice.size_bytes == 0 || !slice.bytes.empty()) co_return std::move(slice.bytes);
    auto bytes = co_await folder_.read_segment(slice.segment, slice.position, slice.size_bytes);
    if (log_->replacements() != replacements) co_return unexpected(Error::kReplaced);
    if (!bytes) co_return unexpected(failed_read(slice.segment, bytes.error()));
    co_return *std::move(bytes);
}

Task<Result<TimestampOffset>> Partition::scan_time(storage::TimeScan scan) {
    const std::shared_ptr<Partition> self = shared_from_this();
    const port::Gate::Hold hold = work_.enter();
    if (scan.needs_index) {
        for (const storage::Segment& segment : log_->segments()) {
            if (segment.base_offset != scan.segment) continue;
            const storage::Segment wanted = segment;
            const auto index = co_await index_for(wanted);
            // Without the index the segment is read from its beginning.
            if (!index && index.error() == Error::kReplaced) break;
            if (!index) co_return unexpected(index.error());
            scan.from = std::max(scan.from, (*index)->time_floor(scan.time));
            break;
        }
    }
    record::ReaderScratch scratch;
    Offset from = scan.from;
    while (!is_closed_) {
        from = std::max(from, log_->log_start_offset());
        const auto read = co_await read_bytes(from);
        if (!read && read.error() == Error::kReplaced) continue;
        DLOG_CO_TRY_ASSIGN(const Buffer bytes, read);
        if (bytes.empty()) co_return TimestampOffset{};
        record::BatchSplitter splitter(bytes.view());
        while (true) {
            const auto item = splitter.next();
            if (!item || !item->has_value()) break;
            from = (*item)->header.next_offset();
            if ((*item)->header.max_timestamp < scan.time) continue;
            auto reader = record::BatchReader::open((*item)->bytes, scratch);
            if (!reader) co_return unexpected(Error::kCorrupt);
            record::Record record;
            while (true) {
                const auto more = reader->next(record);
                if (!more) co_return unexpected(Error::kCorrupt);
                if (!*more) break;
                if (record.timestamp < scan.time || record.offset < scan.from) continue;
                // The start may have moved since.
                if (record.offset < log_->log_start_offset()) continue;
                co_return TimestampOffset{.offset = record.offset,
                                          .timestamp = record.timestamp,
                                          .leader_epoch = (*item)->header.leader_epoch};
            }
        }
    }
    co_return unexpected(Error::kClosed);
}

Task<Result<TimestampOffset>> Partition::offset_for_timestamp(Timestamp time) {
    if (is_closed_) co_return unexpected(Error::kClosed);
    const auto scan = log_->find_time(time);
    if (!scan) co_return TimestampOffset{};
    co_return co_await scan_time(*scan);
}

Task<Result<TimestampOffset>> Partition::offset_of_max_timestamp() {
    if (is_closed_) co_return unexpected(Error::kClosed);
    const auto scan = log_->find_max_time();
    if (!scan) co_return TimestampOffset{};
    co_return co_await scan_time(*scan);
}

Result<EpochEnd> Partition::end_of_epoch(LeaderEpoch epoch) const {
    if (epoch > leadership_.epoch) return unexpected(Error::kEpochTooNew);
    // This leader's epoch ends at the log's end even before it wrote anything.
    if (epoch == leadership_.epoch) return EpochEnd{epoch, log_->log_end_offset()};
    const storage::EpochEnd end = log_->epochs().end_of(epoch, log_->log_end_offset());
    return EpochEnd{end.epoch, end.end_offset};
}

LeaderEpoch Partition::epoch_of(Offset offset) const {
    return log_->epochs().epoch_of(offset);
}

}  // namespace dlog::replication
