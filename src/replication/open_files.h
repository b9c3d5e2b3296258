/// The open files of one core's partitions, bounded: the least recently used is closed first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/lru.h"
#include "port/disk.h"
#include "port/task.h"

namespace dlog::replication {

/// Belongs to one core. A file that somebody still uses stays open after it was dropped from here.
class OpenFiles {
  public:
    OpenFiles(port::Disk& disk, std::size_t capacity) : disk_(disk), files_(capacity) {}

    /// The file under `path`, opened for reading and writing unless it is open already; made when
    /// `may_create`.
    [[nodiscard]] port::Task<port::DiskResult<port::FilePtr>> get(std::string path,
                                                                  bool may_create = false);
    /// The file under `path` is another one, or none, from now on.
    void forget(const std::string& path) {
        files_.erase(path);
        ++changes_;
    }
    /// Drops what lies in `folder`, which is being removed.
    void forget_folder(const std::string& folder) {
        files_.erase_prefix(folder + "/");
        ++changes_;
    }

  private:
    port::Disk& disk_;
    Lru<port::FilePtr> files_;
    std::uint64_t changes_ = 0;
};

}  // namespace dlog::replication
