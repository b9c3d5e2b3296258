#include "broker/errors.h"

#include "base/assert.h"

namespace dlog::broker {

using protocol::ErrorCode;

ErrorCode error_code_of(replication::Error error) {
    using replication::Error;
    switch (error) {
        // Clients look for the leader again and retry: the topic is gone, or the node is stopping.
        case Error::kClosed:
        case Error::kNotLeader:
            return ErrorCode::kNotLeaderOrFollower;
        case Error::kStorageFull:
        case Error::kReplaced:  // the partition keeps it to itself
        case Error::kStorageFailed:
            return ErrorCode::kKafkaStorageError;
        case Error::kOffsetOutOfRange:
            return ErrorCode::kOffsetOutOfRange;
        case Error::kCorrupt:
            return ErrorCode::kCorruptMessage;
        case Error::kOutOfOrderSequence:
            return ErrorCode::kOutOfOrderSequenceNumber;
        case Error::kFencedProducer:
            return ErrorCode::kInvalidProducerEpoch;
        case Error::kBatchTooLarge:
            return ErrorCode::kRecordListTooLarge;
        case Error::kEpochTooNew:
            return ErrorCode::kUnknownLeaderEpoch;
        case Error::kTimedOut:
            return ErrorCode::kRequestTimedOut;
    }
    DLOG_UNREACHABLE();
}

ErrorCode error_code_of(record::Error error) {
    using record::Error;
    switch (error) {
        case Error::kTruncated:
        case Error::kBadLength:
        case Error::kBadCrc:
        case Error::kBadCompression:
            return ErrorCode::kCorruptMessage;
        case Error::kOldMagic:
        case Error::kUnknownMagic:
        case Error::kBadAttributes:
        case Error::kBadCount:
        case Error::kBadOffsets:
        case Error::kBadProducer:
        case Error::kControlBatch:
        case Error::kCorruptRecord:
        case Error::kMissingKey:
            return ErrorCode::kInvalidRecord;
        case Error::kBadTimestampType:
            return ErrorCode::kInvalidTimestamp;
        case Error::kTooLarge:
        case Error::kBomb:
            return ErrorCode::kMessageTooLarge;
        case Error::kNoMemory:
            return ErrorCode::kKafkaStorageError;
    }
    DLOG_UNREACHABLE();
}

}  // namespace dlog::broker
