/// Makes a log from what is on the disk: trusts what the checkpoint vouches for, reads only what
/// may be torn, and says what it found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/checkpoint.h"
#include "storage/error.h"
#include "storage/file_fetch.h"
#include "storage/index.h"
#include "storage/log_config.h"
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

struct RecoveredLog {
    LogImage image;
    SegmentIndex active_index{Offset{0}};
    bool has_active_file = false;
    /// To be performed before the log is used.
    std::vector<WriteStep> repairs;
    /// Segments whose bytes may not be on stable storage yet. Sync them (and the folder), and write
    /// a checkpoint, before the log is used: what was read may otherwise still vanish.
    std::vector<Offset> unsynced_segments;
    std::vector<Damage> damages;  ///< for Log::verified().note_damage
    std::vector<RecoveryNote> notes;
    std::uint64_t scanned_bytes = 0;
};

struct RecoveryInput {
    LogConfig config;
    Timestamp now;
    /// The contents of log.checkpoint; nothing when there is none.
    std::optional<ByteView> checkpoint;
    /// The folder's entries; nothing when the driver did not list it, which is allowed when there
    /// is a checkpoint: then the files of sealed segments are not missed before they are read.
    std::optional<std::vector<std::string>> names;
};

/// Usage: while (need()) read and feed; then finish(). Does not read the segments that a good
/// checkpoint vouches for, whatever their number.
class Recovery {
  public:
    explicit Recovery(RecoveryInput input);

    /// True when the input cannot be served without a listing: there is no good checkpoint.
    [[nodiscard]] bool needs_names() const { return needs_names_; }
    void set_names(std::vector<std::string> names);

    [[nodiscard]] std::optional<NeedBytes> need() const;
    /// The bytes asked for; fewer mean that the file ends there.
    void feed(ByteView bytes);
    /// There is no such file.
    void feed_missing();
    /// The device refuses to read it.
    void feed_unreadable();
    [[nodiscard]] RecoveredLog finish();
};

}  // namespace dlog::storage
