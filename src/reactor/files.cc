#include "reactor/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "reactor/pool.h"

namespace dlog::reactor {

using port::DiskError;
using port::DiskResult;

namespace {

std::unexpected<DiskError> last_error() {
    return std::unexpected(disk_error_of(errno));
}

/// A descriptor that closes itself.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

  private:
    int fd_;
};

/// Closes a descriptor on a pool and frees itself.
struct CloseJob : PoolJob {
    explicit CloseJob(int closed_fd) : fd(closed_fd) {
        perform = [](PoolJob& job) {
            const std::unique_ptr<CloseJob> self(static_cast<CloseJob*>(&job));
            ::close(self->fd);
        };
    }
    int fd;
};

DiskResult<port::FilePtr> wrap(const std::string& path, Descriptor& descriptor,
                               std::shared_ptr<WorkerPool> closer) {
    struct stat info{};
    if (::fstat(descriptor.get(), &info) != 0) return last_error();
    // Opening a folder read-only works on Linux; reading it as a file does not.
    if (S_ISDIR(info.st_mode)) return std::unexpected(DiskError::kDenied);
    return std::make_shared<OsFile>(path, descriptor.release(), info.st_dev, std::move(closer));
}

port::FileInfo info_of(const struct stat& info) {
    return {.size_bytes = static_cast<std::uint64_t>(info.st_size),
            .is_directory = S_ISDIR(info.st_mode)};
}

DiskResult<void> checked(int status) {
    if (status != 0) return last_error();
    return {};
}

}  // namespace

DiskError disk_error_of(int errno_value) {
    switch (errno_value) {
        case ENOENT:
        case ENOTDIR:
            return DiskError::kNotFound;
        case EEXIST:
        case ENOTEMPTY:
            return DiskError::kExists;
        case ENOSPC:
        case EDQUOT:
        case EFBIG:  // beyond RLIMIT_FSIZE or what the file system can hold
            return DiskError::kNoSpace;
        case EMFILE:
        case ENFILE:
            return DiskError::kTooManyFiles;
        case EACCES:
        case EPERM:
        case EROFS:
        case EISDIR:
            return DiskError::kDenied;
        default:
            return DiskError::kIo;
    }
}

OsFile::OsFile(std::string path, int fd, std::uint64_t device, std::shared_ptr<WorkerPool> closer)
    : path_(std::move(path)), fd_(fd), device_(device), closer_(std::move(closer)) {
    DLOG_ASSERT(fd >= 0, fd);
}

OsFile::~OsFile() {
    if (closer_ != nullptr) {
        auto job = std::make_unique<CloseJob>(fd_);
        if (closer_->submit(*job)) {
            (void)job.release();  // frees itself
            return;
        }
    }
    ::close(fd_);
}

namespace blocking {

DiskResult<port::FilePtr> open(const std::string& path, port::OpenMode mode,
                               const std::shared_ptr<WorkerPool>& closer) {
    int flags = O_CLOEXEC;
    switch (mode) {
        case port::OpenMode::kRead:
            flags |= O_RDONLY;
            break;
        case port::OpenMode::kReadWrite:
            flags |= O_RDWR;
            break;
        case port::OpenMode::kCreate:
            flags |= O_RDWR | O_CREAT;
            break;
        case port::OpenMode::kCreateNew:
            flags |= O_RDWR | O_CREAT | O_EXCL;
            break;
    }
    Descriptor descriptor(::open(path.c_str(), flags, 0640));
    if (descriptor.get() < 0) return last_error();
    return wrap(path, descriptor, closer);
}

DiskResult<port::FilePtr> lock(const std::string& path) {
    Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    if (descriptor.get() < 0) return last_error();
    if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return std::unexpected(DiskError::kLocked);
        return last_error();
    }
    // Closed at once where it is dropped, so that the lock is free when the drop returns.
    return wrap(path, descriptor, nullptr);
}

