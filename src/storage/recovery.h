/// Makes a log from what is on the disk: trusts what the checkpoint vouches for, reads only what
/// may be torn, and says what it found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/checkpoint.h"
#include "storage/epochs.h"
#include "storage/error.h"
#include "storage/index.h"
#include "storage/log_config.h"
#include "storage/producers.h"
#include "storage/scanner.h"
#include "storage/segment.h"
#include "storage/write_plan.h"

namespace dlog::storage {

/// Something that recovery found and a human should know.
struct RecoveryNote {
    enum class Kind : std::uint8_t {
        kTornTail,           ///< `size_bytes` from `position` on were dropped: never acknowledged
        kDamage,             ///< below the recovery point: kept, and unreadable
        kMissingSegment,     ///< offsets that the checkpoint or the names around them promise
        kSetAside,           ///< a segment that cannot follow the log's end
        kLeftover,           ///< a segment that retention had dropped
        kForeignFile,        ///< not ours, left alone
        kCheckpointMissing,  ///< every segment is read
        kCheckpointDamaged,  ///< every segment is read
    };
    Kind kind = Kind::kForeignFile;
    std::string file;
    std::uint64_t position = 0;
    std::uint64_t size_bytes = 0;
    DamageReason reason = DamageReason::kBadHeader;
    /// kTornTail: intact batches follow the torn one. That is what a device does that writes pages
    /// out of order; but it may also be a bit that flipped in something acknowledged since the last
    /// checkpoint.
    bool has_intact_after = false;
};
[[nodiscard]] std::string_view recovery_note_text(RecoveryNote::Kind kind);

/// Bytes [begin, end) of a segment's .log.
struct UnsyncedPart {
    Offset segment;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

struct RecoveredLog {
    LogImage image;
    /// Of the active segment, from the recovery point (or the segment's beginning) on.
    SegmentIndex active_index{Offset{0}};
    bool has_active_file = false;
    /// To be performed before the log is used.
    std::vector<WriteStep> repairs;
    /// Indexes of segments that were read, or are none any longer: to be removed before the log is
    /// used, and the folder synced. They may tell of what was cut off or lost, and a segment that
    /// goes on growing may be sealed without being indexed anew.
    std::vector<RemoveIndexes> stale_indexes;
    /// What may not be on stable storage yet and could still vanish. Write it anew, then sync it
    /// and the folder, before the log is used: if an earlier process saw a sync of it fail, another
    /// sync alone would not write what the system's cache counts as written.
    std::vector<UnsyncedPart> unsynced;
    /// Something differs from the checkpoint: write a new one before the log is used.
    bool needs_checkpoint = false;
    /// The device refuses to read the log's end, so nobody knows where it is: do not use it.
    bool must_stay_offline = false;
    std::vector<Damage> damages;  ///< for Log::verified().note_damage
    std::vector<RecoveryNote> notes;
    std::uint64_t scanned_bytes = 0;
};

struct RecoveryInput {
    LogConfig config;
    Timestamp now;
    /// The contents of log.checkpoint; nothing when there is none.
    std::optional<ByteView> checkpoint;
    /// The folder's entries. They are needed with a good checkpoint too: a file that a failed write
    /// left behind must not be taken for what follows the log's end.
    std::vector<std::string> names;
};

/// Usage: while (need()) read and feed; then finish(). Does not touch
/// the segments that a good checkpoint vouches for, whatever their number.
///
/// Behind the recovery point the first invalid batch ends the log. Without a checkpoint nobody
/// knows what was acknowledged: then only what no intact batch follows is cut off, and all other
/// damage is kept and reported.
class Recovery {
  public:
    explicit Recovery(const RecoveryInput& input);

    [[nodiscard]] std::optional<NeedBytes> need() const;
    /// The bytes asked for; fewer mean that the file ends there.
    void feed(ByteView bytes);
    /// There is no such file.
    void feed_missing();
    /// The device refuses to read it.
    void feed_unreadable();
    [[nodiscard]] RecoveredLog finish();

  private:
    void take_names(const std::vector<std::string>& names);
    void begin_from_checkpoint();
    void begin_from_names();
    void check_names_against_checkpoint();
    void enter_segment(Offset base);
    void start_scan(Offset base);
    void drain();
    void apply(const SegmentScanner::Batch& batch);
    void note_damage(const Damage& damage);
    void end_of_tail_segment();
    void end_of_listed_segment();
    void end_of_last_listed_segment(const Segment& scanned);
    void lose_active(DamageReason reason);
    void leave_hole(Offset begin, Offset end);
    void set_aside_from(Offset base);
    void add_note(RecoveryNote::Kind kind, Offset segment, std::uint64_t position,
                  std::uint64_t size_bytes, DamageReason reason);
    [[nodiscard]] Segment& active() { return out_.image.segments.back(); }
    [[nodiscard]] bool is_listed(Offset base) const;
    [[nodiscard]] Offset next_listed(Offset base) const;

    LogConfig config_;
    Timestamp now_;
    bool has_checkpoint_ = false;
    bool is_checkpoint_damaged_ = false;
    std::vector<Offset> listed_;  ///< Base offsets of the .log files there are, ascending.
    std::set<Offset> indexed_;    ///< Base offsets of the index files there are.
    Offset first_read_{0};        ///< The checkpoint vouches for the segments before this one.
    RecoveredLog out_;
    EpochList epochs_;
    ProducerTable producers_;

    // The segment being read.
    std::optional<SegmentScanner> scanner_;
    SegmentIndex index_{Offset{0}};
    std::uint64_t batch_count_ = 0;
    /// Reading begins one byte early, to see that the file reaches the recovery point at all.
    bool is_probing_ = false;
    std::optional<Damage> first_damage_;
    std::optional<Damage> end_damage_;
    bool has_intact_after_damage_ = false;
};

}  // namespace dlog::storage
