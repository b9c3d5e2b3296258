/// A read of batches from a segment file, as a machine: it says which bytes it needs, and ends with
/// a stretch of the file that is known to be intact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/buffer.h"
#include "base/ids.h"
#include "storage/index.h"
#include "storage/log.h"
#include "storage/scanner.h"
#include "storage/segment.h"
#include "storage/verified.h"

namespace dlog::storage {

/// Whole intact batches. Empty when the first one ends after the limit, or is larger than max_bytes
/// and need not be served.
struct FileSlice {
    Offset segment;
    std::uint64_t position = 0;
    std::uint64_t size_bytes = 0;
    Offset first_offset;
    Offset next_offset;
    /// The same bytes when they had to be read; otherwise empty, and they go from file to socket.
    Buffer bytes;
};

/// Belongs to the partition's core. Keeps verified ranges, damage and boundaries that it learns in
/// the log's VerifiedRanges, which may change between the calls.
class FileFetch {
  public:
    /// `plan.index` is there: from the log, or loaded since. It may be null, but then everything is
    /// read.
    explicit FileFetch(FileRead plan);

    using Step = std::variant<NeedBytes, FileSlice, Damage>;
    /// What to do next: read bytes and `feed` them, or the end of the read.
    [[nodiscard]] Step next(VerifiedRanges& verified);
    /// The bytes asked for.
    void feed(Buffer bytes, VerifiedRanges& verified);

  private:
    enum class Phase : std::uint8_t { kStart, kLocate, kTake, kResync };

    void start(const VerifiedRanges& verified);
    void go_on(VerifiedRanges& verified);
    void want(std::uint64_t size_bytes);
    void search_from(IndexEntry at, const VerifiedRanges& verified);
    void locate(VerifiedRanges& verified);
    void begin_take(VerifiedRanges& verified);
    void take(VerifiedRanges& verified);
    void want_more(std::uint64_t needed, VerifiedRanges& verified);
    void begin_damage(IndexEntry at, DamageReason reason, VerifiedRanges& verified);
    void end_damage(IndexEntry end, VerifiedRanges& verified);
    void finish(std::uint64_t size_bytes, Offset next_offset, VerifiedRanges& verified);
    [[nodiscard]] std::optional<IndexEntry> end_of_unread(const VerifiedRanges& verified) const;
    [[nodiscard]] IndexEntry end() const;
    [[nodiscard]] IndexEntry next_entry(std::uint64_t position) const;

    FileRead plan_;
    Phase phase_ = Phase::kStart;
    IndexEntry at_;  ///< A batch begins here: at or before the wanted one, or where damage begins.
    std::optional<NeedBytes> need_;
    Buffer chunk_;           ///< From at_.position on.
    bool is_short_ = false;  ///< The file ends where chunk_ ends.
    Damage damage_;
    std::optional<Step> result_;
};

}  // namespace dlog::storage
