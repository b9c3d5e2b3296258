#include "cli/segment_scan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/result.h"
#include "storage/batches.h"

namespace dlog::cli {

namespace {

constexpr std::size_t kWindowBytes = 4 << 20;
constexpr std::uint64_t kGapBatchBytesMax = 256 << 20;
/// How far to go on behind bytes that the device refuses to read.
constexpr std::uint64_t kUnreadableStep = 4096;
constexpr std::int64_t kOffsetMax = INT64_MAX;

std::string failure(std::string_view what, const std::string& path) {
    return "cannot " + std::string(what) + " " + path + ": " + std::strerror(errno);
}

}  // namespace

std::expected<InputFile, std::string> InputFile::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return unexpected(failure("open", path));
    struct stat info{};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        ::close(fd);
        return unexpected(path + " is not a file");
    }
    return InputFile(path, fd, static_cast<std::uint64_t>(info.st_size));
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

InputFile::~InputFile() {
    if (fd_ >= 0) ::close(fd_);
}

std::optional<std::size_t> InputFile::read(std::uint64_t position, MutableBytes into) const {
    std::size_t done = 0;
    while (done < into.size()) {
        const ssize_t count = ::pread(fd_, into.data() + done, into.size() - done,
                                      static_cast<off_t>(position + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return std::nullopt;
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return done;
}

std::expected<std::vector<std::uint8_t>, std::string> read_whole(const std::string& path,
                                                                 std::uint64_t limit_bytes) {
    DLOG_TRY_ASSIGN(const InputFile file, InputFile::open(path));
    if (file.size() > limit_bytes) {
        return unexpected(path + " is too large for what its name says it is");
    }
    std::vector<std::uint8_t> bytes(file.size());
    const auto count = file.read(0, bytes);
    if (!count) return unexpected(failure("read", path));
    bytes.resize(*count);
    return bytes;
}

/// Makes the window begin at `position` and hold `size` bytes or what there is. False when they
/// cannot be read.
bool SegmentScanner::load(std::uint64_t position, std::size_t size) {
    DLOG_ASSERT(position <= file_.size(), position, file_.size());
    window_.resize(std::min<std::uint64_t>(size, file_.size() - position));
    window_start_ = position;
    const auto count = file_.read(position, window_);
    if (!count) {
        window_.clear();
        return false;
    }
    window_.resize(*count);
    return true;
}

ByteView SegmentScanner::window_from(std::uint64_t position) const {
    if (position < window_start_ || position > window_start_ + window_.size()) return {};
    return ByteView(window_).subspan(position - window_start_);
}

std::optional<ScanItem> SegmentScanner::next() {
    std::size_t wanted = kWindowBytes;
    while (position_ < file_.size()) {
        storage::BatchWalker walker(window_from(position_), expected_, storage::CrcCheck::kYes);
        if (const auto item = walker.next()) {
            const ScannedBatch batch{position_, item->header, item->bytes};
            position_ += item->bytes.size();
            expected_ = item->header.next_offset();
            return batch;
        }
        if (walker.stop() == storage::BatchWalker::Stop::kDamaged) {
            return skip_damage(walker.damage_reason());
        }
        if (walker.stop() == storage::BatchWalker::Stop::kMoreBytes) {
            if (walker.bytes_needed() > file_.size() - position_) {
                return skip_damage(storage::DamageReason::kTruncated);
            }
            wanted = std::max(walker.bytes_needed(), kWindowBytes);
        }
        if (!load(position_, wanted)) return skip_damage(storage::DamageReason::kUnreadable);
        if (window_.empty()) break;  // the file became shorter meanwhile
    }
    return std::nullopt;
}

/// An intact batch that begins at a later offset than expected, and whose successor continues it,
/// is not damaged: offsets before it are missing. (A batch whose successor does not continue it has
/// a wrong offset itself.)
void SegmentScanner::note_gap(ScannedDamage& damage) {
    if (damage.reason != storage::DamageReason::kBadOffset) return;
    const std::uint64_t size = damage.end_position - damage.position;
    if (size > kGapBatchBytesMax || !load(damage.position, size)) return;
    const auto header = record::read_batch_header(window_);
    if (!header || header->size_bytes() != size || !record::verify_crc(window_)) return;
    if (header->base_offset < expected_ || header->next_offset() != damage.next_offset) return;
    damage.end_position = damage.position;
    damage.next_offset = header->base_offset;
}

ScanItem SegmentScanner::skip_damage(storage::DamageReason reason) {
    ScannedDamage damage{.position = position_,
                         .end_position = file_.size(),
                         .reason = reason,
                         .first_offset = expected_};
    std::uint64_t from = position_ + 1;
    std::size_t wanted = kWindowBytes;
    while (from < file_.size()) {
        if (!load(from, wanted)) {
            from += kUnreadableStep;
            continue;
        }
        const storage::Resync found =
            storage::find_intact_batch(window_, expected_, Offset{kOffsetMax}, file_.size() - from);
        if (found.outcome == storage::Resync::Outcome::kFound) {
            damage.end_position = from + found.position;
            damage.next_offset = found.offset;
            damage.has_intact_after = true;
            note_gap(damage);
            expected_ = damage.next_offset;
            break;
        }
        const bool needs_more = found.outcome == storage::Resync::Outcome::kMoreBytes;
        if (!needs_more && found.position == 0) break;
        from += found.position;
        wanted = needs_more ? std::max(found.bytes_needed, kWindowBytes) : kWindowBytes;
    }
    position_ = damage.end_position;
    return damage;
}

}  // namespace dlog::cli
