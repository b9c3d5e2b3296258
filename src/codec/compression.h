/// Kafka's five codecs with the framings that its clients use: gzip members, snappy both in
/// xerial's frame and bare, LZ4 frames, zstd frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "codec/error.h"

namespace dlog::codec {

/// The ids are Kafka's, as in bits 0 to 2 of a batch's attributes.
enum class Compression : std::uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };
inline constexpr int kCompressionCount = 5;

/// The names of `compression.type`: "none", "gzip", "snappy", "lz4", "zstd" ("uncompressed" is read
/// as none too).
[[nodiscard]] std::string_view compression_name(Compression compression);
[[nodiscard]] std::optional<Compression> compression_named(std::string_view name);
[[nodiscard]] std::optional<Compression> compression_of_id(unsigned id);

/// Decompresses one stream at a time into windows that the caller provides. Owned by one core and
/// used again for every stream: the libraries' contexts are made at first use and kept while they
/// are below 4 MiB. Working memory, whatever the input says: gzip 48 KiB; LZ4 9 MiB (64 KiB blocks,
/// which clients write, take 0.2); snappy one block, at most 22 times its compressed bytes and
/// never above `output_bytes_max`; zstd its frame's window, at most 128 MiB as in Kafka's Java
/// client, of which only what the output has reached is touched.
class Decompressor {
  public:
    Decompressor();
    ~Decompressor();
    Decompressor(Decompressor&&) noexcept;
    Decompressor& operator=(Decompressor&&) noexcept;

    /// Begins a stream; `compressed` must outlive it. More output than `output_bytes_max` is
    /// kTooLarge.
    [[nodiscard]] Result<void> start(Compression compression, ByteView compressed,
                                     std::size_t output_bytes_max);
    /// Fills `window`, which is not empty, as far as the stream goes and returns how many bytes it
    /// wrote: fewer than the window holds only at the stream's end, 0 after it. After an error only
    /// `start` may follow.
    [[nodiscard]] Result<std::size_t> read(MutableBytes window);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Replaces `out` by the whole decompressed stream.
[[nodiscard]] Result<void> decompress_all(Decompressor& decompressor, Compression compression,
                                          ByteView compressed, std::size_t output_bytes_max,
                                          std::vector<std::uint8_t>& out);

/// Appends `plain` to `out` in the framing that Kafka's Java client uses. `level` without a value
/// is Kafka's default (gzip 6, LZ4 9 of its own scale which means the fast mode, zstd 3); it is
/// clamped to the codec's range.
[[nodiscard]] Result<void> compress(Compression compression, ByteView plain,
                                    std::optional<int> level, std::vector<std::uint8_t>& out);

}  // namespace dlog::codec
