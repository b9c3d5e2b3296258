/// The codecs' names and the compressing side.
#include "codec/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "base/assert.h"
#include "codec/snappy_frame.h"

namespace dlog::codec {

namespace {

constexpr std::string_view kNames[kCompressionCount] = {"none", "gzip", "snappy", "lz4", "zstd"};

Result<void> compress_gzip(ByteView plain, std::optional<int> level,
                           std::vector<std::uint8_t>& out) {
    constexpr int kGzipHeader = 16;
    constexpr int kMemoryLevel = 8;
    const int chosen =
        level ? std::clamp(*level, Z_BEST_SPEED, Z_BEST_COMPRESSION) : Z_DEFAULT_COMPRESSION;
    z_stream stream{};
    if (deflateInit2(&stream, chosen, Z_DEFLATED, MAX_WBITS + kGzipHeader, kMemoryLevel,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return unexpected(Error::kNoMemory);
    }
    const std::size_t start = out.size();
    out.resize(start + deflateBound(&stream, plain.size()));
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = out.data() + start;
    stream.avail_out = static_cast<uInt>(out.size() - start);
    const int outcome = deflate(&stream, Z_FINISH);
    DLOG_ASSERT(outcome == Z_STREAM_END, outcome, plain.size());
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    return {};
}

/// xerial's frame of 32 KiB blocks, which every client reads.
void compress_snappy(ByteView plain, std::vector<std::uint8_t>& out) {
    constexpr std::size_t kBlock = 32 * 1024;
    out.insert(out.end(), std::begin(kSnappyFrameHeader), std::end(kSnappyFrameHeader));
    while (!plain.empty()) {
        const ByteView block = plain.first(std::min(plain.size(), kBlock));
        const std::size_t start = out.size();
        out.resize(start + kSnappyBlockLengthBytes + snappy::MaxCompressedLength(block.size()));
        std::size_t length = 0;
        snappy::RawCompress(as_text(block).data(), block.size(),
                            reinterpret_cast<char*>(out.data()) + start + kSnappyBlockLengthBytes,
                            &length);
        store_big_endian(out.data() + start, static_cast<std::uint32_t>(length));
        out.resize(start + kSnappyBlockLengthBytes + length);
        plain = plain.subspan(block.size());
    }
}

/// Independent blocks of 64 KiB: Kafka's Java client refuses dependent ones.
Result<void> compress_lz4(ByteView plain, std::optional<int> level,
                          std::vector<std::uint8_t>& out) {
    constexpr int kKafkaDefaultLevel = 9;
    LZ4F_preferences_t preferences{};
    preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    const int wanted = level.value_or(kKafkaDefaultLevel);
    preferences.compressionLevel =
        wanted == kKafkaDefaultLevel ? 0 : std::clamp(wanted, 3, LZ4F_compressionLevel_max());
    const std::size_t start = out.size();
    out.resize(start + LZ4F_compressFrameBound(plain.size(), &preferences));
    const std::size_t length = LZ4F_compressFrame(out.data() + start, out.size() - start,
                                                  plain.data(), plain.size(), &preferences);
    if (LZ4F_isError(length) != 0) {
        out.resize(start);
        return unexpected(Error::kNoMemory);
    }
    out.resize(start + length);
    return {};
}

Result<void> compress_zstd(ByteView plain, std::optional<int> level,
                           std::vector<std::uint8_t>& out) {
    const int chosen =
        level ? std::clamp(*level, ZSTD_minCLevel(), ZSTD_maxCLevel()) : ZSTD_CLEVEL_DEFAULT;
    const std::size_t start = out.size();
    out.resize(start + ZSTD_compressBound(plain.size()));
    const std::size_t length =
        ZSTD_compress(out.data() + start, out.size() - start, plain.data(), plain.size(), chosen);
    if (ZSTD_isError(length) != 0) {
        out.resize(start);
        return unexpected(Error::kNoMemory);
    }
    out.resize(start + length);
    return {};
}

}  // namespace

std::string_view compression_name(Compression compression) {
    const auto id = static_cast<unsigned>(compression);
    DLOG_ASSERT(id < kCompressionCount, id);
    return kNames[id];
}

std::optional<Compression> compression_named(std::string_view name) {
    if (name == "uncompressed") return Compression::kNone;
    for (unsigned id = 0; id < kCompressionCount; ++id) {
        if (kNames[id] == name) return static_cast<Compression>(id);
    }
    return std::nullopt;
}

std::optional<Compression> compression_of_id(unsigned id) {
    if (id >= kCompressionCount) return std::nullopt;
    return static_cast<Compression>(id);
}

Result<void> compress(Compression compression, ByteView plain, std::optional<int> level,
                      std::vector<std::uint8_t>& out) {
    DLOG_ASSERT(plain.size() <= INT32_MAX, plain.size());
    switch (compression) {
        case Compression::kNone:
            out.insert(out.end(), plain.begin(), plain.end());
            return {};
        case Compression::kGzip:
            return compress_gzip(plain, level, out);
        case Compression::kSnappy:
            compress_snappy(plain, out);
            return {};
        case Compression::kLz4:
            return compress_lz4(plain, level, out);
        case Compression::kZstd:
            return compress_zstd(plain, level, out);
    }
    DLOG_UNREACHABLE();
}

}  // namespace dlog::codec
