#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/random.h"
#include "base/time.h"

namespace dlog {
namespace {

TEST_CASE("big-endian stores read back and lie in network order") {
    std::array<std::uint8_t, 8> bytes{};
    store_big_endian<std::uint32_t>(bytes.data(), 0x01020304);
    CHECK(bytes[0] == 1);
    CHECK(bytes[3] == 4);
    CHECK(load_big_endian<std::uint32_t>(bytes.data()) == 0x01020304);
    store_big_endian<std::int64_t>(bytes.data(), -2);
    CHECK(load_big_endian<std::int64_t>(bytes.data()) == -2);
    store_little_endian<std::uint16_t>(bytes.data(), 0x0102);
    CHECK(bytes[0] == 2);
}

TEST_CASE("slices share one block and outlive the buffer they came from") {
    Buffer slice;
    {
        Buffer whole = Buffer::copy_of(as_bytes("hello, log"));
        slice = whole.slice(7, 3);
        CHECK(slice.shares_block_with(whole));
        const Buffer again = whole.slice_of(slice.view());
        CHECK(again.data() == slice.data());
    }
    CHECK(as_text(slice.view()) == "log");
    CHECK(slice.block_size() == 10);
    const Buffer moved = std::move(slice);
    CHECK(as_text(moved.view()) == "log");
    CHECK(Buffer().empty());
}

TEST_CASE(
    "the same seed gives the same numbers, and a fork does not disturb its parent's sequence of "
    "forks") {
    Random a(42);
    Random b(42);
    for (int i = 0; i < 100; ++i) CHECK(a.next() == b.next());
    Random fork_a = a.fork();
    Random fork_b = b.fork();
    (void)fork_a.next();
    CHECK(a.next() == b.next());
    (void)fork_b.next();
    CHECK(fork_a.next() == fork_b.next());
}

TEST_CASE("bounded draws stay within their bounds and reach both ends") {
    Random random(7);
    bool low = false;
    bool high = false;
    for (int i = 0; i < 1000; ++i) {
        const std::int64_t n = random.between(-3, 3);
        CHECK(n >= -3);
        CHECK(n <= 3);
        low |= n == -3;
        high |= n == 3;
    }
    CHECK(low);
    CHECK(high);
    CHECK_FALSE(random.chance(0, 10));
    CHECK(random.chance(10, 10));
}

TEST_CASE("ids compare and add within their own kind") {
    Offset offset{10};
    CHECK((offset + 5).since(offset) == 5);
    CHECK(++offset == Offset{11});
    CHECK(TopicId{}.is_zero());
    CHECK(IdHash{}(Offset{1}) != IdHash{}(Offset{2}));
}

TEST_CASE("time arithmetic keeps its units") {
    const Instant start{1000};
    CHECK((start + milliseconds(2)) - start == microseconds(2000));
    CHECK(seconds(1).ms() == 1000);
    CHECK(start < kNever);
}

TEST_CASE("log fields print numbers bare and text as text") {
    CHECK(LogField("n", 5).is_bare);
    CHECK(LogField("offset", Offset{7}).value == "7");
    CHECK_FALSE(LogField("path", "a/b").is_bare);
    CHECK(LogField("flag", true).value == "true");
    CHECK_FALSE(null_log().is_enabled(LogLevel::kError));
}

TEST_CASE("the edit distance counts insertions, deletions, replacements and swaps") {
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(edit_distance("node.di", "node.id") == 1);
    CHECK(edit_distance("same", "same") == 0);
    const std::string names[] = {"topic", "produce", "consume"};
    CHECK(nearest_name("prodcue", names) == "produce");
    CHECK(nearest_name("xyzzy", names).empty());
}

}  // namespace
}  // namespace dlog
