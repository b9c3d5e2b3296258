/// Why the log refused something. The comment names the Kafka error code that a broker answers
/// with.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/result.h"

namespace dlog::storage {

enum class Error : std::uint8_t {
    kOffsetOutOfRange,      ///< below the log start or above the log end: OFFSET_OUT_OF_RANGE
    kOutOfOrderSequence,    ///< a gap in a producer's sequence: OUT_OF_ORDER_SEQUENCE_NUMBER
    kInvalidProducerEpoch,  ///< a newer epoch of the producer has written: INVALID_PRODUCER_EPOCH
    kBatchTooLarge,         ///< larger than segment.bytes: RECORD_LIST_TOO_LARGE
    kBadBatch,              ///< not one whole record batch: CORRUPT_MESSAGE
    kBadMagic,              ///< a file of another kind
    kBadVersion,            ///< a file from a newer version
    kBadChecksum,           ///< a file whose bytes were changed
    kBadLength,             ///< a file that was cut short or has bytes too many
    kBadContent,            ///< a file whose fields contradict each other
};

[[nodiscard]] std::string_view error_text(Error error);

template <class T>
using Result = std::expected<T, Error>;

}  // namespace dlog::storage
