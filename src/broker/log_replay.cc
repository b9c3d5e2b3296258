#include "broker/log_replay.h"

#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "broker/core.h"
#include "port/disk.h"

namespace dlog::broker {

namespace {

constexpr std::size_t kReplayBytes = 1 << 20;

/// The bytes of a read in one piece.
port::Task<std::expected<Buffer, std::string>> gather(Core& core, replication::ReadResult read) {
    Buffer all = Buffer::allocate(read.size_bytes);
    std::size_t at = 0;
    for (port::OutPart& part : read.parts) {
        if (const auto* buffer = std::get_if<Buffer>(&part)) {
            std::memcpy(all.mutable_data() + at, buffer->data(), buffer->size());
            at += buffer->size();
            continue;
        }
        const auto& range = std::get<port::FileRange>(part);
        const auto count = co_await core.ports.disk.read(
            range.file, range.position, all.mutable_view().subspan(at, range.length));
        if (!count) {
            co_return std::unexpected(std::string(port::disk_error_name(count.error())));
        }
        if (*count != range.length) co_return std::unexpected(std::string("the file is too short"));
        at += *count;
    }
    DLOG_ASSERT(at == all.size(), at, all.size());
    co_return all;
}

/// Folds the whole batches of `bytes`; returns the offset after the last one.
std::expected<Offset, std::string> fold_batches(ByteView bytes, record::ReaderScratch& scratch,
                                                const RecordFolder& fold) {
    Offset next = kNoOffset;
    record::BatchSplitter batches(bytes);
    while (true) {
        auto batch = batches.next();
        if (!batch || !*batch) break;  // The last batch may be cut short: the next read has it.
        auto reader = record::BatchReader::open((*batch)->bytes, scratch);
        if (!reader) return std::unexpected(std::string(record::error_text(reader.error())));
        record::Record one;
        while (true) {
            const auto has_record = reader->next(one);
            if (!has_record) {
                return std::unexpected(std::string(record::error_text(has_record.error())));
            }
            if (!*has_record) break;
            if (const auto folded = fold(one); !folded) {
                return std::unexpected("the record at offset " + std::to_string(one.offset.value) +
                                       " is not of this version of dlog: " + folded.error());
            }
        }
        next = reader->header().next_offset();
    }
    return next;
}

}  // namespace

port::Task<std::expected<void, std::string>> replay_log(Core& core, replication::PartitionPtr log,
                                                        RecordFolder fold) {
    // Not the core's own scratch: this waits while others use that.
    record::ReaderScratch scratch;
    Offset next = log->log_start_offset();
    while (next < log->high_watermark()) {
        const replication::ReadRequest request{
            .from = next, .max_bytes = kReplayBytes, .at_least_one = true};
        auto read = log->read_now(request);
        if (!read) read = co_await log->read(request);
        if (!*read) {
            co_return std::unexpected("it cannot be read at offset " + std::to_string(next.value) +
                                      ": " + std::string(replication::error_name(read->error())));
        }
        auto bytes = co_await gather(core, **std::move(read));
        if (!bytes) co_return std::unexpected("it cannot be read: " + bytes.error());
        DLOG_CO_TRY_ASSIGN(const Offset after, fold_batches(bytes->view(), scratch, fold));
        if (after <= next) {
            co_return std::unexpected("it does not go on at offset " + std::to_string(next.value));
        }
        next = after;
        co_await port::yield(core.ports.spawn);
    }
    co_return {};
}

}  // namespace dlog::broker
