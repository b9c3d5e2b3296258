#include "protocol/writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace dlog::protocol {

namespace {

constexpr std::size_t kStringSizeMax = 32767;
constexpr std::size_t kSizeMax = 0x7ffffffe;
constexpr std::size_t kTagsMax = 127;

std::size_t varint_size(std::uint32_t value) {
    return (static_cast<std::size_t>(std::bit_width(value | 1U)) + 6) / 7;
}

void store_varint(std::uint8_t* at, std::uint32_t value) {
    while (value >= 0x80) {
        *at++ = static_cast<std::uint8_t>(value | 0x80);
        value >>= 7;
    }
    *at = static_cast<std::uint8_t>(value);
}

}  // namespace

Writer::Writer(std::size_t capacity)
    : buffer_(Buffer::allocate(std::max<std::size_t>(capacity, 16))) {}

Buffer Writer::take() {
    Buffer result = buffer_.slice(0, size_);
    *this = Writer(0);
    return result;
}

void Writer::fail(Fault fault, std::string_view field) {
    DLOG_ASSERT(fault != Fault::kNone);
    if (ok()) error_ = {.fault = fault, .position = size_, .field = field};
}

Result<void> Writer::finish() const {
    if (!ok()) return std::unexpected(error_);
    return {};
}

void Writer::grow(std::size_t size) {
    Buffer larger = Buffer::allocate(std::max(buffer_.size() * 2, size_ + size));
    if (size_ > 0) std::memcpy(larger.mutable_data(), buffer_.data(), size_);
    buffer_ = std::move(larger);
    DLOG_ASSERT(buffer_.size() - size_ >= size, buffer_.size(), size_, size);
}

void Writer::append(ByteView bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
}

std::size_t Writer::begin_frame() {
    write(std::int32_t{0});
    return total_size();
}

void Writer::end_frame(std::size_t begin) {
    // A frame begins before its first splice, so `begin` is a position in the buffer too.
    DLOG_ASSERT(begin >= 4 && begin <= size_, begin, size_);
    const std::size_t size = total_size() - begin;
    if (size > kSizeMax) return fail(Fault::kTooLong);
    store_big_endian(buffer_.mutable_data() + begin - 4, static_cast<std::int32_t>(size));
}

void Writer::write(double value) {
    write(std::bit_cast<std::uint64_t>(value));
}

void Writer::write(TopicId value) {
    write(value.high);
    write(value.low);
}

void Writer::unsigned_varint(std::uint32_t value) {
    store_varint(extend(varint_size(value)), value);
}

void Writer::count(std::size_t size, bool compact) {
    if (size > kSizeMax) return fail(Fault::kTooLong);
    if (compact) return unsigned_varint(static_cast<std::uint32_t>(size) + 1);
    write(static_cast<std::int32_t>(size));
}

void Writer::null(bool compact, bool may_be_null) {
    if (!may_be_null) return fail(Fault::kUnexpectedNull);
    if (compact) return write(std::uint8_t{0});
    write(std::int32_t{-1});
}

void Writer::string(std::string_view value, bool compact) {
    if (value.size() > kStringSizeMax) return fail(Fault::kTooLong);
    if (compact) {
        unsigned_varint(static_cast<std::uint32_t>(value.size()) + 1);
    } else {
        write(static_cast<std::int16_t>(value.size()));
    }
    append(as_bytes(value));
}

void Writer::string(const std::optional<std::string>& value, bool compact, bool may_be_null) {
    if (value) return string(*value, compact);
    if (compact || !may_be_null) return null(compact, may_be_null);
    write(std::int16_t{-1});
}

void Writer::bytes(ByteView value, bool compact) {
    count(value.size(), compact);
    append(value);
}

void Writer::bytes(const std::optional<Bytes>& value, bool compact, bool may_be_null) {
    if (value) return bytes(*value, compact);
    null(compact, may_be_null);
}

void Writer::records(const Records& value, bool compact, bool may_be_null) {
    if (value.is_null()) return null(compact, may_be_null);
    if (!value.is_external()) return bytes(value.view(), compact);
    count(value.size(), compact);
    if (value.size() == 0) return;
    splices_.push_back({.position = size_, .size = value.size(), .token = value.token()});
    spliced_size_ += value.size();
}

std::size_t Writer::begin_tags() {
    no_tags();
    return size_ - 1;
}

std::size_t Writer::begin_tag(std::size_t tags, std::uint32_t tag) {
    std::uint8_t& number = buffer_.mutable_data()[tags];
    DLOG_ASSERT(number < kTagsMax, number);
    ++number;
    unsigned_varint(tag);
    write(std::uint8_t{0});  // The field's size, which end_tag fills in.
    return size_;
}

void Writer::end_tag(std::size_t begin) {
    DLOG_ASSERT(begin > 0 && begin <= size_, begin, size_);
    DLOG_ASSERT(splices_.empty() || splices_.back().position <= begin);
    const std::size_t size = size_ - begin;
    if (size > kSizeMax) return fail(Fault::kTooLong);
    const auto narrow_size = static_cast<std::uint32_t>(size);
    const std::size_t more = varint_size(narrow_size) - 1;
    if (more > 0) {
        static_cast<void>(extend(more));
        std::uint8_t* const field = buffer_.mutable_data() + begin;
        std::memmove(field + more, field, size);
    }
    store_varint(buffer_.mutable_data() + begin - 1, narrow_size);
}

}  // namespace dlog::protocol