DiskResult<std::size_t> read(const OsFile& file, std::uint64_t position, MutableBytes into) {
    std::size_t done = 0;
    while (done < into.size()) {
        const ssize_t count = ::pread(file.fd(), into.data() + done, into.size() - done,
                                      static_cast<off_t>(position + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return last_error();
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return done;
}

DiskResult<void> write(const OsFile& file, std::uint64_t position, std::span<const Buffer> parts) {
    if (file.is_distrusted()) return std::unexpected(DiskError::kIo);
    constexpr std::size_t kPartsPerCall = 256;
    std::array<iovec, kPartsPerCall> vectors;
    std::size_t part = 0;
    std::size_t offset = 0;  // within that part
    while (part < parts.size()) {
        int count = 0;
        for (std::size_t i = part; i < parts.size() && count < int{kPartsPerCall}; ++i) {
            const std::size_t skipped = i == part ? offset : 0;
            if (parts[i].size() == skipped) continue;
            vectors[static_cast<std::size_t>(count++)] = {
                const_cast<std::uint8_t*>(parts[i].data()) + skipped, parts[i].size() - skipped};
        }
        if (count == 0) break;
        const ssize_t written =
            ::pwritev(file.fd(), vectors.data(), count, static_cast<off_t>(position));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return last_error();
        position += static_cast<std::uint64_t>(written);
        std::size_t left = static_cast<std::size_t>(written);
        while (part < parts.size() && left >= parts[part].size() - offset) {
            left -= parts[part].size() - offset;
            offset = 0;
            ++part;
        }
        offset += left;
    }
    return {};
}

DiskResult<void> sync(OsFile& file) {
    if (file.is_distrusted()) return std::unexpected(DiskError::kIo);
    int status = -1;
    do {
        status = ::fdatasync(file.fd());
    } while (status != 0 && errno == EINTR);
    if (status != 0) {
        const DiskError error = disk_error_of(errno);
        file.distrust();
        return std::unexpected(error);
    }
    return {};
}

DiskResult<void> truncate(const OsFile& file, std::uint64_t size) {
    return checked(::ftruncate(file.fd(), static_cast<off_t>(size)));
}

DiskResult<port::FileInfo> stat(const OsFile& file) {
    struct stat info{};
    if (::fstat(file.fd(), &info) != 0) return last_error();
    return info_of(info);
}

DiskResult<port::FileInfo> stat_path(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return last_error();
    return info_of(info);
}

DiskResult<void> remove(const std::string& path) {
    return checked(::remove(path.c_str()));
}

DiskResult<void> remove_all(const std::string& path) {
    std::error_code error;
    const std::uintmax_t count = std::filesystem::remove_all(path, error);
    if (error) return std::unexpected(disk_error_of(error.value()));
    if (count == 0) return std::unexpected(DiskError::kNotFound);
    return {};
}

DiskResult<void> rename(const std::string& from, const std::string& to) {
    return checked(::rename(from.c_str(), to.c_str()));
}

DiskResult<void> make_directories(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return std::unexpected(disk_error_of(error.value()));
    return {};
}

DiskResult<std::vector<std::string>> list(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
    if (folder == nullptr) return last_error();
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* const entry = ::readdir(folder.get());
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return last_error();
    std::sort(names.begin(), names.end());
    return names;
}

DiskResult<void> sync_directory(const std::string& path) {
    const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (descriptor.get() < 0) return last_error();
    return checked(::fsync(descriptor.get()));
}

DiskResult<std::uint64_t> device_of(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return last_error();
    return info.st_dev;
}

DiskResult<int> open_directory(const std::string& path, std::uint64_t device) {
    Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (descriptor.get() < 0) return last_error();
    struct stat info{};
    if (::fstat(descriptor.get(), &info) != 0) return last_error();
    if (info.st_dev != device) return std::unexpected(DiskError::kNotFound);
    return descriptor.release();
}

DiskResult<port::SpaceInfo> space(const std::string& path) {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0) return last_error();
    return port::SpaceInfo{.free_bytes = std::uint64_t{info.f_bavail} * info.f_frsize,
                           .total_bytes = std::uint64_t{info.f_blocks} * info.f_frsize};
}

}  // namespace blocking

std::int64_t read_resident(const OsFile& file, std::uint64_t position, MutableBytes into) {
    const iovec vector{into.data(), into.size()};
    return ::preadv2(file.fd(), &vector, 1, static_cast<off_t>(position), RWF_NOWAIT);
}

bool is_resident(const OsFile& file, std::uint64_t position, std::uint64_t length) {
    // cachestat(2), Linux 6.5; its number and its structures are newer than the C library here.
    constexpr long kCachestat = 451;
    constexpr std::uint64_t kPage = 4096;
    struct {
        std::uint64_t offset, length;
    } range{position, length};
    struct {
        std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
    } pages{};
    if (length == 0) return true;
    if (::syscall(kCachestat, file.fd(), &range, &pages, 0) == 0) {
        const std::uint64_t first = position / kPage;
        const std::uint64_t last = (position + length - 1) / kPage;
        return pages.cached >= last - first + 1;
    }
    // An older kernel: the range's two ends stand for what lies between them.
    std::uint8_t byte = 0;
    return read_resident(file, position, {&byte, 1}) == 1 &&
           read_resident(file, position + length - 1, {&byte, 1}) == 1;
}

}  // namespace dlog::reactor
