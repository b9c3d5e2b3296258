/// Any bytes as the end of a segment, with a good checkpoint and without one, or as the checkpoint
/// itself: recovery survives them, accepts nothing that is damaged, never touches what the
/// checkpoint vouches for, and a second recovery finds what the first one left. A batch whose CRC
/// does not fit is given one that does when the first byte is odd, so that the fuzzer reaches what
/// lies behind.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "storage/batches.h"
#include "storage/log.h"
#include "storage/recovery.h"

using namespace dlog;
using namespace dlog::storage;

namespace {

using Bytes = std::vector<std::uint8_t>;
using Files = std::map<Offset, Bytes>;

RecoveredLog recover(const Files& files, std::optional<ByteView> checkpoint) {
    RecoveryInput input{.now = Timestamp{1}, .checkpoint = checkpoint};
    for (const auto& [base, bytes] : files) {
        input.names.push_back(segment_file_name(base, FileKind::kLog));
    }
    Recovery recovery(input);
    while (const auto need = recovery.need()) {
        const auto file = files.find(need->segment);
        if (file == files.end()) {
            recovery.feed_missing();
            continue;
        }
        const std::size_t size = file->second.size();
        const std::size_t begin = std::min<std::size_t>(need->position, size);
        const std::size_t length = std::min(need->size_bytes, size - begin);
        const Bytes part(file->second.begin() + static_cast<std::ptrdiff_t>(begin),
                         file->second.begin() + static_cast<std::ptrdiff_t>(begin + length));
        recovery.feed(part);
    }
    return recovery.finish();
}

void repair(Files& files, const std::vector<WriteStep>& steps) {
    for (const WriteStep& step : steps) {
        if (const auto* cut = std::get_if<TruncateSegment>(&step)) {
            Bytes& file = files.at(cut->segment);
            DLOG_ASSERT(cut->size_bytes <= file.size(), cut->size_bytes, file.size());
            file.resize(cut->size_bytes);
        } else if (const auto* remove = std::get_if<RemoveSegment>(&step)) {
            files.erase(remove->segment);
        } else if (const auto* aside = std::get_if<SetAsideSegment>(&step)) {
            files.erase(aside->segment);
        }
    }
}

/// Every offset of the log lies in an intact batch or in damage that was reported.
void check_contents(const RecoveredLog& recovered, const Files& files) {
    const auto& segments = recovered.image.segments;
    DLOG_ASSERT(!segments.empty());
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const Segment& segment = segments[i];
        DLOG_ASSERT(segment.end_offset >= segment.base_offset, segment.end_offset);
        if (i > 0) DLOG_ASSERT(segments[i - 1].end_offset <= segment.base_offset, i);
        if (segment.is_empty()) continue;
        const Bytes& file = files.at(segment.base_offset);
        DLOG_ASSERT(file.size() >= segment.size_bytes, file.size(), segment.size_bytes);
        IndexEntry at{segment.base_offset, 0};
        while (at.position < segment.size_bytes) {
            const ByteView rest =
                ByteView(file).subspan(at.position, segment.size_bytes - at.position);
            const Verified intact = verify_range(rest, at.offset);
            at = {intact.next_offset, at.position + intact.size_bytes};
            if (at.position == segment.size_bytes) break;
            const auto damage =
                std::ranges::find_if(recovered.damages, [&](const Damage& candidate) {
                    return candidate.segment == segment.base_offset &&
                           candidate.position <= at.position &&
                           candidate.end_position > at.position;
                });
            DLOG_ASSERT(damage != recovered.damages.end(), at.position);
            at = {damage->next_offset, damage->end_position};
        }
        DLOG_ASSERT(at.offset == segment.end_offset, at.offset, segment.end_offset);
    }
}

void recover_twice(Files files, std::optional<ByteView> checkpoint) {
    RecoveredLog first = recover(files, checkpoint);
    repair(files, first.repairs);
    check_contents(first, files);
    const Log log(LogConfig{}, first.image, first.active_index, first.has_active_file, 1);
    const Buffer saved = encode_checkpoint(first.image);
    DLOG_ASSERT(decode_checkpoint(saved.view()).has_value());
    const RecoveredLog second = recover(files, saved.view());
    DLOG_ASSERT(second.image.segments == first.image.segments);
    DLOG_ASSERT(second.image.epochs == first.image.epochs);
    DLOG_ASSERT(second.image.producers == first.image.producers);
    DLOG_ASSERT(second.repairs.empty() && second.scanned_bytes == 0, second.scanned_bytes);
}

/// Makes the CRCs of the batches true as far as their lengths lead.
void make_crcs_true(Bytes& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
        const auto header = record::read_batch_header(ByteView(bytes).subspan(at));
        if (!header || header->size_bytes() > bytes.size() - at) return;
        const ByteView batch = ByteView(bytes).subspan(at, header->size_bytes());
        store_big_endian(bytes.data() + at + record::kCrcAt,
                         codec::crc32c(batch.subspan(record::kCrcCoversFrom)));
        at += batch.size();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::uint8_t mode = data[0];
    Bytes bytes(data + 1, data + size);
    if ((mode & 1) != 0) make_crcs_true(bytes);

    if ((mode & 2) != 0) {
        // As a checkpoint: whatever is accepted is encoded the same again.
        const auto image = decode_checkpoint(bytes);
        if (image) {
            DLOG_ASSERT(std::ranges::equal(encode_checkpoint(*image).view(), ByteView(bytes)));
        }
        static_cast<void>(SegmentIndex::decode(bytes, bytes));
        return 0;
    }
    // As one segment, or cut in two at a place that the mode chooses.
    Files files;
    const std::size_t cut = bytes.size() * (mode >> 4) / 16;
    const Verified head = verify_range(ByteView(bytes).first(cut), Offset{0});
    files[Offset{0}] = Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    if (cut < bytes.size() && (mode & 4) != 0 && head.next_offset > Offset{0}) {
        files[head.next_offset] =
            Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(cut), bytes.end());
    } else {
        files[Offset{0}] = bytes;
    }
    recover_twice(files, std::nullopt);
    recover_twice(files, ByteView(&mode, 1));  // A damaged checkpoint.
    const Buffer checkpoint = encode_checkpoint(empty_image());
    recover_twice(files, checkpoint.view());
    return 0;
}
