/// Frames out of a connection's bytes.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/buffer.h"
#include "consensus/raft/frame.h"
#include "port/net.h"
#include "port/task.h"

namespace dlog::peers {

struct Frame {
    consensus::raft::FrameHead head;
    Buffer text;
    Buffer records;

    [[nodiscard]] std::size_t size_bytes() const {
        return consensus::raft::kFrameHeadBytes + text.size() + records.size();
    }
};

enum class FrameFault : std::uint8_t {
    kFinished,            ///< The peer closed between two frames.
    kBroken,              ///< The connection failed, or ended within a frame.
    kMalformed,           ///< No frame of ours, above the bounds, or not what was sent.
    kUnsupportedVersion,  ///< Of a newer program.
};

[[nodiscard]] std::string_view frame_fault_name(FrameFault fault);

/// The most that a frame may bring; what is more is refused before it is read.
struct FrameBounds {
    std::uint32_t text_bytes = 0;
    std::uint32_t records_bytes = 0;
};

/// The next frame, its head and text as they were sent. A frame above 1 MiB gets memory as its
/// bytes arrive: at most four times what has come.
[[nodiscard]] port::Task<std::expected<Frame, FrameFault>> read_frame(port::Connection* connection,
                                                                      FrameBounds bounds);

}  // namespace dlog::peers
