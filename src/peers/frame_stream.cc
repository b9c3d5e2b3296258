#include "peers/frame_stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/result.h"

namespace dlog::peers {

namespace raft = consensus::raft;

namespace {

constexpr std::size_t kFirstStepBytes = std::size_t{1} << 20;

FrameFault fault_of(consensus::Error error) {
    return error == consensus::Error::kUnsupportedVersion ? FrameFault::kUnsupportedVersion
                                                          : FrameFault::kMalformed;
}

port::Task<std::expected<Buffer, FrameFault>> read_bytes(port::Connection* connection,
                                                         std::size_t size) {
    Buffer bytes = Buffer::allocate(std::min(size, kFirstStepBytes));
    for (std::size_t filled = 0; filled < size;) {
        if (filled == bytes.size()) {
            Buffer larger = Buffer::allocate(std::min(size, filled * 4));
            std::memcpy(larger.mutable_data(), bytes.data(), filled);
            bytes = std::move(larger);
        }
        const auto count = co_await connection->read(bytes.mutable_view().subspan(filled));
        if (!count || *count == 0) co_return std::unexpected(FrameFault::kBroken);
        filled += *count;
    }
    co_return bytes;
}

}  // namespace

std::string_view frame_fault_name(FrameFault fault) {
    switch (fault) {
        case FrameFault::kFinished:
            return "it closed the connection";
        case FrameFault::kBroken:
            return "the connection broke";
        case FrameFault::kMalformed:
            return "it sent what is no frame of a node";
        case FrameFault::kUnsupportedVersion:
            return "it speaks a newer version";
    }
    return "unknown fault";
}

port::Task<std::expected<Frame, FrameFault>> read_frame(port::Connection* connection,
                                                        FrameBounds bounds) {
    std::array<std::uint8_t, raft::kFrameHeadBytes> head{};
    const auto has_head = co_await port::read_exactly(*connection, head);
    if (!has_head) co_return std::unexpected(FrameFault::kBroken);
    if (!*has_head) co_return std::unexpected(FrameFault::kFinished);
    const auto decoded = raft::decode_frame_head(head);
    if (!decoded) co_return std::unexpected(fault_of(decoded.error()));
    if (decoded->text_bytes > bounds.text_bytes || decoded->records_bytes > bounds.records_bytes) {
        co_return std::unexpected(FrameFault::kMalformed);
    }
    Frame frame{.head = *decoded};
    DLOG_CO_TRY_ASSIGN(frame.text, co_await read_bytes(connection, decoded->text_bytes));
    // Before memory is given for records: a head that was changed on the way promises anything.
    if (!raft::is_intact(head, frame.text.view())) {
        co_return std::unexpected(FrameFault::kMalformed);
    }
    DLOG_CO_TRY_ASSIGN(frame.records, co_await read_bytes(connection, decoded->records_bytes));
    co_return frame;
}

}  // namespace dlog::peers
