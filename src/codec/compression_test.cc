#include "codec/compression.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace dlog::codec {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t kNoLimit = std::size_t{1} << 30;
constexpr Compression kAll[] = {Compression::kNone, Compression::kGzip, Compression::kSnappy,
                                Compression::kLz4, Compression::kZstd};

Bytes read_testdata(const std::string& name) {
    const std::string path = std::string(DLOG_ROOT "/src/codec/testdata/") + name;
    std::FILE* file = std::fopen(path.c_str(), "rb");
    REQUIRE_MESSAGE(file != nullptr, path);
    Bytes bytes(1 << 20);
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
    std::fclose(file);
    return bytes;
}

/// What testdata/README.md says the files hold.
Bytes vector_text() {
    std::string text;
    for (int line = 0; line < 4000; ++line) {
        text += std::to_string(line % 97) + " the quick brown fox jumps over line " +
                std::to_string(line % 13) + "\n";
    }
    return {text.begin(), text.end()};
}

Bytes random_bytes(std::size_t size, Random& random) {
    Bytes bytes(size);
    // Half noise, half repetition, so that blocks of both kinds occur.
    for (std::size_t index = 0; index < size; ++index) {
        bytes[index] = (index / 5000) % 2 == 0 ? static_cast<std::uint8_t>(random.next())
                                               : static_cast<std::uint8_t>(index % 10);
    }
    return bytes;
}

/// The stream read through windows of that size.
Result<Bytes> read_by(Decompressor& decompressor, Compression codec, ByteView compressed,
                      std::size_t window_bytes, std::size_t limit = kNoLimit) {
    DLOG_TRY(decompressor.start(codec, compressed, limit));
    Bytes out;
    Bytes window(window_bytes);
    while (true) {
        DLOG_TRY_ASSIGN(const std::size_t length, decompressor.read(window));
        REQUIRE(length <= window.size());
        out.insert(out.end(), window.begin(), window.begin() + static_cast<std::ptrdiff_t>(length));
        if (length < window.size()) break;
    }
    DLOG_TRY_ASSIGN(const std::size_t more, decompressor.read(window));
    CHECK(more == 0);
    return out;
}

Bytes compressed_by(Compression codec, ByteView plain, std::optional<int> level = {}) {
    Bytes out;
    REQUIRE(compress(codec, plain, level, out));
    return out;
}

TEST_CASE("what other implementations compressed is read in windows of any size") {
    const std::pair<const char*, Compression> files[] = {
        {"python.gz", Compression::kGzip},
        {"two_members.gz", Compression::kGzip},
        {"raw.snappy", Compression::kSnappy},
        {"xerial.snappy", Compression::kSnappy},
        {"xerial_joined.snappy", Compression::kSnappy},
        {"independent.lz4", Compression::kLz4},
        {"linked_checked.lz4", Compression::kLz4},
        {"large_blocks.lz4", Compression::kLz4},
        {"sized.zst", Compression::kZstd},
        {"two_frames.zst", Compression::kZstd},
        {"streamed_level22.zst", Compression::kZstd},
    };
    const Bytes text = vector_text();
    Decompressor decompressor;
    for (const auto& [name, codec] : files) {
        CAPTURE(name);
        const Bytes file = read_testdata(name);
        for (const std::size_t window : {1, 7, 4096, 65536, 164500, 164501, 164502, 1 << 20}) {
            CAPTURE(window);
            const Result<Bytes> out = read_by(decompressor, codec, file, window);
            REQUIRE(out);
            CHECK(*out == text);
        }
        Bytes whole;
        REQUIRE(decompress_all(decompressor, codec, file, text.size(), whole));
        CHECK(whole == text);
        CHECK(decompress_all(decompressor, codec, file, text.size() - 1, whole).error() ==
              Error::kTooLarge);
    }
}

