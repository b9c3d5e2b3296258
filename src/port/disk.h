/// The Disk port: files and folders. No call blocks a core's loop.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "port/task.h"

namespace dlog::port {

enum class DiskError : std::uint8_t {
    kNotFound,
    kExists,
    kNoSpace,       ///< The device or a quota is full; the operation may be tried again later.
    kLocked,        ///< Another process holds the lock file.
    kTooManyFiles,  ///< The process has no file descriptors left.
    kDenied,
    kIo,  ///< The device failed; what was being written may or may not be there.
};

[[nodiscard]] std::string_view disk_error_name(DiskError error);

template <class T>
using DiskResult = std::expected<T, DiskError>;

/// An open file. Closed when the last reference goes. Positions are explicit; there is no file
/// cursor.
class File {
  public:
    virtual ~File() = default;
    [[nodiscard]] virtual const std::string& path() const = 0;
};
using FilePtr = std::shared_ptr<File>;

enum class OpenMode : std::uint8_t {
    kRead,       ///< Must exist.
    kReadWrite,  ///< Must exist.
    kCreate,     ///< Read and write; made empty when it does not exist.
    kCreateNew,  ///< Read and write; fails with kExists when it exists.
};

struct FileInfo {
    std::uint64_t size_bytes = 0;
    bool is_directory = false;
};

struct SpaceInfo {
    std::uint64_t free_bytes = 0;
    std::uint64_t total_bytes = 0;
};

/// Paths are relative to the process or absolute, '/'-separated. What `write` wrote is seen by
/// `read` and by `Connection::write` at once, but survives a crash of the machine only after
/// `sync`; a name that was made, removed or renamed survives one only after its folder was synced.
class Disk {
  public:
    virtual ~Disk() = default;

    virtual Task<DiskResult<FilePtr>> open(std::string path, OpenMode mode) = 0;
    /// Reads up to into.size() bytes; returns how many, fewer only at the file's end.
    virtual Task<DiskResult<std::size_t>> read(FilePtr file, std::uint64_t position,
                                               MutableBytes into) = 0;
    /// Writes all parts one after another from `position` on. After an error any prefix of each
    /// page may be there.
    virtual Task<DiskResult<void>> write(FilePtr file, std::uint64_t position,
                                         std::vector<Buffer> parts) = 0;
    /// Returns when everything written to all of `files` before the call, and the names in all of
    /// `directories`, are on stable storage. One call for many files costs much less than many
    /// calls.
    virtual Task<DiskResult<void>> sync(std::vector<FilePtr> files,
                                        std::vector<std::string> directories) = 0;
    virtual Task<DiskResult<void>> truncate(FilePtr file, std::uint64_t size) = 0;
    virtual Task<DiskResult<FileInfo>> stat(FilePtr file) = 0;

    virtual Task<DiskResult<FileInfo>> stat_path(std::string path) = 0;
    virtual Task<DiskResult<void>> remove(std::string path) = 0;
    /// Removes a folder and all that is in it.
    virtual Task<DiskResult<void>> remove_all(std::string path) = 0;
    /// Replaces `to` when it exists.
    virtual Task<DiskResult<void>> rename(std::string from, std::string to) = 0;
    /// Makes the folder and its parents; no error when it is there already.
    virtual Task<DiskResult<void>> make_directories(std::string path) = 0;
    /// Names of a folder's entries, sorted, without "." and "..".
    virtual Task<DiskResult<std::vector<std::string>>> list(std::string path) = 0;
    virtual Task<DiskResult<SpaceInfo>> space(std::string path) = 0;
    /// Creates the file and holds an exclusive lock on it until the result is dropped. kLocked when
    /// another process has it.
    virtual Task<DiskResult<FilePtr>> lock(std::string path) = 0;
};

/// Reads the whole file; kNotFound when it is not there.
Task<DiskResult<Buffer>> read_file(Disk& disk, std::string path, std::uint64_t limit_bytes);

/// Writes a file with `contents` and nothing else under `path`, not yet on stable storage.
Task<DiskResult<FilePtr>> write_file(Disk& disk, std::string path, Buffer contents);

/// Replaces `path` by a file with `contents` so that a crash leaves either the old or the new one:
/// writes `path`.tmp, syncs it, renames it and syncs the folder.
Task<DiskResult<void>> replace_file(Disk& disk, std::string path, Buffer contents);

/// The folder part of a path, "." when it has none.
[[nodiscard]] std::string parent_path(std::string_view path);

}  // namespace dlog::port
