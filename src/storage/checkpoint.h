/// The file `log.checkpoint`: what a restart needs to know of a partition's log without reading its
/// segments. docs/formats/checkpoint.md describes every byte.
#pragma once

#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/epochs.h"
#include "storage/error.h"
#include "storage/producers.h"
#include "storage/segment.h"

namespace dlog::storage {

/// A log as of its recovery point: everything before that point is on stable storage, and the
/// states of producers and epochs are what the batches before it made them.
struct LogImage {
    Offset log_start_offset;
    /// In ascending order; the last one is the active segment, and its end_offset and size_bytes
    /// are the recovery point. Never empty.
    std::vector<Segment> segments;
    /// Timestamp of the active segment's first batch, for segment.ms.
    Timestamp active_first_timestamp = kNoTimestamp;
    /// The log ends at the recovery point: the node was stopped in order. For whoever looks at the
    /// file; recovery checks the end in any case.
    bool is_clean = false;
    std::vector<EpochStart> epochs;
    ProducerMap producers;
    /// Compaction has cleaned what lies before.
    Offset cleaned_to{0};
    /// The base of a segment that compaction has rewritten: its file may still have the name that
    /// swap_file_name gives it, and those that it takes the place of may still be there.
    std::optional<Offset> swapping;

    [[nodiscard]] LogPosition recovery_point() const {
        const Segment& active = segments.back();
        return {active.end_offset, active.base_offset, active.size_bytes};
    }
};

/// The image of a log that has never had a record.
[[nodiscard]] LogImage empty_image(Offset start_offset = Offset{0});

[[nodiscard]] Buffer encode_checkpoint(const LogImage& image);
/// Any changed, missing or surplus byte is an error.
[[nodiscard]] Result<LogImage> decode_checkpoint(ByteView file);

}  // namespace dlog::storage
