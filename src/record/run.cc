#include "record/run.h"

#include <algorithm>
#include <utility>

#include "base/result.h"
#include "record/builder.h"

namespace dlog::record {

Result<BatchRun> split_run(const Buffer& bytes, Offset from, Offset end) {
    BatchRun run;
    BatchSplitter splitter(bytes.view());
    LeaderEpoch epoch{0};
    while (true) {
        DLOG_TRY_ASSIGN(const auto item, splitter.next());
        if (!item) break;
        const BatchHeader& header = item->header;
        const bool continues = run.empty()
                                   ? header.base_offset >= Offset{0} && header.base_offset <= from
                                   : header.base_offset == run.back().header.next_offset();
        // The last offset wraps where it overflows.
        if (!continues || header.next_offset() <= header.base_offset ||
            header.next_offset() > end || header.leader_epoch < epoch) {
            return unexpected(Error::kBadOffsets);
        }
        DLOG_TRY(verify_crc(item->bytes));
        epoch = header.leader_epoch;
        run.push_back({bytes.slice_of(item->bytes), header});
    }
    DLOG_TRY(trim_run(run, from));
    const Offset last = run.empty() ? from : run.back().header.next_offset();
    if (last != end) return unexpected(Error::kTruncated);
    return run;
}

Result<void> trim_run(BatchRun& run, Offset from) {
    const auto first = std::ranges::find_if(
        run, [&](const RunBatch& batch) { return batch.header.next_offset() > from; });
    run.erase(run.begin(), first);
    if (run.empty() || run.front().header.base_offset >= from) return {};
    const BatchHeader& header = run.front().header;
    if (header.record_count > 0 || header.has_producer()) return unexpected(Error::kBadOffsets);
    // Compaction lets one batch cover the offsets of many, which may have come here before.
    Buffer rest = make_empty_batch(from, header.next_offset(), header.leader_epoch);
    DLOG_TRY_ASSIGN(const BatchHeader rest_header, read_batch_header(rest.view()));
    run.front() = {std::move(rest), rest_header};
    return {};
}

}  // namespace dlog::record
