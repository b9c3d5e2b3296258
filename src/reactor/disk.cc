#include "reactor/disk.h"

#include <utility>

#include "base/assert.h"
#include "reactor/files.h"

namespace dlog::reactor {

using port::FilePtr;

namespace {

/// Longer reads go to the pool even when they are in memory: copying them would hold up the loop.
constexpr std::size_t kInlineReadMax = 256 * 1024;

}  // namespace

CoreDisk::Result<FilePtr> CoreDisk::open(std::string path, port::OpenMode mode) {
    co_return co_await on_pool([&] { return blocking::open(path, mode, io_pool_); });
}

CoreDisk::Result<std::size_t> CoreDisk::read(FilePtr file, std::uint64_t position,
                                             MutableBytes into) {
    DLOG_ASSERT(file != nullptr);
    std::size_t done = 0;
    if (into.size() <= kInlineReadMax) {
        const std::int64_t count = read_resident(os_file(file), position, into);
        if (count > 0) done = static_cast<std::size_t>(count);
        if (count == 0 || done == into.size()) co_return done;  // at the end, or all of it
    }
    auto rest = co_await on_pool(
        [&] { return blocking::read(os_file(file), position + done, into.subspan(done)); });
    if (rest) *rest += done;
    co_return rest;
}

CoreDisk::Result<void> CoreDisk::write(FilePtr file, std::uint64_t position,
                                       std::vector<Buffer> parts) {
    DLOG_ASSERT(file != nullptr);
    std::size_t size_bytes = 0;
    for (const Buffer& part : parts) size_bytes += part.size();
    co_return co_await BlockingWrite(
        loop_, size_bytes, [&] { return blocking::write(os_file(file), position, parts); });
}

CoreDisk::Result<void> CoreDisk::sync(std::vector<FilePtr> files,
                                      std::vector<std::string> directories) {
    if (files.empty() && directories.empty()) co_return port::DiskResult<void>();
    co_return co_await on_pool([&] { return syncer_.sync(files, directories); });
}

CoreDisk::Result<void> CoreDisk::truncate(FilePtr file, std::uint64_t size) {
    co_return co_await on_pool([&] { return blocking::truncate(os_file(file), size); });
}

CoreDisk::Result<port::FileInfo> CoreDisk::stat(FilePtr file) {
    co_return co_await on_pool([&] { return blocking::stat(os_file(file)); });
}

CoreDisk::Result<port::FileInfo> CoreDisk::stat_path(std::string path) {
    co_return co_await on_pool([&] { return blocking::stat_path(path); });
}

CoreDisk::Result<void> CoreDisk::remove(std::string path) {
    co_return co_await on_pool([&] { return blocking::remove(path); });
}

CoreDisk::Result<void> CoreDisk::remove_all(std::string path) {
    co_return co_await on_pool([&] { return blocking::remove_all(path); });
}

CoreDisk::Result<void> CoreDisk::rename(std::string from, std::string to) {
    co_return co_await on_pool([&] { return blocking::rename(from, to); });
}

CoreDisk::Result<void> CoreDisk::make_directories(std::string path) {
    co_return co_await on_pool([&] { return blocking::make_directories(path); });
}

CoreDisk::Result<std::vector<std::string>> CoreDisk::list(std::string path) {
    co_return co_await on_pool([&] { return blocking::list(path); });
}

CoreDisk::Result<port::SpaceInfo> CoreDisk::space(std::string path) {
    co_return co_await on_pool([&] { return blocking::space(path); });
}

CoreDisk::Result<FilePtr> CoreDisk::lock(std::string path) {
    co_return co_await on_pool([&] { return blocking::lock(path); });
}

}  // namespace dlog::reactor
