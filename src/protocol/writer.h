/// Writes the wire's primitive types into one growing buffer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "protocol/error_code.h"
#include "protocol/types.h"

namespace dlog::protocol {

/// A place in the output where `size` bytes belong that were not copied into it: the caller sends
/// them there, between the bytes [0, position) and [position, …) of the buffer. Splices are in
/// ascending order of position.
struct Splice {
    std::size_t position = 0;
    std::size_t size = 0;
    std::uint32_t token = 0;

    bool operator==(const Splice&) const = default;
};

/// The output of one frame. The first fault sticks; what is written after it is meaningless, and
/// `finish` or the message's `encode` tells it.
class Writer {
  public:
    explicit Writer(std::size_t capacity = 256);

    [[nodiscard]] bool ok() const { return error_.fault == Fault::kNone; }
    [[nodiscard]] const Error& error() const { return error_; }
    /// The bytes written here, without what will be spliced in.
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] ByteView view() const { return {buffer_.data(), size_}; }
    [[nodiscard]] const std::vector<Splice>& splices() const { return splices_; }
    /// The bytes that go to the peer: those written here and those spliced in.
    [[nodiscard]] std::size_t total_size() const { return size_ + spliced_size_; }
    /// The written bytes as a slice of their block, leaving this writer empty.
    [[nodiscard]] Buffer take();
    void fail(Fault fault, std::string_view field = {});
    /// The outcome of everything written so far.
    [[nodiscard]] Result<void> finish() const;

    /// A frame is a length of four bytes and what follows it; `begin_frame` returns what
    /// `end_frame` needs.
    [[nodiscard]] std::size_t begin_frame();
    void end_frame(std::size_t begin);

    // Everything below is what generated encoders call. `compact` chooses the flexible versions'
    // form (KIP-482).

    template <class T>
        requires std::is_integral_v<T>
    void write(T value) {
        store_big_endian(extend(sizeof(T)), value);
    }
    void write(bool value) { write(static_cast<std::uint8_t>(value)); }
    void write(double value);
    void write(TopicId value);
    void write(ErrorCode value) { write(static_cast<std::int16_t>(value)); }
    void unsigned_varint(std::uint32_t value);

    void string(std::string_view value, bool compact);
    void string(const std::optional<std::string>& value, bool compact, bool may_be_null);
    void bytes(ByteView value, bool compact);
    void bytes(const std::optional<Bytes>& value, bool compact, bool may_be_null);
    void records(const Records& value, bool compact, bool may_be_null);

    template <class T>
    void array(const std::vector<T>& values, bool compact) {
        count(values.size(), compact);
        for (const T& value : values) {
            if constexpr (std::is_same_v<T, std::string>) {
                string(value, compact);
            } else {
                write(value);
            }
        }
    }
    template <class T>
    void array(const std::optional<std::vector<T>>& values, bool compact, bool may_be_null) {
        if (values) return array(*values, compact);
        null(compact, may_be_null);
    }

    template <class T>
    using Encode = void (*)(Writer&, std::int16_t version, const T&);

    template <class T>
    void structs(const std::vector<T>& values, bool compact, std::int16_t version,
                 std::type_identity_t<Encode<T>> encode) {
        count(values.size(), compact);
        for (const T& value : values) encode(*this, version, value);
    }
    template <class T>
    void structs(const std::optional<std::vector<T>>& values, bool compact, bool may_be_null,
                 std::int16_t version, std::type_identity_t<Encode<T>> encode) {
        if (values) return structs(*values, compact, version, encode);
        null(compact, may_be_null);
    }
    template <class T>
    void nullable_struct(const std::optional<T>& value, bool may_be_null, std::int16_t version,
                         std::type_identity_t<Encode<T>> encode) {
        if (!value && !may_be_null) return fail(Fault::kUnexpectedNull);
        write(static_cast<std::int8_t>(value ? 1 : -1));
        if (value) encode(*this, version, *value);
    }

    /// Tagged fields: `begin_tags`, then for each field that is not at its default, in ascending
    /// order, `begin_tag`, its value, `end_tag`. The values that the two begin functions return go
    /// into the calls that follow.
    [[nodiscard]] std::size_t begin_tags();
    [[nodiscard]] std::size_t begin_tag(std::size_t tags, std::uint32_t tag);
    void end_tag(std::size_t begin);
    void no_tags() { write(std::uint8_t{0}); }

  private:
    /// Makes room for `size` more bytes and returns where they go.
    [[nodiscard]] std::uint8_t* extend(std::size_t size) {
        if (buffer_.size() - size_ < size) [[unlikely]]
            grow(size);
        std::uint8_t* const at = buffer_.mutable_data() + size_;
        size_ += size;
        return at;
    }
    void grow(std::size_t size);
    void append(ByteView bytes);
    void count(std::size_t size, bool compact);
    void null(bool compact, bool may_be_null);

    Buffer buffer_;
    std::size_t size_ = 0;
    std::size_t spliced_size_ = 0;
    std::vector<Splice> splices_;
    Error error_;
};

}  // namespace dlog::protocol
