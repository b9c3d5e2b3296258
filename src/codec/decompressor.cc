/// The decompressing side: one bounded pull reader over four libraries.
#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/result.h"
#include "codec/compression.h"
#include "codec/snappy_frame.h"

namespace dlog::codec {

namespace {

/// A context or block above this is given back after its stream.
constexpr std::size_t kKeptBytesMax = std::size_t{4} << 20;
/// As Kafka's Java client reads: level 22 writes frames with this window.
constexpr int kZstdWindowLogMax = 27;
/// A snappy element of 3 bytes copies at most 64 (its format description, section 2.2).
constexpr std::size_t kSnappyRatioMax = 22;
constexpr std::uint32_t kLz4FrameMagic = 0x184D2204;
/// The frame descriptor's block size id for 256 KiB; larger ids make large contexts.
constexpr unsigned kLz4BlockIdKeptMax = 5;

}  // namespace

struct Decompressor::Impl {
    Compression codec = Compression::kNone;
    bool is_running = false;
    ByteView rest;
    std::size_t output_bytes = 0;
    std::size_t output_bytes_max = 0;

    // True inside a gzip member or an LZ4 or zstd frame that has not ended.
    bool in_frame = false;
    z_stream gzip{};
    bool gzip_is_ready = false;
    LZ4F_dctx* lz4 = nullptr;
    bool lz4_is_large = false;
    ZSTD_DCtx* zstd = nullptr;
    // Of the zstd frame: how much its header promises, if it does, and how much it has given.
    unsigned long long frame_content = ZSTD_CONTENTSIZE_UNKNOWN;
    std::uint64_t frame_output = 0;
    bool is_frame_new = false;

    bool snappy_is_framed = false;
    std::vector<std::uint8_t> block;
    std::size_t block_read = 0;

    ~Impl() {
        if (gzip_is_ready) inflateEnd(&gzip);
        LZ4F_freeDecompressionContext(lz4);
        ZSTD_freeDCtx(zstd);
    }

    Result<void> start_gzip();
    Result<void> start_lz4();
    Result<void> start_zstd();
    void start_snappy();
    void release_large();

    Result<std::size_t> read_none(MutableBytes window);
    Result<std::size_t> read_gzip(MutableBytes window);
    Result<std::size_t> read_snappy(MutableBytes window);
    Result<std::size_t> read_lz4(MutableBytes window);
    Result<std::size_t> read_zstd(MutableBytes window);
    Result<ByteView> next_snappy_block();
    Result<std::size_t> read_window(MutableBytes window);
};

Decompressor::Decompressor() : impl_(std::make_unique<Impl>()) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

Result<void> Decompressor::start(Compression compression, ByteView compressed,
                                 std::size_t output_bytes_max) {
    DLOG_ASSERT(impl_ != nullptr);
    impl_->release_large();
    impl_->codec = compression;
    impl_->rest = compressed;
    impl_->output_bytes = 0;
    impl_->output_bytes_max = output_bytes_max;
    impl_->in_frame = false;
    impl_->is_running = true;
    switch (compression) {
        case Compression::kNone:
            return {};
        case Compression::kGzip:
            return impl_->start_gzip();
        case Compression::kSnappy:
            impl_->start_snappy();
            return {};
        case Compression::kLz4:
            return impl_->start_lz4();
        case Compression::kZstd:
            return impl_->start_zstd();
    }
    impl_->is_running = false;
    return unexpected(Error::kUnknownCodec);
}

Result<std::size_t> Decompressor::read(MutableBytes window) {
    DLOG_ASSERT(impl_ != nullptr && impl_->is_running);
    DLOG_ASSERT(!window.empty());
    Result<std::size_t> length = impl_->read_window(window);
    if (length) {
        impl_->output_bytes += *length;
        if (impl_->output_bytes > impl_->output_bytes_max) length = unexpected(Error::kTooLarge);
    }
    if (!length || *length < window.size()) impl_->release_large();
    if (!length) impl_->is_running = false;
    return length;
}

Result<std::size_t> Decompressor::Impl::read_window(MutableBytes window) {
    switch (codec) {
        case Compression::kNone:
            return read_none(window);
        case Compression::kGzip:
            return read_gzip(window);
        case Compression::kSnappy:
            return read_snappy(window);
        case Compression::kLz4:
            return read_lz4(window);
        case Compression::kZstd:
            return read_zstd(window);
    }
    DLOG_UNREACHABLE();
}

/// Gives back what the last stream made larger than is worth keeping. The stream has ended, or will
/// not go on.
void Decompressor::Impl::release_large() {
    if (lz4_is_large) {
        LZ4F_freeDecompressionContext(lz4);
        lz4 = nullptr;
        lz4_is_large = false;
    }
    if (zstd != nullptr && ZSTD_sizeof_DCtx(zstd) > kKeptBytesMax) {
        ZSTD_freeDCtx(zstd);
        zstd = nullptr;
    }
    if (block.capacity() > kKeptBytesMax) {
        block = {};
        block_read = 0;
    }
}

Result<void> Decompressor::Impl::start_gzip() {
    constexpr int kGzipHeader = 16;
    if (!gzip_is_ready && inflateInit2(&gzip, MAX_WBITS + kGzipHeader) != Z_OK) {
        is_running = false;
        return unexpected(Error::kNoMemory);
    }
    gzip_is_ready = true;
    inflateReset(&gzip);
    in_frame = true;
    return {};
}

Result<void> Decompressor::Impl::start_lz4() {
    constexpr std::size_t kBlockSizeAt = 5;
    if (rest.size() <= kBlockSizeAt) {
        is_running = false;
        return unexpected(Error::kTruncated);
    }
    // The library reads skippable frames too, which Kafka's clients do not.
    if (load_little_endian<std::uint32_t>(rest.data()) != kLz4FrameMagic) {
        is_running = false;
        return unexpected(Error::kCorrupt);
    }
    if (lz4 == nullptr && LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)) != 0) {
        lz4 = nullptr;
        is_running = false;
        return unexpected(Error::kNoMemory);
    }
    LZ4F_resetDecompressionContext(lz4);
    lz4_is_large = ((rest[kBlockSizeAt] >> 4) & 7) > kLz4BlockIdKeptMax;
    in_frame = true;
    return {};
}

