#include "client/committed.h"

#include <algorithm>

#include "base/assert.h"
#include "base/result.h"
#include "record/reader.h"

namespace dlog::client {

namespace {

/// The types of control records (KIP-98): of others, as of the version, a reader thinks nothing.
constexpr std::uint16_t kAbortMarker = 0;
/// A control record's key: version, type, 16 bits each.
constexpr std::size_t kMarkerKeySize = 4;

/// Whether a control batch ends a transaction without effect. Compaction may have emptied it.
record::Result<bool> is_abort(ByteView batch) {
    record::ReaderScratch scratch;
    DLOG_TRY_ASSIGN(auto reader, record::BatchReader::open(batch, scratch));
    record::Record marker;
    DLOG_TRY_ASSIGN(const bool has_marker, reader.next(marker));
    if (!has_marker) return false;
    if (!marker.key || marker.key->size() < kMarkerKeySize) {
        return unexpected(record::Error::kCorruptRecord);
    }
    return load_big_endian<std::uint16_t>(marker.key->data() + 2) == kAbortMarker;
}

}  // namespace

record::Result<bool> AbortedTransactions::must_skip(const record::BatchHeader& header,
                                                    ByteView batch) {
    DLOG_ASSERT(batch.size() == header.size_bytes(), batch.size(), header.size_bytes());
    if (!std::exchange(is_sorted_, true)) std::ranges::sort(begun_);
    for (; next_ < begun_.size() && begun_[next_].first <= header.last_offset(); ++next_) {
        aborted_.insert(begun_[next_].second);
    }
    if (header.is_control()) {
        DLOG_TRY_ASSIGN(const bool ends_aborted, is_abort(batch));
        if (ends_aborted) aborted_.erase(header.producer_id);
        return true;
    }
    return header.is_transactional() && aborted_.contains(header.producer_id);
}

}  // namespace dlog::client
