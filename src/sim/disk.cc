#include "sim/disk.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "sim/core.h"

namespace dlog::sim {

using port::DiskError;
using port::DiskResult;
using port::FileInfo;
using port::FilePtr;
using port::OpenMode;
using port::Task;

namespace {

class SimFile final : public port::File {
  public:
    SimFile(HostDisk& host, InodePtr inode, std::string path)
        : host_(host), inode_(std::move(inode)), path_(std::move(path)), life_(host.life) {
        host_.image.opened(*inode_);
    }
    ~SimFile() override {
        if (life_ != host_.life) return;
        if (inode_->locked_by == this) inode_->locked_by = nullptr;
        host_.image.closed(*inode_);
    }
    [[nodiscard]] const std::string& path() const override { return path_; }
    [[nodiscard]] Inode& inode() const {
        DLOG_ASSERT(life_ == host_.life, path_);
        return *inode_;
    }
    void lock() { inode_->locked_by = this; }

  private:
    HostDisk& host_;
    InodePtr inode_;
    std::string path_;
    std::uint64_t life_;
};

Inode& inode_of(const port::File& file) {
    return static_cast<const SimFile&>(file).inode();
}

}  // namespace

std::size_t read_open_file(const port::File& file, std::uint64_t position, MutableBytes into) {
    return Image::read(inode_of(file), position, into);
}

bool HostDisk::flip_bit(std::string_view path, std::uint64_t position, unsigned bit) {
    const DiskResult<InodePtr> found = image.find(path);
    if (!found || (*found)->is_directory || position >= (*found)->size) return false;
    loop.effects().fold(Effect::kDisk, position, bit);
    Image::flip_bit(**found, position, bit);
    return true;
}

std::vector<std::uint8_t> HostDisk::contents(std::string_view path) const {
    const DiskResult<InodePtr> found = image.find(path);
    if (!found || (*found)->is_directory) return {};
    std::vector<std::uint8_t> bytes((*found)->size);
    Image::read(**found, 0, bytes);
    return bytes;
}

void HostDisk::lose_power() {
    ++life;
    failed_syncs = 0;
    image.lose_power(random);
    for (const std::string& path : image.files_under("/")) {
        loop.effects().fold_text(path);
        loop.effects().fold_bytes(contents(path));
    }
}

void HostDisk::forget_handles() {
    ++life;
    failed_syncs = 0;
    image.forget_handles();
}

Pause SimDisk::busy(const Latency& latency) {
    host_.loop.assert_may_use(place_);
    const Instant start =
        host_.stalled_until > host_.loop.now() ? host_.stalled_until : host_.loop.now();
    return Pause(host_.loop, place_, start + draw(random_, latency));
}

void SimDisk::fold(std::string_view operation, std::string_view path, std::uint64_t number) {
    if (host_.is_traced) {
        std::fprintf(stderr, "%12.6f disk %.*s %.*s %llu\n",
                     Duration{host_.loop.now().ns}.seconds(), static_cast<int>(operation.size()),
                     operation.data(), static_cast<int>(path.size()), path.data(),
                     static_cast<unsigned long long>(number));
    }
    host_.loop.effects().fold(Effect::kDisk, number);
    host_.loop.effects().fold_text(operation);
    host_.loop.effects().fold_text(path);
}

Task<DiskResult<FilePtr>> SimDisk::open(std::string path, OpenMode mode) {
    co_await busy(host_.options.names);
    fold("open", path, static_cast<std::uint64_t>(mode));
    DLOG_CO_TRY_ASSIGN(InodePtr inode, host_.image.open(path, mode));
    co_return std::make_shared<SimFile>(host_, std::move(inode), std::move(path));
}

Task<DiskResult<std::size_t>> SimDisk::read(FilePtr file, std::uint64_t position,
                                            MutableBytes into) {
    co_await busy(host_.options.read);
    fold("read", file->path(), position);
    if (happens(random_, host_.options.read_error)) co_return unexpected(DiskError::kIo);
    const std::size_t count = Image::read(inode_of(*file), position, into);
    host_.loop.effects().fold_bytes(into.first(count));
    co_return count;
}

Task<DiskResult<void>> SimDisk::write(FilePtr file, std::uint64_t position,
                                      std::vector<Buffer> parts) {
    std::vector<std::uint8_t> bytes;
    for (const Buffer& part : parts) {
        bytes.insert(bytes.end(), part.view().begin(), part.view().end());
    }
    fold("write", file->path(), position);
    host_.loop.effects().fold_bytes(bytes);
    std::size_t early = 0;
    switch (random_.below(3)) {
        case 0:
            early = bytes.size();
            break;
        case 1:
            early = random_.below(bytes.size() + 1);
            break;
        default:
            break;
    }
    const ByteView all = bytes;
    // Each part is at most a page of the cache, which is what writers and readers race on.
    const auto put = [this, &file](std::uint64_t at, ByteView part) {
        return host_.image.write(inode_of(*file), at, part);
    };
    const DiskResult<void> first = put(position, all.first(early));
    co_await busy(host_.options.write);
    fold("written", file->path(), position + bytes.size());
    if (!first) co_return unexpected(first.error());
    ByteView rest = all.subspan(early);
    if (happens(random_, host_.options.write_error)) {
        (void)put(position + early, rest.first(random_.below(rest.size() + 1)));
        fold("write failed", file->path(), position);
        co_return unexpected(DiskError::kIo);
    }
    co_return put(position + early, rest);
}

Task<DiskResult<void>> SimDisk::sync(std::vector<FilePtr> files,
                                     std::vector<std::string> directories) {
    const std::uint64_t until = host_.image.sequence();
    for (const FilePtr& file : files) fold("sync begins", file->path(), until);
    co_await busy(host_.options.sync);
    fold("sync", "", files.size() + directories.size());
    if (happens(random_, host_.options.sync_error)) {
        ++host_.failed_syncs;
        for (const FilePtr& file : files) fold("sync failed", file->path(), until);
        for (const FilePtr& file : files) {
            Image::fail_sync_of_file(inode_of(*file), until, random_);
        }
        co_return unexpected(DiskError::kIo);
    }
    for (const std::string& path : directories) {
        DLOG_CO_TRY_ASSIGN(const InodePtr directory, host_.image.find(path));
        if (!directory->is_directory) co_return unexpected(DiskError::kNotFound);
        if (!host_.options.sync_lies) host_.image.sync_directory(directory, until);
    }
    for (const FilePtr& file : files) {
        fold("synced", file->path(), until);
        if (!host_.options.sync_lies) Image::sync_file(inode_of(*file), until);
    }
    ++host_.syncs;
    co_return DiskResult<void>();
}

Task<DiskResult<void>> SimDisk::truncate(FilePtr file, std::uint64_t size) {
    co_await busy(host_.options.names);
    fold("truncate", file->path(), size);
    if (happens(random_, host_.options.write_error)) co_return unexpected(DiskError::kIo);
    host_.image.truncate(inode_of(*file), size);
    co_return DiskResult<void>();
}

Task<DiskResult<FileInfo>> SimDisk::stat(FilePtr file) {
    co_await busy(host_.options.names);
    co_return FileInfo{.size_bytes = inode_of(*file).size, .is_directory = false};
}

Task<DiskResult<FileInfo>> SimDisk::stat_path(std::string path) {
    co_await busy(host_.options.names);
    DLOG_CO_TRY_ASSIGN(const InodePtr inode, host_.image.find(path));
    co_return FileInfo{.size_bytes = inode->size, .is_directory = inode->is_directory};
}

Task<DiskResult<void>> SimDisk::remove(std::string path) {
    co_await busy(host_.options.names);
    fold("remove", path, 0);
    co_return host_.image.remove(path);
}

Task<DiskResult<void>> SimDisk::remove_all(std::string path) {
    co_await busy(host_.options.names);
    fold("remove all", path, 0);
    co_return host_.image.remove_all(path);
}

Task<DiskResult<void>> SimDisk::rename(std::string from, std::string to) {
    co_await busy(host_.options.names);
    fold("rename", from, 0);
    host_.loop.effects().fold_text(to);
    co_return host_.image.rename(from, to);
}

Task<DiskResult<void>> SimDisk::make_directories(std::string path) {
    co_await busy(host_.options.names);
    fold("make directories", path, 0);
    co_return host_.image.make_directories(path);
}

Task<DiskResult<std::vector<std::string>>> SimDisk::list(std::string path) {
    co_await busy(host_.options.names);
    DLOG_CO_TRY_ASSIGN(const InodePtr inode, host_.image.find(path));
    if (!inode->is_directory) co_return unexpected(DiskError::kNotFound);
    std::vector<std::string> names;
    for (const auto& [name, child] : inode->entries) names.push_back(name);
    co_return names;
}

Task<DiskResult<port::SpaceInfo>> SimDisk::space(std::string path) {
    co_await busy(host_.options.names);
    DLOG_CO_TRY(host_.image.find(path));
    const std::uint64_t total = host_.image.capacity_bytes();
    const std::uint64_t used = std::min(host_.image.used_bytes(), total);
    co_return port::SpaceInfo{.free_bytes = total - used, .total_bytes = total};
}

Task<DiskResult<FilePtr>> SimDisk::lock(std::string path) {
    co_await busy(host_.options.names);
    fold("lock", path, 0);
    DLOG_CO_TRY_ASSIGN(const InodePtr inode, host_.image.open(path, OpenMode::kCreate));
    if (inode->locked_by != nullptr) co_return unexpected(DiskError::kLocked);
    auto file = std::make_shared<SimFile>(host_, inode, std::move(path));
    file->lock();
    co_return file;
}

}  // namespace dlog::sim