Result<void> Decompressor::Impl::start_zstd() {
    if (zstd == nullptr) {
        zstd = ZSTD_createDCtx();
        if (zstd == nullptr) {
            is_running = false;
            return unexpected(Error::kNoMemory);
        }
        ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, kZstdWindowLogMax);
    }
    is_frame_new = true;
    ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only);
    in_frame = true;
    return {};
}

void Decompressor::Impl::start_snappy() {
    block.clear();
    block_read = 0;
    snappy_is_framed = rest.size() >= sizeof kSnappyFrameHeader &&
                       std::memcmp(rest.data(), kSnappyFrameHeader, kSnappyMagicBytes) == 0;
    in_frame = true;
}

Result<std::size_t> Decompressor::Impl::read_none(MutableBytes window) {
    const std::size_t length = std::min(window.size(), rest.size());
    std::copy_n(rest.data(), length, window.data());
    rest = rest.subspan(length);
    return length;
}

/// One member after the other, as Java's GZIPInputStream reads them; other bytes after a member are
/// refused.
Result<std::size_t> Decompressor::Impl::read_gzip(MutableBytes window) {
    std::size_t filled = 0;
    while (filled < window.size()) {
        if (!in_frame) {
            if (rest.empty()) break;
            inflateReset(&gzip);
            in_frame = true;
        }
        const std::size_t input = std::min<std::size_t>(rest.size(), UINT32_MAX);
        const std::size_t room = std::min<std::size_t>(window.size() - filled, UINT32_MAX);
        gzip.next_in = const_cast<Bytef*>(rest.data());
        gzip.avail_in = static_cast<uInt>(input);
        gzip.next_out = window.data() + filled;
        gzip.avail_out = static_cast<uInt>(room);
        const int outcome = inflate(&gzip, Z_NO_FLUSH);
        rest = rest.subspan(input - gzip.avail_in);
        filled += room - gzip.avail_out;
        if (outcome == Z_STREAM_END) {
            in_frame = false;
        } else if (outcome == Z_MEM_ERROR) {
            return unexpected(Error::kNoMemory);
        } else if (outcome == Z_BUF_ERROR) {
            return unexpected(Error::kTruncated);
        } else if (outcome != Z_OK) {
            return unexpected(Error::kCorrupt);
        }
    }
    return filled;
}

/// One frame; its header and content checksums are the library's to check.
Result<std::size_t> Decompressor::Impl::read_lz4(MutableBytes window) {
    std::size_t filled = 0;
    while (filled < window.size() && in_frame) {
        std::size_t written = window.size() - filled;
        std::size_t taken = rest.size();
        const std::size_t hint =
            LZ4F_decompress(lz4, window.data() + filled, &written, rest.data(), &taken, nullptr);
        if (LZ4F_isError(hint) != 0) return unexpected(Error::kCorrupt);
        filled += written;
        rest = rest.subspan(taken);
        if (hint == 0) {
            in_frame = false;
            if (!rest.empty()) return unexpected(Error::kCorrupt);
        } else if (written == 0 && taken == 0) {
            return unexpected(Error::kTruncated);
        }
    }
    return filled;
}

