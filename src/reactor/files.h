/// File operations as plain blocking calls with the port's errors. They run on the I/O pool's
/// threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "port/disk.h"

namespace dlog::reactor {

class WorkerPool;

/// The port's name of an errno value.
[[nodiscard]] port::DiskError disk_error_of(int errno_value);

/// An open file. May be dropped on any thread: the descriptor is closed on the I/O pool, because
/// the last close of a removed file frees its blocks.
class OsFile final : public port::File {
  public:
    OsFile(std::string path, int fd, std::uint64_t device, std::shared_ptr<WorkerPool> closer);
    OsFile(const OsFile&) = delete;
    OsFile& operator=(const OsFile&) = delete;
    ~OsFile() override;

    [[nodiscard]] const std::string& path() const override { return path_; }
    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] std::uint64_t device() const { return device_; }

    /// After a failed sync the kernel may have dropped the pages it could not write and call them
    /// clean, so a later sync that succeeds proves nothing: the file refuses writes and syncs from
    /// then on. Any thread.
    void distrust() { __atomic_store_n(&is_distrusted_, true, __ATOMIC_RELEASE); }
    [[nodiscard]] bool is_distrusted() const {
        return __atomic_load_n(&is_distrusted_, __ATOMIC_ACQUIRE);
    }

  private:
    const std::string path_;
    const int fd_;
    const std::uint64_t device_;
    const std::shared_ptr<WorkerPool> closer_;
    bool is_distrusted_ = false;
};

/// The file behind the port's pointer, which this room made.
[[nodiscard]] inline const OsFile& os_file(const port::FilePtr& file) {
    return static_cast<const OsFile&>(*file);
}
[[nodiscard]] inline OsFile& os_file(port::FilePtr& file) {
    return static_cast<OsFile&>(*file);
}

namespace blocking {

using port::DiskResult;

DiskResult<port::FilePtr> open(const std::string& path, port::OpenMode mode,
                               const std::shared_ptr<WorkerPool>& closer);
DiskResult<port::FilePtr> lock(const std::string& path);
DiskResult<std::size_t> read(const OsFile& file, std::uint64_t position, MutableBytes into);
DiskResult<void> write(const OsFile& file, std::uint64_t position, std::span<const Buffer> parts);
/// fdatasync; a failure makes the file distrusted.
DiskResult<void> sync(OsFile& file);
DiskResult<void> truncate(const OsFile& file, std::uint64_t size);
DiskResult<port::FileInfo> stat(const OsFile& file);
DiskResult<port::FileInfo> stat_path(const std::string& path);
DiskResult<void> remove(const std::string& path);
DiskResult<void> remove_all(const std::string& path);
DiskResult<void> rename(const std::string& from, const std::string& to);
DiskResult<void> make_directories(const std::string& path);
DiskResult<std::vector<std::string>> list(const std::string& path);
DiskResult<void> sync_directory(const std::string& path);
/// The number of the file system that a path is on.
DiskResult<std::uint64_t> device_of(const std::string& path);
/// A descriptor of a folder that is on `device`; kNotFound when it is on another.
DiskResult<int> open_directory(const std::string& path, std::uint64_t device);
DiskResult<port::SpaceInfo> space(const std::string& path);

}  // namespace blocking

/// The part of [position, position + into.size()) that is in the page cache, read without blocking;
/// -1 when none is.
[[nodiscard]] std::int64_t read_resident(const OsFile& file, std::uint64_t position,
                                         MutableBytes into);
/// True when every page of the range is in the page cache, so that sendfile will not wait for the
/// device.
[[nodiscard]] bool is_resident(const OsFile& file, std::uint64_t position, std::uint64_t length);

}  // namespace dlog::reactor
