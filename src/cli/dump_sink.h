/// How what `dlog log dump` finds is printed: as text for people or as JSON, an object a line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/segment_scan.h"
#include "storage/checkpoint.h"
#include "storage/index.h"

namespace dlog::record {
struct Record;
}

namespace dlog::cli {

struct DumpOptions;

/// What a segment's file had in it.
struct SegmentSum {
    std::uint64_t batches = 0;
    std::uint64_t records = 0;
    std::uint64_t size_bytes = 0;
    Offset next_offset;
};

class DumpSink {
  public:
    virtual ~DumpSink() = default;
    virtual void batch(const ScannedBatch& batch) = 0;
    virtual void record(const record::Record& record) = 0;
    /// Bytes that are no intact batches.
    virtual void damage(const ScannedDamage& damage) = 0;
    /// The rest of the last batch, whose CRC is good, cannot be read.
    virtual void unreadable_records(std::string_view reason) = 0;
    virtual void segment(const std::string& path, const SegmentSum& sum) = 0;
    virtual void index(const std::string& path, const storage::SegmentIndex& index) = 0;
    virtual void checkpoint(const std::string& path, const storage::LogImage& image) = 0;
    /// A file that is only good as a whole is not. `remedy`: what the node does about it.
    virtual void damaged_file(const std::string& path, std::string_view reason,
                              std::string_view remedy) = 0;
};

/// One that prints to standard output, until it goes away.
[[nodiscard]] std::unique_ptr<DumpSink> text_sink(const DumpOptions& options);
[[nodiscard]] std::unique_ptr<DumpSink> json_sink(const DumpOptions& options);

/// All of the index' entries, ascending.
[[nodiscard]] std::vector<storage::IndexEntry> entries_of(const storage::SegmentIndex& index);
/// In the order of their ids.
[[nodiscard]] std::vector<ProducerId> sorted_ids(const storage::ProducerMap& producers);

/// "none", "gzip", …
[[nodiscard]] std::string_view compression_text(codec::Compression compression);

}  // namespace dlog::cli
