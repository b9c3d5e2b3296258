/// The values that messages are made of where the standard library has no fitting one, and this
/// room's errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace dlog::protocol {

/// Bytes inside a frame, which outlives this view. Compared by content.
struct Bytes : ByteView {
    constexpr Bytes() = default;
    constexpr Bytes(ByteView view) : ByteView(view) {}  // NOLINT: as convertible as ByteView itself
    friend bool operator==(Bytes left, Bytes right) { return as_text(left) == as_text(right); }
};

/// A field of type `records`: record batches that this room neither copies nor looks into. Decoded,
/// it views the frame. To encode, it is a view, whose bytes are copied into the output, or
/// external: only its size is known here, and the Writer notes where the bytes belong (see Splice),
/// so that they can come from a shared Buffer or a file.
class Records {
  public:
    /// Null.
    Records() = default;
    Records(ByteView view) : view_(view), size_(view.size()), kind_(Kind::kView) {}  // NOLINT
    [[nodiscard]] static Records external(std::size_t size, std::uint32_t token) {
        Records result;
        result.size_ = size;
        result.token_ = token;
        result.kind_ = Kind::kExternal;
        return result;
    }

    [[nodiscard]] bool is_null() const { return kind_ == Kind::kNull; }
    [[nodiscard]] bool is_external() const { return kind_ == Kind::kExternal; }
    [[nodiscard]] std::size_t size() const { return size_; }
    /// The bytes; empty when null or external.
    [[nodiscard]] ByteView view() const { return view_; }
    /// What the caller of `external` named it.
    [[nodiscard]] std::uint32_t token() const { return token_; }

    friend bool operator==(const Records& left, const Records& right) {
        return left.kind_ == right.kind_ && left.size_ == right.size_ &&
               left.token_ == right.token_ && as_text(left.view_) == as_text(right.view_);
    }

  private:
    enum class Kind : std::uint8_t { kNull, kView, kExternal };
    ByteView view_;
    std::size_t size_ = 0;
    std::uint32_t token_ = 0;
    Kind kind_ = Kind::kNull;
};

/// What can be wrong with bytes to decode or with a message to encode.
enum class Fault : std::uint8_t {
    kNone,
    kTruncated,  ///< The bytes end inside a field.
    kBadLength,  ///< A length or count is negative, or more than the rest of the frame can hold.
    kBadVarint,  ///< A varint of more than five bytes, or of more than 32 bits.
    kUnexpectedNull,      ///< Null where this version of the message allows none.
    kBadTag,              ///< A tagged field's size differs from what the field takes.
    kTooMuchMemory,       ///< The decoded message would exceed the Reader's memory limit.
    kTrailingBytes,       ///< Bytes after the end of the message.
    kUnsupportedVersion,  ///< The schema has no such version.
    kFieldNotInVersion,   ///< To encode: a field is set that this version cannot carry.
    kTooLong,  ///< To encode: a string of more than 32767 bytes, or more than 2 GiB elsewhere.
};

[[nodiscard]] std::string_view fault_name(Fault fault);

struct Error {
    Fault fault = Fault::kNone;
    /// How many bytes of the input (or of the output) lie before the fault.
    std::size_t position = 0;
    /// The field that cannot be encoded, as "Message.field"; empty for faults of decoding.
    std::string_view field;

    bool operator==(const Error&) const = default;
    /// One line in plain words, for logs.
    [[nodiscard]] std::string text() const;
};

template <class T>
using Result = std::expected<T, Error>;

}  // namespace dlog::protocol
