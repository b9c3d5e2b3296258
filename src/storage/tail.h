/// The most recent batches of a partition in memory: what is still to be written, and what readers
/// at the end of the log are served from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "storage/index.h"
#include "storage/segment.h"

namespace dlog::storage {

/// What a reader asks for.
struct ReadRequest {
    Offset from;
    Offset limit;  ///< Only batches that end at or before it: the high watermark.
    std::size_t max_bytes = 0;
    bool at_least_one = false;  ///< The first batch whole even when larger (KIP-74).
    /// Also what lies before the log's start, as far as its segments are still there: a follower
    /// takes whole batches, and a start may lie within one.
    bool includes_deleted = false;
};

/// A contiguous piece of the log, in one or more segments. Small batches are copied into chunks, so
/// that many of them are one slice; large ones share the frame they came in. Bytes that a slice
/// given out covers never change. Owned by the partition's core; its bound is the caller's to
/// enforce by `evict`.
class Tail {
  public:
    explicit Tail(LogPosition begin) : begin_(begin), end_(begin) {}

    /// `batch` begins at end().
    void append(const Buffer& batch, Offset next_offset);
    /// The next batch goes to a new segment.
    void roll(Offset segment);
    /// Drops everything from `end` on; `end` is within the tail.
    void truncate(const LogPosition& end);
    /// Drops everything: the log goes on at `at`.
    void reset(const LogPosition& at);
    /// Drops the oldest pieces until `target_bytes` are held, none that reaches beyond `keep_from`.
    void evict(std::size_t target_bytes, Offset keep_from);

    [[nodiscard]] const LogPosition& begin() const { return begin_; }
    [[nodiscard]] const LogPosition& end() const { return end_; }
    /// The memory that the tail keeps alive.
    [[nodiscard]] std::size_t bytes_held() const { return bytes_held_; }

    /// The bytes of `segment` from `position` to the end of the tail or segment.
    [[nodiscard]] std::vector<Buffer> slices_from(Offset segment, std::uint64_t position) const;

    struct Read {
        std::vector<Buffer> parts;
        std::size_t size_bytes = 0;
        Offset first_offset;  ///< of the first batch, which may begin before the one asked for
        Offset next_offset;
    };
    /// Whole batches from the one with `request.from`, which is in the tail, on; all of one
    /// segment. `hint` is a batch of that segment at or before the wanted one, if one is known: it
    /// saves walking the batches before it.
    [[nodiscard]] Read read(const ReadRequest& request, std::optional<IndexEntry> hint) const;

  private:
    /// Batches one after the other in one block and one segment.
    struct Piece {
        Buffer block;  ///< the whole block of a chunk; of a shared frame, the batch
        Offset segment;
        std::uint64_t position = 0;
        Offset first_offset;
        Offset next_offset;
        std::size_t used_bytes = 0;
        bool is_open_chunk = false;
    };

    void push(Piece piece);
    void drop_back();
    [[nodiscard]] std::size_t find(Offset offset) const;

    LogPosition begin_;
    LogPosition end_;
    std::size_t bytes_held_ = 0;
    std::deque<Piece> pieces_;
};

}  // namespace dlog::storage
