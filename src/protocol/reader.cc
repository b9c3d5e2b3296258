#include "protocol/reader.h"

#include <bit>

#include "base/assert.h"

namespace dlog::protocol {

namespace {

/// Kafka refuses longer strings in both forms.
constexpr std::int64_t kStringSizeMax = 32767;
constexpr int kVarintSizeMax = 5;

}  // namespace

void Reader::fail(Fault fault) {
    DLOG_ASSERT(fault != Fault::kNone);
    if (ok()) error_ = {.fault = fault, .position = position(), .field = {}};
    at_ = end_;
}

Result<void> Reader::finish() {
    if (ok() && at_ != end_) fail(Fault::kTrailingBytes);
    if (!ok()) return std::unexpected(error_);
    return {};
}

void Reader::read(bool& out) {
    auto number = static_cast<std::uint8_t>(out);
    read(number);
    out = number != 0;
}

void Reader::read(double& out) {
    auto bits = std::bit_cast<std::uint64_t>(out);
    read(bits);
    out = std::bit_cast<double>(bits);
}

void Reader::read(TopicId& out) {
    if (remaining() < 16) return fail(Fault::kTruncated);
    read(out.high);
    read(out.low);
}

void Reader::unsigned_varint(std::uint32_t& out) {
    if (at_ != end_ && *at_ < 0x80) {
        out = *at_++;
        return;
    }
    std::uint64_t value = 0;
    for (int i = 0; i < kVarintSizeMax; ++i) {
        if (at_ == end_) return fail(Fault::kTruncated);
        const std::uint8_t byte = *at_++;
        value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            if (value > UINT32_MAX) return fail(Fault::kBadVarint);
            out = static_cast<std::uint32_t>(value);
            return;
        }
    }
    fail(Fault::kBadVarint);
}

std::int64_t Reader::length(bool compact, bool is_string) {
    if (compact) {
        std::uint32_t size_plus_one = 0;
        unsigned_varint(size_plus_one);
        return static_cast<std::int64_t>(size_plus_one) - 1;
    }
    if (is_string) {
        std::int16_t size = -1;
        read(size);
        return size;
    }
    std::int32_t size = -1;
    read(size);
    return size;
}

ByteView Reader::take(bool compact, bool is_string, bool may_be_null, bool& is_null) {
    const std::int64_t size = length(compact, is_string);
    is_null = true;
    if (!ok()) return {};
    if (size == -1) {
        if (!may_be_null) fail(Fault::kUnexpectedNull);
        return {};
    }
    if (size < 0 || (is_string && size > kStringSizeMax)) {
        fail(Fault::kBadLength);
        return {};
    }
    if (static_cast<std::size_t>(size) > remaining()) {
        fail(Fault::kTruncated);
        return {};
    }
    is_null = false;
    const ByteView result(at_, static_cast<std::size_t>(size));
    at_ += size;
    return result;
}

void Reader::string(std::string& out, bool compact) {
    bool is_null = false;
    const ByteView view = take(compact, true, false, is_null);
    if (!is_null) out.assign(as_text(view));
}

void Reader::string(std::optional<std::string>& out, bool compact, bool may_be_null) {
    bool is_null = false;
    const ByteView view = take(compact, true, may_be_null, is_null);
    out.reset();
    if (!is_null) out.emplace(as_text(view));
}

void Reader::bytes(Bytes& out, bool compact) {
    bool is_null = false;
    const ByteView view = take(compact, false, false, is_null);
    if (!is_null) out = view;
}

void Reader::bytes(std::optional<Bytes>& out, bool compact, bool may_be_null) {
    bool is_null = false;
    const ByteView view = take(compact, false, may_be_null, is_null);
    out.reset();
    if (!is_null) out.emplace(view);
}

void Reader::records(Records& out, bool compact, bool may_be_null) {
    bool is_null = false;
    const ByteView view = take(compact, false, may_be_null, is_null);
    out = is_null ? Records() : Records(view);
}

std::int64_t Reader::count(bool compact, bool may_be_null, std::size_t wire_size_min,
                           std::size_t memory_each) {
    DLOG_ASSERT(wire_size_min > 0);
    const std::int64_t size = length(compact, false);
    if (!ok()) return -1;
    if (size == -1) {
        if (!may_be_null) fail(Fault::kUnexpectedNull);
        return -1;
    }
    if (size < 0 || static_cast<std::size_t>(size) > remaining() / wire_size_min) {
        fail(Fault::kBadLength);
        return -1;
    }
    if (static_cast<std::size_t>(size) > memory_left_ / memory_each) {
        fail(Fault::kTooMuchMemory);
        return -1;
    }
    memory_left_ -= static_cast<std::size_t>(size) * memory_each;
    return size;
}

bool Reader::struct_is_there(bool may_be_null) {
    std::int8_t mark = -1;
    read(mark);
    if (!ok()) return false;
    if (mark < 0 && !may_be_null) fail(Fault::kUnexpectedNull);
    return mark >= 0;
}

void Reader::skip_tags() {
    TaggedFields fields(*this);
    while (fields.next()) fields.skip();
}

TaggedFields::TaggedFields(Reader& reader) : reader_(reader), end_of_frame_(reader.end_) {
    reader_.unsigned_varint(left_);
    // The walk below begins as if a field before the first had just been read to its end.
    if (reader_.ok()) reader_.end_ = reader_.at_;
}

bool TaggedFields::next() {
    const bool is_consumed = reader_.at_ == reader_.end_;
    reader_.end_ = end_of_frame_;
    if (!reader_.ok()) {
        reader_.at_ = reader_.end_;
        return false;
    }
    if (!is_consumed) reader_.fail(Fault::kBadTag);
    if (left_ == 0 || !reader_.ok()) return false;
    --left_;
    std::uint32_t size = 0;
    reader_.unsigned_varint(tag_);
    reader_.unsigned_varint(size);
    if (reader_.ok() && size > reader_.remaining()) reader_.fail(Fault::kTruncated);
    if (!reader_.ok()) return false;
    reader_.end_ = reader_.at_ + size;
    return true;
}

}  // namespace dlog::protocol