/// One frame after the other.
Result<std::size_t> Decompressor::Impl::read_zstd(MutableBytes window) {
    ZSTD_outBuffer out{window.data(), window.size(), 0};
    while (out.pos < out.size) {
        if (!in_frame && rest.empty()) break;
        if (std::exchange(is_frame_new, false)) {
            frame_content = ZSTD_getFrameContentSize(rest.data(), rest.size());
            frame_output = 0;
        }
        ZSTD_inBuffer in{rest.data(), rest.size(), 0};
        const std::size_t written_before = out.pos;
        const std::size_t hint = ZSTD_decompressStream(zstd, &out, &in);
        if (ZSTD_isError(hint) != 0) {
            switch (ZSTD_getErrorCode(hint)) {
                case ZSTD_error_frameParameter_windowTooLarge:
                    return unexpected(Error::kTooLarge);
                case ZSTD_error_memory_allocation:
                    return unexpected(Error::kNoMemory);
                default:
                    return unexpected(Error::kCorrupt);
            }
        }
        rest = rest.subspan(in.pos);
        in_frame = hint != 0;
        is_frame_new = !in_frame;
        frame_output += out.pos - written_before;
        // The library looks at this only where the last block is not empty.
        const bool is_known = frame_content < ZSTD_CONTENTSIZE_ERROR;
        if (!in_frame && is_known && frame_output != frame_content) {
            return unexpected(Error::kCorrupt);
        }
        if (in_frame && in.pos == 0 && out.pos == written_before) {
            return unexpected(Error::kTruncated);
        }
    }
    return out.pos;
}

/// The compressed bytes of the next block; nothing at the end. A bare stream is one block.
Result<ByteView> Decompressor::Impl::next_snappy_block() {
    if (!snappy_is_framed) {
        if (!in_frame) return ByteView{};
        in_frame = false;
        if (rest.empty()) return unexpected(Error::kTruncated);
        return std::exchange(rest, {});
    }
    // Frames may be joined: a header may stand wherever a block may (snappy-java's
    // SnappyInputStream).
    while (rest.size() >= sizeof kSnappyFrameHeader &&
           std::memcmp(rest.data(), kSnappyFrameHeader, kSnappyMagicBytes) == 0) {
        rest = rest.subspan(sizeof kSnappyFrameHeader);
    }
    if (rest.empty()) return ByteView{};
    if (rest.size() < kSnappyBlockLengthBytes) return unexpected(Error::kTruncated);
    const auto length = load_big_endian<std::uint32_t>(rest.data());
    rest = rest.subspan(kSnappyBlockLengthBytes);
    if (length == 0) return unexpected(Error::kCorrupt);
    if (length > rest.size()) return unexpected(Error::kTruncated);
    const ByteView bytes = rest.first(length);
    rest = rest.subspan(length);
    return bytes;
}

Result<std::size_t> Decompressor::Impl::read_snappy(MutableBytes window) {
    std::size_t filled = 0;
    while (filled < window.size()) {
        if (block_read < block.size()) {
            const std::size_t length = std::min(block.size() - block_read, window.size() - filled);
            std::copy_n(block.data() + block_read, length, window.data() + filled);
            block_read += length;
            filled += length;
            continue;
        }
        DLOG_TRY_ASSIGN(const ByteView bytes, next_snappy_block());
        if (bytes.empty()) break;
        const char* text = as_text(bytes).data();
        std::size_t length = 0;
        if (!snappy::GetUncompressedLength(text, bytes.size(), &length) ||
            length / kSnappyRatioMax > bytes.size()) {
            return unexpected(Error::kCorrupt);
        }
        if (length > output_bytes_max - output_bytes) return unexpected(Error::kTooLarge);
        const bool fits = length <= window.size() - filled;
        if (!fits) {
            block.resize(length);
            block_read = 0;
        }
        std::uint8_t* target = fits ? window.data() + filled : block.data();
        if (!snappy::RawUncompress(text, bytes.size(), reinterpret_cast<char*>(target))) {
            return unexpected(Error::kCorrupt);
        }
        if (fits) filled += length;
    }
    return filled;
}

Result<void> decompress_all(Decompressor& decompressor, Compression compression,
                            ByteView compressed, std::size_t output_bytes_max,
                            std::vector<std::uint8_t>& out) {
    constexpr std::size_t kFirstWindow = 16 * 1024;
    out.clear();
    DLOG_TRY(decompressor.start(compression, compressed, output_bytes_max));
    std::size_t filled = 0;
    while (true) {
        if (filled == out.size()) {
            out.resize(std::max({kFirstWindow, out.capacity(), out.size() * 2}));
        }
        const MutableBytes window = MutableBytes(out).subspan(filled);
        DLOG_TRY_ASSIGN(const std::size_t length, decompressor.read(window));
        filled += length;
        if (length < window.size()) break;
    }
    out.resize(filled);
    return {};
}

}  // namespace dlog::codec
