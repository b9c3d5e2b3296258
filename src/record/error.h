/// What can be wrong with a record batch. The comment names the Kafka error code that a broker
/// answers with.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/result.h"

namespace dlog::record {

enum class Error : std::uint8_t {
    kTruncated,      ///< the bytes end inside the batch: CORRUPT_MESSAGE
    kBadLength,      ///< a length field that no batch can have: CORRUPT_MESSAGE
    kBadCrc,         ///< CORRUPT_MESSAGE
    kOldMagic,       ///< message formats 0 and 1, which Kafka 4 refuses: INVALID_RECORD
    kUnknownMagic,   ///< INVALID_RECORD
    kBadAttributes,  ///< an unknown codec, or bits that a client may not set: INVALID_RECORD
    kBadCount,       ///< the record count lies, or differs from the offset range: INVALID_RECORD
    /// the records' offset deltas are not 0, 1, 2 and so on, or batches do not continue each other:
    /// INVALID_RECORD
    kBadOffsets,
    kBadProducer,       ///< producer id, epoch and sequence that cannot go together: INVALID_RECORD
    kControlBatch,      ///< a client may not write control batches: INVALID_RECORD
    kCorruptRecord,     ///< a record's own lengths break its bounds: INVALID_RECORD
    kMissingKey,        ///< a record without key in a compacted topic: INVALID_RECORD
    kBadTimestampType,  ///< a client may not set LogAppendTime: INVALID_TIMESTAMP
    kTooLarge,          ///< above the limit on a batch's size: MESSAGE_TOO_LARGE
    kBadCompression,    ///< the compressed records cannot be read: CORRUPT_MESSAGE
    kBomb,              ///< above the limit on a batch's decompressed size: MESSAGE_TOO_LARGE
    kNoMemory,          ///< no working memory to decompress with: KAFKA_STORAGE_ERROR
};

[[nodiscard]] std::string_view error_text(Error error);

template <class T>
using Result = std::expected<T, Error>;

}  // namespace dlog::record
