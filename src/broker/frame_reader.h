/// Cuts a connection's byte stream into request frames (a length of four bytes, then that many
/// bytes) with few system calls and few copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

#include "base/buffer.h"
#include "broker/memory_budget.h"
#include "port/net.h"
#include "port/task.h"

namespace dlog::broker {

/// One request's bytes after the length. They share a block with their neighbours, or have one of
/// their own when they are many; then `memory` holds the core's budget for them.
struct Frame {
    Buffer bytes;
    MemoryBudget::Hold memory;
};

enum class FrameEnd : std::uint8_t {
    kFinished,   ///< The peer closed between two frames.
    kBroken,     ///< The peer went away within a frame, or the connection failed.
    kBadLength,  ///< A length below zero or above the limit: not Kafka's protocol.
};

/// Small frames are read many at a time into blocks of up to 64 KiB and handed out as slices. A
/// frame that does not fit gets a block of its own, which grows as its bytes arrive unless the peer
/// has sent one as large before: it makes this node hold at most four times what it has sent.
/// After a large frame the next length is read
/// alone, so that the frame's bytes land in place at once.
class FrameReader {
  public:
    static constexpr std::size_t kBlockBytesMin = 4 << 10;
    static constexpr std::size_t kBlockBytesMax = 64 << 10;
    static constexpr std::size_t kFirstStepBytes = 1 << 20;

    FrameReader(port::Connection& connection, MemoryBudget& budget, std::size_t frame_bytes_max)
        : connection_(connection), budget_(budget), frame_bytes_max_(frame_bytes_max) {}

    /// Bytes that another reader of the same stream has read and not handed out; comes first.
    void begin_with(Buffer unread);
    /// The bytes that were read and not handed out. No frame is being read.
    [[nodiscard]] Buffer take_unread();
    /// A frame that has been read already, without waiting.
    [[nodiscard]] bool take(Frame& frame);
    /// The next frame. `take` has just returned false.
    [[nodiscard]] port::Task<std::expected<Frame, FrameEnd>> next();

    [[nodiscard]] std::int32_t refused_bytes() const;
    /// The length that was refused, and the four bytes as text when they look like another
    /// protocol's.
    [[nodiscard]] std::string refused_length() const;
    /// True between a frame's first byte and its last.
    [[nodiscard]] bool is_within_frame() const { return unread() > 0 || is_reading_large_; }
    /// Reads done so far; a watchdog sees by it whether the peer still sends.
    [[nodiscard]] std::uint64_t reads() const { return reads_; }

  private:
    enum class Length : std::uint8_t { kUnknown, kKnown, kBad };
    [[nodiscard]] Length peek(std::size_t& length) const;
    [[nodiscard]] std::size_t unread() const { return end_ - begin_; }
    /// Makes room for at least one byte behind end_, and for a whole frame of `wanted` bytes.
    void make_room(std::size_t wanted);
    [[nodiscard]] port::Task<std::expected<Frame, FrameEnd>> next_large(std::size_t length);
    [[nodiscard]] port::Task<std::expected<void, FrameEnd>> read_some();
    [[nodiscard]] port::Task<std::expected<void, FrameEnd>> read_length_alone();

    port::Connection& connection_;
    MemoryBudget& budget_;
    std::size_t frame_bytes_max_;
    Buffer block_;
    std::size_t begin_ = 0;  // of the bytes in block_ that are not handed out yet
    std::size_t end_ = 0;
    std::size_t block_bytes_ = kBlockBytesMin;
    std::size_t first_step_bytes_ = kFirstStepBytes;  // of a large frame's own block
    bool last_was_large_ = false;
    bool is_reading_large_ = false;
    std::uint64_t reads_ = 0;
};

}  // namespace dlog::broker
