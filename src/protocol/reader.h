/// Reads the wire's primitive types out of a frame, within bounds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "protocol/error_code.h"
#include "protocol/types.h"

namespace dlog::protocol {

/// A cursor over one frame, whose bytes outlive it and what is decoded from it. The first fault
/// sticks: from then on every read leaves its target as it was, so that decoders need not look
/// after each field. Limits: a count is checked against the bytes that are left before anything is
/// reserved, and all decoded elements together may take `memory_limit` bytes, since a hostile frame
/// can name elements that are larger in memory than on the wire.
class Reader {
  public:
    static constexpr std::size_t kDefaultMemoryLimit = std::size_t{256} << 20;

    explicit Reader(ByteView frame, std::size_t memory_limit = kDefaultMemoryLimit)
        : begin_(frame.data()),
          at_(frame.data()),
          end_(frame.data() + frame.size()),
          memory_left_(memory_limit) {}

    [[nodiscard]] bool ok() const { return error_.fault == Fault::kNone; }
    [[nodiscard]] const Error& error() const { return error_; }
    [[nodiscard]] std::size_t position() const { return static_cast<std::size_t>(at_ - begin_); }
    [[nodiscard]] std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
    [[nodiscard]] ByteView rest() const { return {at_, remaining()}; }
    /// A fault when bytes are left over, the outcome of everything read so far otherwise.
    [[nodiscard]] Result<void> finish();
    void fail(Fault fault);

    // Everything below is what generated decoders call. `compact` chooses the flexible versions'
    // form (KIP-482).

    template <class T>
        requires std::is_integral_v<T>
    void read(T& out) {
        if (remaining() < sizeof(T)) [[unlikely]]
            return fail(Fault::kTruncated);
        out = load_big_endian<T>(at_);
        at_ += sizeof(T);
    }
    void read(bool& out);
    void read(double& out);
    void read(TopicId& out);
    void read(ErrorCode& out) {
        auto number = static_cast<std::int16_t>(out);
        read(number);
        out = static_cast<ErrorCode>(number);
    }
    void unsigned_varint(std::uint32_t& out);

    void string(std::string& out, bool compact);
    void string(std::optional<std::string>& out, bool compact, bool may_be_null);
    void bytes(Bytes& out, bool compact);
    void bytes(std::optional<Bytes>& out, bool compact, bool may_be_null);
    void records(Records& out, bool compact, bool may_be_null);

    /// Arrays of scalars and of strings.
    template <class T>
    void array(std::vector<T>& out, bool compact) {
        elements(out, compact, false);
    }
    template <class T>
    void array(std::optional<std::vector<T>>& out, bool compact, bool may_be_null) {
        if (!elements(out.emplace(), compact, may_be_null)) out.reset();
    }

    template <class T>
    using Decode = void (*)(Reader&, std::int16_t version, T&);

    /// Arrays of structs, each of at least `wire_size_min` bytes.
    template <class T>
    void structs(std::vector<T>& out, bool compact, std::size_t wire_size_min, std::int16_t version,
                 std::type_identity_t<Decode<T>> decode) {
        each(out, count(compact, false, wire_size_min, sizeof(T)), version, decode);
    }
    template <class T>
    void structs(std::optional<std::vector<T>>& out, bool compact, bool may_be_null,
                 std::size_t wire_size_min, std::int16_t version,
                 std::type_identity_t<Decode<T>> decode) {
        const std::int64_t size = count(compact, may_be_null, wire_size_min, sizeof(T));
        out.reset();
        if (size >= 0) each(out.emplace(), size, version, decode);
    }
    /// A struct that may be null: a byte says which.
    template <class T>
    void nullable_struct(std::optional<T>& out, bool may_be_null, std::int16_t version,
                         std::type_identity_t<Decode<T>> decode) {
        out.reset();
        if (struct_is_there(may_be_null)) decode(*this, version, out.emplace());
    }

    void skip_tags();

  private:
    friend class TaggedFields;

    /// The number of elements, or -1 for null and for any fault.
    [[nodiscard]] std::int64_t count(bool compact, bool may_be_null, std::size_t wire_size_min,
                                     std::size_t memory_each);
    /// The length that stands before a string, bytes or array; -1 for null.
    [[nodiscard]] std::int64_t length(bool compact, bool is_string);
    [[nodiscard]] ByteView take(bool compact, bool is_string, bool may_be_null, bool& is_null);
    [[nodiscard]] bool struct_is_there(bool may_be_null);

    template <class T>
    void each(std::vector<T>& out, std::int64_t size, std::int16_t version, Decode<T> decode) {
        // Not resize, whose code for moving elements would be compiled for every struct.
        out = std::vector<T>(static_cast<std::size_t>(size > 0 ? size : 0));
        for (T& element : out) {
            decode(*this, version, element);
            if (!ok()) return;
        }
    }
    template <class T>
    bool elements(std::vector<T>& out, bool compact, bool may_be_null) {
        constexpr bool kIsString = std::is_same_v<T, std::string>;
        const std::size_t wire_size_min = kIsString ? (compact ? 1 : 2) : sizeof(T);
        const std::int64_t size = count(compact, may_be_null, wire_size_min, sizeof(T));
        out = std::vector<T>(static_cast<std::size_t>(size > 0 ? size : 0));
        if (size <= 0) return size == 0;
        for (T& element : out) {
            if constexpr (kIsString) {
                string(element, compact);
                if (!ok()) break;
            } else {
                read(element);
            }
        }
        return true;
    }

    const std::uint8_t* begin_;
    const std::uint8_t* at_;
    const std::uint8_t* end_;
    std::size_t memory_left_;
    Error error_;
};

/// Walks the tagged fields at the end of a flexible struct: `while (fields.next()) switch
/// (fields.tag()) …`. Inside the loop's body the Reader ends where the field ends; what the body
/// leaves unread of a known field is a fault.
class TaggedFields {
  public:
    explicit TaggedFields(Reader& reader);

    /// Moves to the next field; false after the last and after any fault.
    [[nodiscard]] bool next();
    [[nodiscard]] std::uint32_t tag() const { return tag_; }
    /// Passes over a field that this schema does not know.
    void skip() { reader_.at_ = reader_.end_; }

  private:
    Reader& reader_;
    const std::uint8_t* end_of_frame_;
    std::uint32_t left_ = 0;
    std::uint32_t tag_ = 0;
};

}  // namespace dlog::protocol
