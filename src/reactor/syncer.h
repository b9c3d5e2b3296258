/// Makes many files durable with few system calls.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "port/disk.h"

namespace dlog::reactor {

class OsFile;

/// One for a node, used by the I/O pool's threads. Up to two files and folders of one file system
/// are synced by fdatasync and fsync, one after the other; more of them by one syncfs, which covers
/// folders too. One syncfs runs at a time on each file system: those who come meanwhile share the
/// next. syncfs reports a failed writeback since Linux 5.8, and only once to each descriptor: hence
/// one descriptor of our own for each file system, and after a failure each file is asked by
/// fdatasync, which keeps its own account. Before 5.8 every file is synced by fdatasync.
class Syncer {
  public:
    Syncer();
    Syncer(const Syncer&) = delete;
    Syncer& operator=(const Syncer&) = delete;
    ~Syncer();

    [[nodiscard]] port::DiskResult<void> sync(std::span<port::FilePtr> files,
                                              std::span<const std::string> directories);

  private:
    /// One file system's descriptor and the rounds of syncfs on it, numbered from 1.
    struct FileSystem {
        int fd = -1;
        bool is_running = false;
        std::uint64_t started = 0;
        std::uint64_t finished = 0;
        std::uint64_t last_failed = 0;
    };
    /// What one call wants of one file system.
    struct Batch {
        std::vector<OsFile*> files;
        std::vector<const std::string*> directories;
    };
    [[nodiscard]] port::DiskResult<void> sync_batch(std::uint64_t device, const Batch& batch);
    /// False when syncfs could not be used or failed. `folder` is any of that file system.
    [[nodiscard]] bool sync_file_system(std::uint64_t device, const std::string& folder);

    std::mutex mutex_;
    std::condition_variable round_ended_;
    std::map<std::uint64_t, FileSystem> file_systems_;  // by device number
    const bool is_syncfs_usable_;
};

}  // namespace dlog::reactor
