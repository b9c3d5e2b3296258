/// A canary: a Disk whose syncs report success at once and happen a little later. A node on it
/// acknowledges before it flushes.
#pragma once

#include <string>
#include <vector>

#include "port/disk.h"
#include "port/spawn.h"

namespace dlog::simtest {

class EagerDisk final : public port::Disk {
  public:
    EagerDisk(port::Disk& real, port::Spawn& spawn) : real_(real), spawn_(spawn) {}

    port::Task<port::DiskResult<void>> sync(std::vector<port::FilePtr> files,
                                            std::vector<std::string> directories) override {
        spawn_.spawn(sync_later(real_, std::move(files), std::move(directories)));
        co_return port::DiskResult<void>();
    }

    port::Task<port::DiskResult<port::FilePtr>> open(std::string path,
                                                     port::OpenMode mode) override {
        return real_.open(std::move(path), mode);
    }
    port::Task<port::DiskResult<std::size_t>> read(port::FilePtr file, std::uint64_t position,
                                                   MutableBytes into) override {
        return real_.read(std::move(file), position, into);
    }
    port::Task<port::DiskResult<void>> write(port::FilePtr file, std::uint64_t position,
                                             std::vector<Buffer> parts) override {
        return real_.write(std::move(file), position, std::move(parts));
    }
    port::Task<port::DiskResult<void>> truncate(port::FilePtr file, std::uint64_t size) override {
        return real_.truncate(std::move(file), size);
    }
    port::Task<port::DiskResult<port::FileInfo>> stat(port::FilePtr file) override {
        return real_.stat(std::move(file));
    }
    port::Task<port::DiskResult<port::FileInfo>> stat_path(std::string path) override {
        return real_.stat_path(std::move(path));
    }
    port::Task<port::DiskResult<void>> remove(std::string path) override {
        return real_.remove(std::move(path));
    }
    port::Task<port::DiskResult<void>> remove_all(std::string path) override {
        return real_.remove_all(std::move(path));
    }
    port::Task<port::DiskResult<void>> rename(std::string from, std::string to) override {
        return real_.rename(std::move(from), std::move(to));
    }
    port::Task<port::DiskResult<void>> make_directories(std::string path) override {
        return real_.make_directories(std::move(path));
    }
    port::Task<port::DiskResult<std::vector<std::string>>> list(std::string path) override {
        return real_.list(std::move(path));
    }
    port::Task<port::DiskResult<port::SpaceInfo>> space(std::string path) override {
        return real_.space(std::move(path));
    }
    port::Task<port::DiskResult<port::FilePtr>> lock(std::string path) override {
        return real_.lock(std::move(path));
    }

  private:
    static port::Task<void> sync_later(port::Disk& real, std::vector<port::FilePtr> files,
                                       std::vector<std::string> directories) {
        (void)co_await real.sync(std::move(files), std::move(directories));
    }

    port::Disk& real_;
    port::Spawn& spawn_;
};

}  // namespace dlog::simtest
