/// Any bytes through any codec: no crash, no output beyond the limit, the same output through any
/// window.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "codec/compression.h"

using dlog::codec::Compression;

namespace {
constexpr std::size_t kLimit = std::size_t{128} << 10;
}

/// The first byte chooses the codec and the window, the rest is the stream.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static dlog::codec::Decompressor decompressor;
    if (size < 1) return 0;
    const auto codec = static_cast<Compression>(data[0] % dlog::codec::kCompressionCount);
    const std::size_t window_bytes = 1 + static_cast<std::size_t>(data[0]) * 16;
    const dlog::ByteView stream(data + 1, size - 1);

    std::vector<std::uint8_t> whole;
    const auto done = dlog::codec::decompress_all(decompressor, codec, stream, kLimit, whole);
    DLOG_ASSERT(!done || whole.size() <= kLimit, whole.size());

    std::vector<std::uint8_t> window(window_bytes);
    std::size_t total = 0;
    if (!decompressor.start(codec, stream, kLimit)) {
        DLOG_ASSERT(!done);
        return 0;
    }
    while (true) {
        const auto length = decompressor.read(window);
        DLOG_ASSERT(length.has_value() || !done);
        if (!length) return 0;
        for (std::size_t index = 0; done && index < *length; ++index) {
            DLOG_ASSERT(whole[total + index] == window[index], total, index);
        }
        total += *length;
        if (*length < window.size()) break;
    }
    DLOG_ASSERT(done.has_value() && total == whole.size(), total, whole.size());
    return 0;
}
