#include "broker/frame_reader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"

namespace dlog::broker {
namespace {

/// Gives a prepared stream of bytes in pieces of at most `piece` bytes.
class Stream final : public port::Connection {
  public:
    Stream(std::vector<std::uint8_t> bytes, std::size_t piece)
        : bytes_(std::move(bytes)), piece_(piece) {}

    port::Task<port::NetResult<std::size_t>> read(MutableBytes into) override {
        const std::size_t count = std::min({into.size(), piece_, bytes_.size() - at_});
        if (count > 0) std::memcpy(into.data(), bytes_.data() + at_, count);
        at_ += count;
        ++reads;
        co_return count;
    }
    port::Task<port::NetResult<void>> write(std::vector<port::OutPart>) override {
        co_return port::NetResult<void>{};
    }
    void close() override {}
    void leave() override {}
    [[nodiscard]] const std::string& peer() const override { return peer_; }

    std::size_t reads = 0;

  private:
    std::vector<std::uint8_t> bytes_;
    std::size_t piece_;
    std::size_t at_ = 0;
    std::string peer_ = "test";
};

void append_frame(std::vector<std::uint8_t>& stream, std::size_t size, std::uint8_t fill) {
    const std::size_t at = stream.size();
    stream.resize(at + 4 + size, fill);
    store_big_endian(stream.data() + at, static_cast<std::int32_t>(size));
}

struct Outcome {
    std::vector<Frame> frames;
    FrameEnd end = FrameEnd::kBroken;
    std::string refused;
};

port::Task<void> read_all(FrameReader& reader, Outcome& outcome) {
    while (true) {
        Frame frame;
        if (reader.take(frame)) {
            outcome.frames.push_back(std::move(frame));
            continue;
        }
        auto next = co_await reader.next();
        if (!next) {
            outcome.end = next.error();
            if (outcome.end == FrameEnd::kBadLength) outcome.refused = reader.refused_length();
            co_return;
        }
        outcome.frames.push_back(*std::move(next));
    }
}

Outcome read_stream(Stream& stream, std::size_t frame_bytes_max) {
    MemoryBudget budget(std::size_t{1} << 30);
    FrameReader reader(stream, budget, frame_bytes_max);
    Outcome outcome;
    port::start_detached(read_all(reader, outcome));
    for (Frame& frame : outcome.frames) frame.memory = {};
    return outcome;
}

TEST_CASE("frames come out whole however the stream is cut") {
    Random random(7);
    for (const std::size_t piece : {1UL, 3UL, 1000UL, 70'000UL, 10'000'000UL}) {
        std::vector<std::uint8_t> bytes;
        std::vector<std::size_t> sizes;
        for (int i = 0; i < 60; ++i) {
            const std::size_t size = piece < 10     ? random.below(200)
                                     : i % 20 == 19 ? random.below(3'000'000)
                                                    : random.below(9'000);
            sizes.push_back(size);
            append_frame(bytes, size, static_cast<std::uint8_t>(i));
        }
        Stream stream(std::move(bytes), piece);
        const Outcome outcome = read_stream(stream, 100'000'000);
        CHECK(outcome.end == FrameEnd::kFinished);
        REQUIRE(outcome.frames.size() == sizes.size());
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            const ByteView frame = outcome.frames[i].bytes.view();
            REQUIRE(frame.size() == sizes[i]);
            CHECK(std::ranges::all_of(
                frame, [&](std::uint8_t b) { return b == static_cast<std::uint8_t>(i); }));
        }
    }
}

TEST_CASE("many small frames come in one read and share one block") {
    std::vector<std::uint8_t> bytes;
    for (int i = 0; i < 30; ++i) append_frame(bytes, 100, 1);
    Stream stream(std::move(bytes), 1 << 20);
    const Outcome outcome = read_stream(stream, 1000);
    REQUIRE(outcome.frames.size() == 30);
    CHECK(outcome.frames[0].bytes.shares_block_with(outcome.frames[29].bytes));
    CHECK(stream.reads == 2);
}

TEST_CASE("large frames one after another land in blocks of their own size") {
    std::vector<std::uint8_t> bytes;
    for (int i = 0; i < 4; ++i) append_frame(bytes, 1'000'000, 1);
    Stream stream(std::move(bytes), 1 << 20);
    const Outcome outcome = read_stream(stream, 2'000'000);
    REQUIRE(outcome.frames.size() == 4);
    for (const Frame& frame : outcome.frames) CHECK(frame.bytes.block_size() == 1'000'000);
}

TEST_CASE("a length below zero or above the limit ends the stream and is named") {
    std::vector<std::uint8_t> bytes;
    append_frame(bytes, 10, 1);
    bytes.insert(bytes.end(), {'G', 'E', 'T', ' ', '/', ' ', 'H'});
    Stream http(bytes, 1000);
    Outcome outcome = read_stream(http, 1000);
    CHECK(outcome.frames.size() == 1);
    CHECK(outcome.end == FrameEnd::kBadLength);
    CHECK(outcome.refused == "1195725856 (this looks like HTTP)");

    Stream negative({0xff, 0xff, 0xff, 0xff}, 1000);
    CHECK(read_stream(negative, 1000).end == FrameEnd::kBadLength);
    std::vector<std::uint8_t> limit;
    append_frame(limit, 1001, 1);
    Stream above(limit, 1000);
    CHECK(read_stream(above, 1000).end == FrameEnd::kBadLength);
    Stream at_limit(limit, 1000);
    CHECK(read_stream(at_limit, 1001).end == FrameEnd::kFinished);
}

TEST_CASE("a stream that ends inside a frame is broken, not finished") {
    for (const std::size_t size : {1UL, 4UL, 50UL, 103UL}) {
        std::vector<std::uint8_t> bytes;
        append_frame(bytes, 100, 1);
        bytes.resize(size);
        Stream stream(std::move(bytes), 1000);
        const Outcome outcome = read_stream(stream, 1000);
        CHECK(outcome.frames.empty());
        CHECK(outcome.end == FrameEnd::kBroken);
    }
}

TEST_CASE("a peer that announces much and sends little holds little memory") {
    std::vector<std::uint8_t> bytes;
    append_frame(bytes, 50'000'000, 1);
    bytes.resize(2'000'000);
    Stream stream(std::move(bytes), 100'000);
    CHECK(read_stream(stream, 100'000'000).end == FrameEnd::kBroken);
    // The growth by four is what bounds it; a frame that does come whole is read whole.
    std::vector<std::uint8_t> whole;
    append_frame(whole, 20'000'000, 9);
    Stream complete(std::move(whole), 100'000);
    const Outcome outcome = read_stream(complete, 100'000'000);
    REQUIRE(outcome.frames.size() == 1);
    CHECK(outcome.frames[0].bytes.size() == 20'000'000);
    CHECK(outcome.frames[0].bytes.data()[19'999'999] == 9);
}

}  // namespace
}  // namespace dlog::broker
