#include "reactor/syncer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <expected>
#include <optional>

#include "base/assert.h"
#include "reactor/files.h"

namespace dlog::reactor {

using port::DiskError;
using port::DiskResult;
using port::FilePtr;

namespace {

/// Up to this many files and folders of one file system, syncing each is cheaper than one syncfs.
constexpr std::size_t kFew = 2;

bool is_kernel_at_least(int major, int minor) {
    utsname name{};
    if (::uname(&name) != 0) return false;
    int found_major = 0;
    int found_minor = 0;
    if (::sscanf(name.release, "%d.%d", &found_major, &found_minor) != 2) return false;
    return found_major > major || (found_major == major && found_minor >= minor);
}

}  // namespace

Syncer::Syncer() : is_syncfs_usable_(is_kernel_at_least(5, 8)) {}

Syncer::~Syncer() {
    for (const auto& [device, file_system] : file_systems_) {
        DLOG_ASSERT(!file_system.is_running, device);
        if (file_system.fd >= 0) ::close(file_system.fd);
    }
}

DiskResult<void> Syncer::sync(std::span<FilePtr> files, std::span<const std::string> directories) {
    std::map<std::uint64_t, Batch> batches;
    for (FilePtr& file : files) {
        OsFile& os = os_file(file);
        batches[os.device()].files.push_back(&os);
    }
    std::optional<DiskError> failure;
    for (const std::string& directory : directories) {
        const DiskResult<std::uint64_t> device = blocking::device_of(directory);
        if (!device) {
            failure = device.error();
        } else {
            batches[*device].directories.push_back(&directory);
        }
    }
    for (auto& [device, batch] : batches) {
        std::sort(batch.files.begin(), batch.files.end());
        batch.files.erase(std::unique(batch.files.begin(), batch.files.end()), batch.files.end());
        const DiskResult<void> synced = sync_batch(device, batch);
        if (!synced) failure = synced.error();
    }
    if (failure) return std::unexpected(*failure);
    return {};
}

DiskResult<void> Syncer::sync_batch(std::uint64_t device, const Batch& batch) {
    const bool is_any_distrusted =
        std::any_of(batch.files.begin(), batch.files.end(),
                    [](const OsFile* file) { return file->is_distrusted(); });
    if (batch.files.size() + batch.directories.size() > kFew && !is_any_distrusted) {
        const std::string folder = batch.directories.empty()
                                       ? port::parent_path(batch.files.front()->path())
                                       : *batch.directories.front();
        if (sync_file_system(device, folder)) return {};
    }
    std::optional<DiskError> failure;
    for (OsFile* const file : batch.files) {
        const DiskResult<void> synced = blocking::sync(*file);
        if (!synced) failure = synced.error();
    }
    for (const std::string* const directory : batch.directories) {
        const DiskResult<void> synced = blocking::sync_directory(*directory);
        if (!synced) failure = synced.error();
    }
    if (failure) return std::unexpected(*failure);
    return {};
}

bool Syncer::sync_file_system(std::uint64_t device, const std::string& folder) {
    if (!is_syncfs_usable_) return false;
    std::unique_lock lock(mutex_);
    FileSystem& file_system = file_systems_[device];
    if (file_system.fd < 0) {
        const DiskResult<int> fd = blocking::open_directory(folder, device);
        if (!fd) return false;
        file_system.fd = *fd;
    }
    // A round that has started may have passed our pages already; the next one covers them.
    const std::uint64_t wanted = file_system.started + 1;
    while (file_system.is_running && file_system.finished < wanted) round_ended_.wait(lock);
    if (file_system.finished < wanted) {
        DLOG_ASSERT(file_system.started + 1 == wanted, file_system.started, wanted);
        file_system.started = wanted;
        file_system.is_running = true;
        const int fd = file_system.fd;
        lock.unlock();
        const int status = ::syncfs(fd);
        lock.lock();
        file_system.is_running = false;
        file_system.finished = wanted;
        if (status != 0) file_system.last_failed = wanted;
        round_ended_.notify_all();
    }
    // A later round's failure counts as ours too: then each file is asked for itself.
    return file_system.last_failed < wanted;
}

}  // namespace dlog::reactor
