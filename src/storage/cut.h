/// What a log was at an earlier offset, so that it can be cut off there (Raft: another history
/// takes the place of what no quorum has).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/checkpoint.h"
#include "storage/index.h"
#include "storage/log_config.h"
#include "storage/producers.h"
#include "storage/scanner.h"
#include "storage/segment.h"

namespace dlog::storage {

/// The end of a log as it is after a cut.
struct LogCut {
    Segment active;  ///< the segment that is cut; its end is the log's
    Timestamp active_first_timestamp = kNoTimestamp;
    /// Of `active`, from its beginning or from where the scan began on.
    SegmentIndex index{Offset{0}};
    ProducerMap producers;
    [[nodiscard]] Offset end() const { return active.end_offset; }
};

/// Finds the LogCut at an offset by reading what lies before it: from the checkpoint on, or all of
/// the log where the checkpoint is of a later moment. Usage: while (need()) read and feed; then
/// `finish`, unless there is `damage`.
class CutScan {
  public:
    /// `segments` are those of the log, which begins at or before `end`; what they hold before it
    /// has been written. `checkpoint` is one that the log went through, or null. Producers that
    /// only it knows are forgotten when it is of no use.
    CutScan(std::span<const Segment> segments, const LogImage* checkpoint, Offset end,
            const LogConfig& config, Timestamp now);

    [[nodiscard]] std::optional<NeedBytes> need() const;
    /// The bytes asked for; fewer mean that the file ends there.
    void feed(ByteView bytes);
    /// There is no such file, or it cannot be read.
    void feed_unreadable(DamageReason reason);
    /// Where the batches before `end` cannot be read up to it, so that it cannot be found.
    [[nodiscard]] const std::optional<Damage>& damage() const { return damage_; }
    /// The log up to `end`, or to the beginning of the batch that it lies in.
    [[nodiscard]] LogCut finish();

  private:
    void scan_segment();
    void next_segment();
    void drain();
    void apply(const SegmentScanner::Batch& batch);
    [[nodiscard]] bool is_last() const { return at_ + 1 == segments_.size(); }

    std::vector<Segment> segments_;  ///< from the first to read to the one that is cut
    Offset end_;
    std::int64_t index_interval_bytes_;
    Timestamp now_;
    std::size_t at_ = 0;
    std::optional<SegmentScanner> scanner_;  ///< none at the end
    std::optional<Damage> damage_;
    ProducerTable producers_;
    LogCut cut_;
};

}  // namespace dlog::storage
