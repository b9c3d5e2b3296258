#include "port/disk.h"

#include <utility>

#include "base/result.h"

namespace dlog::port {

std::string_view disk_error_name(DiskError error) {
    switch (error) {
        case DiskError::kNotFound:
            return "not found";
        case DiskError::kExists:
            return "already exists";
        case DiskError::kNoSpace:
            return "no space left on device";
        case DiskError::kLocked:
            return "locked by another process";
        case DiskError::kTooManyFiles:
            return "too many open files";
        case DiskError::kDenied:
            return "permission denied";
        case DiskError::kIo:
            return "input/output error";
    }
    return "unknown disk error";
}

Task<DiskResult<Buffer>> read_file(Disk& disk, std::string path, std::uint64_t limit_bytes) {
    DLOG_CO_TRY_ASSIGN(const FilePtr file, co_await disk.open(std::move(path), OpenMode::kRead));
    DLOG_CO_TRY_ASSIGN(const FileInfo info, co_await disk.stat(file));
    if (info.size_bytes > limit_bytes) co_return unexpected(DiskError::kIo);
    Buffer contents = Buffer::allocate(info.size_bytes);
    DLOG_CO_TRY_ASSIGN(const std::size_t count,
                       co_await disk.read(file, 0, contents.mutable_view()));
    co_return contents.slice(0, count);
}

Task<DiskResult<FilePtr>> write_file(Disk& disk, std::string path, Buffer contents) {
    DLOG_CO_TRY_ASSIGN(const FilePtr file, co_await disk.open(std::move(path), OpenMode::kCreate));
    DLOG_CO_TRY(co_await disk.truncate(file, 0));
    std::vector<Buffer> parts;
    parts.push_back(std::move(contents));
    DLOG_CO_TRY(co_await disk.write(file, 0, std::move(parts)));
    co_return file;
}

Task<DiskResult<void>> replace_file(Disk& disk, std::string path, Buffer contents) {
    const std::string temporary = path + ".tmp";
    std::vector<FilePtr> files(1);
    DLOG_CO_TRY_ASSIGN(files[0], co_await write_file(disk, temporary, std::move(contents)));
    DLOG_CO_TRY(co_await disk.sync(std::move(files), {}));
    DLOG_CO_TRY(co_await disk.rename(temporary, path));
    std::vector<std::string> directories;
    directories.push_back(parent_path(path));
    co_return co_await disk.sync({}, std::move(directories));
}

std::string parent_path(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return ".";
    return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

}  // namespace dlog::port
