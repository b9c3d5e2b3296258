/// The words for this room's errors, and the codec room's errors in this room's terms.
#include "record/error.h"

#include "base/assert.h"
#include "record/codec_error.h"

namespace dlog::record {

std::string_view error_text(Error error) {
    switch (error) {
        case Error::kTruncated:
            return "the bytes end inside the batch";
        case Error::kBadLength:
            return "the batch's length is impossible";
        case Error::kBadCrc:
            return "the batch's CRC does not match its bytes";
        case Error::kOldMagic:
            return "message formats 0 and 1 are not supported";
        case Error::kUnknownMagic:
            return "the batch's magic is unknown";
        case Error::kBadAttributes:
            return "the batch's attributes are not allowed";
        case Error::kBadCount:
            return "the batch's record count is untrue";
        case Error::kBadOffsets:
            return "the records' offsets are not consecutive";
        case Error::kBadProducer:
            return "the batch's producer id, epoch and sequence do not go together";
        case Error::kControlBatch:
            return "clients may not write control batches";
        case Error::kCorruptRecord:
            return "a record in the batch is malformed";
        case Error::kMissingKey:
            return "a compacted topic takes no record without a key";
        case Error::kBadTimestampType:
            return "clients may not set LogAppendTime";
        case Error::kTooLarge:
            return "the batch is larger than its limit";
        case Error::kBadCompression:
            return "the batch's compressed records cannot be read";
        case Error::kBomb:
            return "the batch's records decompress beyond their limit";
        case Error::kNoMemory:
            return "no memory to decompress the batch";
    }
    DLOG_UNREACHABLE();
}

Error from_codec(codec::Error error) {
    switch (error) {
        case codec::Error::kUnknownCodec:
            return Error::kBadAttributes;
        case codec::Error::kTruncated:
        case codec::Error::kCorrupt:
            return Error::kBadCompression;
        case codec::Error::kTooLarge:
            return Error::kBomb;
        case codec::Error::kNoMemory:
            return Error::kNoMemory;
    }
    DLOG_UNREACHABLE();
}

}  // namespace dlog::record
