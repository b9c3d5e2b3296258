/// Reads a segment file from one end to the other, batch by batch, past whatever is damaged in it.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "record/batch.h"
#include "storage/segment.h"

namespace dlog::cli {

/// A file of which pieces are read. The errors of its functions are in words.
class InputFile {
  public:
    [[nodiscard]] static std::expected<InputFile, std::string> open(const std::string& path);
    InputFile(InputFile&& other) noexcept;
    InputFile& operator=(InputFile&& other) = delete;
    ~InputFile();

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    /// Reads up to into.size() bytes, fewer only at the file's end; nothing when the device
    /// refuses.
    [[nodiscard]] std::optional<std::size_t> read(std::uint64_t position, MutableBytes into) const;

  private:
    InputFile(std::string path, int fd, std::uint64_t size)
        : path_(std::move(path)), fd_(fd), size_(size) {}
    std::string path_;
    int fd_;
    std::uint64_t size_;
};

/// The whole file, at most `limit_bytes`.
[[nodiscard]] std::expected<std::vector<std::uint8_t>, std::string> read_whole(
    const std::string& path, std::uint64_t limit_bytes);

/// An intact batch; `bytes` are good until the next call.
struct ScannedBatch {
    std::uint64_t position = 0;
    record::BatchHeader header;
    ByteView bytes;
};

/// The bytes [position, end_position) are not intact batches; none, where only offsets are missing.
struct ScannedDamage {
    std::uint64_t position = 0;
    std::uint64_t end_position = 0;
    storage::DamageReason reason = storage::DamageReason::kBadHeader;
    /// Intact batches follow.
    bool has_intact_after = false;
    /// The offsets that are lost: from here up to `next_offset`, which is kNoOffset at the file's
    /// end.
    Offset first_offset;
    Offset next_offset = kNoOffset;
};

using ScanItem = std::variant<ScannedBatch, ScannedDamage>;

/// Checks the CRC of every batch and that offsets ascend. Memory: one window, or the largest batch.
class SegmentScanner {
  public:
    /// The first batch is expected at `base_offset` or later.
    SegmentScanner(const InputFile& file, Offset base_offset)
        : file_(file), expected_(base_offset) {}

    /// Nothing at the file's end.
    [[nodiscard]] std::optional<ScanItem> next();
    /// One past the last record seen.
    [[nodiscard]] Offset end_offset() const { return expected_; }

  private:
    [[nodiscard]] bool load(std::uint64_t position, std::size_t size);
    void note_gap(ScannedDamage& damage);
    [[nodiscard]] ScanItem skip_damage(storage::DamageReason reason);
    [[nodiscard]] ByteView window_from(std::uint64_t position) const;

    const InputFile& file_;
    Offset expected_;
    std::uint64_t position_ = 0;      // where the next batch begins
    std::uint64_t window_start_ = 0;  // the file position of window_[0]
    std::vector<std::uint8_t> window_;
};

}  // namespace dlog::cli
