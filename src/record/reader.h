/// Decodes the records of a batch over views of its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "codec/compression.h"
#include "record/batch.h"
#include "record/error.h"

namespace dlog::record {

struct RecordHeader {
    ByteView key;
    std::optional<ByteView> value;
};

/// A record's headers, already checked, decoded one by one.
class RecordHeaders {
  public:
    RecordHeaders() = default;
    RecordHeaders(ByteView bytes, std::uint32_t count) : rest_(bytes), left_(count) {}
    [[nodiscard]] std::uint32_t count() const { return left_; }
    /// The bytes of those that `next` has still to give.
    [[nodiscard]] ByteView bytes() const { return rest_; }
    /// The next header; count() is above 0.
    RecordHeader next();

  private:
    ByteView rest_;
    std::uint32_t left_ = 0;
};

/// Views live as long as the batch's bytes, or the reader's scratch when the batch is compressed.
struct Record {
    Offset offset;
    Timestamp timestamp;
    std::optional<ByteView> key;
    std::optional<ByteView> value;
    RecordHeaders headers;
};

/// Memory that readers of compressed batches decompress into, kept from batch to batch. Owned by
/// one core.
struct ReaderScratch {
    codec::Decompressor decompressor;
    std::vector<std::uint8_t> bytes;
    std::size_t decompressed_bytes_max = std::size_t{128} << 20;
};

/// Reads the records of one whole batch in order. It checks bounds, not the CRC.
class BatchReader {
  public:
    /// A compressed batch is decompressed here, into `scratch`, which then serves this reader
    /// alone.
    [[nodiscard]] static Result<BatchReader> open(ByteView batch, ReaderScratch& scratch);

    /// Decodes the next record into `record`; false after the last.
    [[nodiscard]] Result<bool> next(Record& record);
    [[nodiscard]] const BatchHeader& header() const { return header_; }

  private:
    BatchReader(const BatchHeader& header, ByteView records) : header_(header), rest_(records) {}

    BatchHeader header_;
    ByteView rest_;
    std::int32_t read_count_ = 0;
};

}  // namespace dlog::record