TEST_CASE("every codec gives back what it compressed, at every level") {
    Random random(3);
    Decompressor decompressor;
    for (const std::size_t size : {0, 1, 100, 32768, 65537, 300'000}) {
        const Bytes plain = random_bytes(size, random);
        for (const Compression codec : kAll) {
            CAPTURE(compression_name(codec));
            for (const std::optional<int> level :
                 {std::optional<int>{}, std::optional<int>{1}, std::optional<int>{9},
                  std::optional<int>{100}, std::optional<int>{-5}}) {
                if (level == 100 && size > 100'000) continue;  // slow for what it shows
                const Bytes compressed = compressed_by(codec, plain, level);
                const Result<Bytes> out = read_by(decompressor, codec, compressed, 1000);
                REQUIRE(out);
                CHECK(*out == plain);
            }
        }
    }
}

TEST_CASE("no truncation of a stream is taken for the whole") {
    Random random(4);
    const Bytes plain = random_bytes(12'000, random);
    Decompressor decompressor;
    for (const Compression codec : kAll) {
        if (codec == Compression::kNone) continue;
        CAPTURE(compression_name(codec));
        const Bytes compressed = compressed_by(codec, plain);
        const std::size_t step = codec == Compression::kSnappy ? 97 : 13;
        for (std::size_t length = 0; length < compressed.size(); length += step) {
            CAPTURE(length);
            Bytes out;
            const auto done = decompress_all(decompressor, codec,
                                             ByteView(compressed).first(length), kNoLimit, out);
            // A snappy stream may end behind any block: the record count then tells.
            if (done) CHECK((codec == Compression::kSnappy && out.size() < plain.size()));
        }
    }
}

TEST_CASE("damaged streams give errors or other bytes, and never more than the limit") {
    Random random(5);
    const Bytes plain = random_bytes(9'000, random);
    Decompressor decompressor;
    for (const Compression codec : kAll) {
        Bytes compressed = compressed_by(codec, plain);
        for (int round = 0; round < 2000; ++round) {
            Bytes damaged = compressed;
            const std::uint64_t flips = 1 + random.below(3);
            for (std::uint64_t flip = 0; flip < flips; ++flip) {
                damaged[random.below(damaged.size())] ^=
                    static_cast<std::uint8_t>(1U << random.below(8));
            }
            Bytes out;
            const auto done = decompress_all(decompressor, codec, damaged, 20'000, out);
            CHECK(out.capacity() <= 64 * 1024);
            if (done) CHECK(out.size() <= 20'000);
        }
        // The decompressor is as good as new after all that.
        const Result<Bytes> out = read_by(decompressor, codec, compressed, 500);
        REQUIRE(out);
        CHECK(*out == plain);
    }
}

TEST_CASE("a bomb stops at the limit") {
    const Bytes zeros(64 << 20);
    Decompressor decompressor;
    Bytes window(32 * 1024);
    for (const Compression codec : kAll) {
        CAPTURE(compression_name(codec));
        const Bytes bomb = compressed_by(codec, zeros);
        REQUIRE(decompressor.start(codec, bomb, 1 << 20));
        std::size_t total = 0;
        while (true) {
            const Result<std::size_t> length = decompressor.read(window);
            if (!length) {
                CHECK(length.error() == Error::kTooLarge);
                break;
            }
            REQUIRE(*length == window.size());
            total += *length;
            REQUIRE(total <= 1 << 20);
        }
    }
}

TEST_CASE(
    "a snappy block that claims more than its bytes can hold is refused before memory is taken") {
    // A length of 2^32 - 1 over 10 bytes.
    const Bytes lie = {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0};
    Decompressor decompressor;
    Bytes out;
    CHECK(decompress_all(decompressor, Compression::kSnappy, lie, SIZE_MAX, out).error() ==
          Error::kCorrupt);
}

TEST_CASE("a zstd frame may not ask for a window beyond 128 MiB") {
    Decompressor decompressor;
    Bytes out;
    CHECK(decompress_all(decompressor, Compression::kZstd, read_testdata("window_256mib.zst"),
                         kNoLimit, out)
              .error() == Error::kTooLarge);
}

TEST_CASE("a zstd frame that gives less than its header promises is corrupt, in any window") {
    // 680 bytes promised, and one last block of none.
    const Bytes frame{0x28, 0xb5, 0x2f, 0xfd, 0x60, 0xa8, 0x01, 0x01, 0x00, 0x00};
    Decompressor decompressor;
    Bytes out;
    const auto all = decompress_all(decompressor, Compression::kZstd, frame, kNoLimit, out);
    CHECK(all.error() == Error::kCorrupt);
    for (const std::size_t size : {1UL, 145UL, 679UL, 680UL, 4096UL}) {
        Bytes window(size);
        REQUIRE(decompressor.start(Compression::kZstd, frame, kNoLimit));
        CHECK(decompressor.read(window).error() == Error::kCorrupt);
    }
}

TEST_CASE("bytes behind the end of a stream are refused") {
    const Bytes plain = vector_text();
    Decompressor decompressor;
    for (const Compression codec :
         {Compression::kGzip, Compression::kLz4, Compression::kZstd, Compression::kSnappy}) {
        CAPTURE(compression_name(codec));
        Bytes compressed = compressed_by(codec, plain);
        compressed.insert(compressed.end(), {0, 0, 0, 0, 'x'});
        Bytes out;
        CHECK_FALSE(decompress_all(decompressor, codec, compressed, kNoLimit, out));
    }
    // A skippable frame is no LZ4 frame that a Kafka client reads.
    const Bytes skippable = {0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0};
    Bytes out;
    CHECK(decompress_all(decompressor, Compression::kLz4, skippable, kNoLimit, out).error() ==
          Error::kCorrupt);
}

TEST_CASE("codecs are named as in compression.type") {
    for (const Compression codec : kAll) {
        CHECK(compression_named(compression_name(codec)) == codec);
        CHECK(compression_of_id(static_cast<unsigned>(codec)) == codec);
    }
    CHECK(compression_named("uncompressed") == Compression::kNone);
    CHECK_FALSE(compression_named("producer"));
    CHECK_FALSE(compression_of_id(5));
}

}  // namespace
}  // namespace dlog::codec
