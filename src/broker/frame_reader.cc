#include "broker/frame_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "base/result.h"

namespace dlog::broker {

namespace {

constexpr std::size_t kLengthBytes = 4;

}  // namespace

FrameReader::Length FrameReader::peek(std::size_t& length) const {
    if (unread() < kLengthBytes) return Length::kUnknown;
    const auto value = load_big_endian<std::int32_t>(block_.data() + begin_);
    if (value < 0 || static_cast<std::size_t>(value) > frame_bytes_max_) return Length::kBad;
    length = static_cast<std::size_t>(value);
    return Length::kKnown;
}

void FrameReader::begin_with(Buffer unread) {
    DLOG_ASSERT(block_.empty() && reads_ == 0, reads_);
    end_ = unread.size();
    block_ = std::move(unread);
}

Buffer FrameReader::take_unread() {
    DLOG_ASSERT(!is_reading_large_);
    Buffer rest = block_.empty() ? Buffer() : block_.slice(begin_, unread());
    block_ = {};
    begin_ = 0;
    end_ = 0;
    return rest;
}

bool FrameReader::take(Frame& frame) {
    std::size_t length = 0;
    if (peek(length) != Length::kKnown || unread() < kLengthBytes + length) return false;
    frame.bytes = block_.slice(begin_ + kLengthBytes, length);
    frame.memory = {};
    begin_ += kLengthBytes + length;
    DLOG_ASSERT(begin_ <= end_, begin_, end_);
    last_was_large_ = false;
    return true;
}

port::Task<std::expected<Frame, FrameEnd>> FrameReader::next() {
    if (last_was_large_ && unread() == 0) DLOG_CO_TRY(co_await read_length_alone());
    while (true) {
        Frame frame;
        if (take(frame)) co_return frame;
        std::size_t length = 0;
        const Length known = peek(length);
        if (known == Length::kBad) co_return std::unexpected(FrameEnd::kBadLength);
        if (known == Length::kKnown && kLengthBytes + length > kBlockBytesMax) {
            co_return co_await next_large(length);
        }
        make_room(kLengthBytes + length);
        DLOG_CO_TRY(co_await read_some());
    }
}

void FrameReader::make_room(std::size_t wanted) {
    DLOG_ASSERT(wanted <= kBlockBytesMax, wanted);
    if (unread() == 0 && (block_.is_sole_slice() || block_.empty())) {
        begin_ = 0;
        end_ = 0;
    }
    const bool fits = block_.size() - begin_ >= wanted && end_ < block_.size();
    if (fits && (begin_ == 0 || block_.size() - end_ >= kBlockBytesMin / 4)) return;
    Buffer larger = Buffer::allocate(std::max(block_bytes_, std::bit_ceil(wanted)));
    if (unread() > 0) std::memcpy(larger.mutable_data(), block_.data() + begin_, unread());
    end_ = unread();
    begin_ = 0;
    block_ = std::move(larger);
}

port::Task<std::expected<void, FrameEnd>> FrameReader::read_some() {
    const MutableBytes room = block_.mutable_view().subspan(end_);
    auto count = co_await connection_.read(room);
    ++reads_;
    if (!count) co_return std::unexpected(FrameEnd::kBroken);
    if (*count == 0) {
        co_return std::unexpected(unread() == 0 ? FrameEnd::kFinished : FrameEnd::kBroken);
    }
    // A read that fills its block says that the peer sends more at a time than the block holds.
    if (*count == room.size()) block_bytes_ = std::min(block_bytes_ * 2, kBlockBytesMax);
    end_ += *count;
    co_return {};
}

port::Task<std::expected<void, FrameEnd>> FrameReader::read_length_alone() {
    make_room(kLengthBytes);
    while (unread() < kLengthBytes) {
        const MutableBytes room = block_.mutable_view().subspan(end_, kLengthBytes - unread());
        auto count = co_await connection_.read(room);
        ++reads_;
        if (!count) co_return std::unexpected(FrameEnd::kBroken);
        if (*count == 0) {
            co_return std::unexpected(unread() == 0 ? FrameEnd::kFinished : FrameEnd::kBroken);
        }
        end_ += *count;
    }
    co_return {};
}

port::Task<std::expected<Frame, FrameEnd>> FrameReader::next_large(std::size_t length) {
    Frame frame;
    is_reading_large_ = true;
    // The bytes that came with the length move into the frame's own block.
    const std::size_t have = std::min(unread() - kLengthBytes, length);
    frame.memory = co_await budget_.take(length);
    frame.bytes = Buffer::allocate(std::min(length, std::max(first_step_bytes_, have)));
    std::memcpy(frame.bytes.mutable_data(), block_.data() + begin_ + kLengthBytes, have);
    begin_ += kLengthBytes + have;
    for (std::size_t filled = have; filled < length;) {
        if (filled == frame.bytes.size()) {
            Buffer larger = Buffer::allocate(std::min(length, filled * 4));
            std::memcpy(larger.mutable_data(), frame.bytes.data(), filled);
            frame.bytes = std::move(larger);
        }
        auto count = co_await connection_.read(frame.bytes.mutable_view().subspan(filled));
        ++reads_;
        if (!count || *count == 0) co_return std::unexpected(FrameEnd::kBroken);
        filled += *count;
    }
    is_reading_large_ = false;
    last_was_large_ = true;
    first_step_bytes_ = std::max(first_step_bytes_, length);
    co_return frame;
}

std::int32_t FrameReader::refused_bytes() const {
    DLOG_ASSERT(unread() >= kLengthBytes, unread());
    return load_big_endian<std::int32_t>(block_.data() + begin_);
}

std::string FrameReader::refused_length() const {
    std::string text = std::to_string(refused_bytes());
    const std::uint8_t* at = block_.data() + begin_;
    const std::string_view start = as_text({at, kLengthBytes});
    for (const std::string_view method : {"GET ", "POST", "PUT ", "HEAD", "HTTP"}) {
        if (start == method) return text + " (this looks like HTTP)";
    }
    if (at[0] == 0x16 && at[1] == 0x03) return text + " (this looks like TLS)";
    return text;
}

}  // namespace dlog::broker
