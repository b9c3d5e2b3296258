/// Records as a producer gives them and as a consumer gets them. All of it views memory of others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dlog/time.h"

namespace dlog {

/// A key, a value or a header's value: a view of bytes, or null, which Kafka tells apart from
/// empty. Text, nullptr and what has `data()` and `size()` in bytes (a `std::string`, a
/// `std::vector<std::byte>`, a `std::span<const std::uint8_t>`) convert into it.
class Bytes {
  public:
    constexpr Bytes() = default;
    constexpr Bytes(const char* data, std::size_t size)
        : data_(data == nullptr ? "" : data), size_(size) {}
    // NOLINTBEGIN(google-explicit-constructor): made to convert
    constexpr Bytes(decltype(nullptr)) {}
    constexpr Bytes(const char* text) : Bytes(text, std::string_view(text).size()) {}
    template <class Range>
        requires requires(const Range& range) {
            range.size();
            requires sizeof(*range.data()) == 1;
        }
    constexpr Bytes(const Range& range)
        : Bytes(reinterpret_cast<const char*>(range.data()), range.size()) {}
    // NOLINTEND(google-explicit-constructor)

    [[nodiscard]] constexpr bool is_null() const { return data_ == nullptr; }
    [[nodiscard]] constexpr std::size_t size() const { return size_; }
    [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
    [[nodiscard]] constexpr const char* data() const { return data_; }
    /// Null is empty text.
    [[nodiscard]] constexpr std::string_view text() const { return {data_, size_}; }

  private:
    const char* data_ = nullptr;
    std::size_t size_ = 0;
};

struct Header {
    std::string_view key;
    Bytes value;
};

/// A view of headers that lie one after the other, as in an array or a vector.
///
///     const dlog::Header headers[] = {{"trace", "7f"}, {"origin", "web"}};
///     producer.send({.topic = "orders", .value = "paid", .headers = headers});
class HeaderList {
  public:
    constexpr HeaderList() = default;
    constexpr HeaderList(const Header* first, std::size_t count) : first_(first), count_(count) {}
    // NOLINTBEGIN(google-explicit-constructor): made to convert
    template <std::size_t count>
    constexpr HeaderList(const Header (&headers)[count]) : HeaderList(headers, count) {}
    template <class Range>
        requires requires(const Range& range, const Header* first) {
            first = range.data();
            range.size();
        }
    constexpr HeaderList(const Range& range) : HeaderList(range.data(), range.size()) {}
    // NOLINTEND(google-explicit-constructor)

    [[nodiscard]] constexpr const Header* begin() const { return first_; }
    [[nodiscard]] constexpr const Header* end() const { return first_ + count_; }
    [[nodiscard]] constexpr std::size_t size() const { return count_; }

  private:
    const Header* first_ = nullptr;
    std::size_t count_ = 0;
};

/// What a producer sends. What it views is copied before `send` returns.
///
///     producer.send({.topic = "orders", .key = "42", .value = "paid"});
struct ProducerRecord {
    std::string_view topic;
    Bytes key = {};
    Bytes value = {};
    HeaderList headers = {};
    /// -1: the producer's partitioner chooses.
    std::int32_t partition = -1;
    /// Not set: now.
    TimePoint timestamp = {};
};

/// The headers of a record that was consumed, decoded one by one.
///
///     for (dlog::Headers rest = record.headers; rest.count() > 0;) use(rest.next());
class Headers {
  public:
    Headers() = default;
    /// Of the library: `count` headers that were checked, in `size` bytes from `at` on.
    Headers(const std::uint8_t* at, std::uint32_t size, std::uint32_t count)
        : at_(at), size_(size), left_(count) {}
    /// How many `next` has still to give.
    [[nodiscard]] std::uint32_t count() const { return left_; }
    /// The next one; count() is above 0.
    Header next();

  private:
    const std::uint8_t* at_ = nullptr;
    std::uint32_t size_ = 0;
    std::uint32_t left_ = 0;
};

/// What a consumer gets. It views memory of the `Records` that it came with.
struct Record {
    std::string_view topic;
    std::int64_t offset = -1;
    TimePoint timestamp;
    Bytes key;
    Bytes value;
    Headers headers;
    std::int32_t partition = -1;
};

}  // namespace dlog
