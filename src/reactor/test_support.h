/// What the tests of this room share.
#pragma once

#include <dirent.h>
#include <stdlib.h>

#include <cstddef>
#include <filesystem>
#include <string>

#include "base/assert.h"

namespace dlog::reactor {

/// How many descriptors this process has open.
[[nodiscard]] inline std::size_t open_descriptor_count() {
    DIR* const folder = ::opendir("/proc/self/fd");
    DLOG_ASSERT(folder != nullptr);
    std::size_t count = 0;
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
}

/// A folder that is removed with all that is in it.
class TempFolder {
  public:
    TempFolder() : path_(std::filesystem::temp_directory_path() / "dlog-reactor-XXXXXX") {
        DLOG_ASSERT(::mkdtemp(path_.data()) != nullptr, path_);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    ~TempFolder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace dlog::reactor
