/// Any bytes as a batch: header, splitter, validation and reader survive them and agree with each
/// other. The CRC is made true first, so that the fuzzer reaches what lies behind it.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "record/batch.h"
#include "record/builder.h"
#include "record/reader.h"
#include "record/validate.h"

using namespace dlog;
using namespace dlog::record;

namespace {

constexpr std::size_t kDecompressedBytesMax = std::size_t{1} << 20;

/// Whether the reader finds whole records, and whether their offsets are dense from the base.
struct Verdict {
    bool is_whole = false;
    bool is_dense = true;
    std::size_t payload_bytes = 0;
};

Verdict read_all(ByteView batch, ReaderScratch& scratch) {
    Verdict verdict;
    auto reader = BatchReader::open(batch, scratch);
    if (!reader) return verdict;
    Record record;
    for (std::int32_t index = 0;; ++index) {
        const Result<bool> more = reader->next(record);
        if (!more) return verdict;
        if (!*more) break;
        if (record.offset != reader->header().offset_at(index)) verdict.is_dense = false;
        if (record.key) verdict.payload_bytes += record.key->size();
        if (record.value) verdict.payload_bytes += record.value->size();
        while (record.headers.count() > 0)
            verdict.payload_bytes += record.headers.next().key.size();
    }
    verdict.is_whole = true;
    return verdict;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static ReaderScratch scratch{.decompressed_bytes_max = kDecompressedBytesMax};
    static codec::Decompressor decompressor;
    std::vector<std::uint8_t> bytes(data, data + size);
    if (bytes.size() >= kBatchHeaderSize) {
        store_big_endian(bytes.data() + kBatchLengthAt,
                         static_cast<std::int32_t>(bytes.size() - kLogOverhead));
        store_big_endian(bytes.data() + kCrcAt,
                         codec::crc32c(ByteView(bytes).subspan(kCrcCoversFrom)));
    }
    const ProduceLimits limits{.decompressed_bytes_max = kDecompressedBytesMax};
    const auto checked = validate_for_produce(bytes, limits, decompressor);
    const Verdict verdict = read_all(bytes, scratch);
    if (checked) {
        DLOG_ASSERT(verdict.is_whole && verdict.is_dense);
        DLOG_ASSERT(verdict.payload_bytes <= checked->records_bytes);
        const auto again = recompress(bytes, Compression::kLz4, {}, scratch);
        DLOG_ASSERT(again.has_value());
    } else if (checked.error() == Error::kBadOffsets || checked.error() == Error::kCorruptRecord) {
        DLOG_ASSERT(!(verdict.is_whole && verdict.is_dense));
    }
    BatchSplitter splitter(ByteView(data, size));
    while (true) {
        const auto item = splitter.next();
        if (!item || !item->has_value()) break;
        (void)read_all((*item)->bytes, scratch);
    }
    return 0;
}
