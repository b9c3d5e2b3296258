/// The real Disk of one core: every call that may block runs on the node's I/O pool.
#pragma once

#include <memory>

#include "port/disk.h"
#include "reactor/loop.h"
#include "reactor/syncer.h"

namespace dlog::reactor {

/// Owned by one core. Reads of what the page cache holds are answered at once, on the loop.
class CoreDisk final : public port::Disk {
  public:
    CoreDisk(Loop& loop, std::shared_ptr<WorkerPool> io_pool, Syncer& syncer)
        : loop_(loop), io_pool_(std::move(io_pool)), syncer_(syncer) {}

    template <class T>
    using Result = port::Task<port::DiskResult<T>>;

    Result<port::FilePtr> open(std::string path, port::OpenMode mode) override;
    Result<std::size_t> read(port::FilePtr file, std::uint64_t position,
                             MutableBytes into) override;
    Result<void> write(port::FilePtr file, std::uint64_t position,
                       std::vector<Buffer> parts) override;
    Result<void> sync(std::vector<port::FilePtr> files,
                      std::vector<std::string> directories) override;
    Result<void> truncate(port::FilePtr file, std::uint64_t size) override;
    Result<port::FileInfo> stat(port::FilePtr file) override;
    Result<port::FileInfo> stat_path(std::string path) override;
    Result<void> remove(std::string path) override;
    Result<void> remove_all(std::string path) override;
    Result<void> rename(std::string from, std::string to) override;
    Result<void> make_directories(std::string path) override;
    Result<std::vector<std::string>> list(std::string path) override;
    Result<port::SpaceInfo> space(std::string path) override;
    Result<port::FilePtr> lock(std::string path) override;

  private:
    template <class Work>
    [[nodiscard]] BlockingCall<Work> on_pool(Work work) {
        return BlockingCall<Work>(loop_, nullptr, std::move(work));
    }

    Loop& loop_;
    const std::shared_ptr<WorkerPool> io_pool_;
    Syncer& syncer_;
};

}  // namespace dlog::reactor
