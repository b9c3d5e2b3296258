/// Gathers the syncs of one core: all that are asked for while one is under way go out together as
/// the next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "port/disk.h"
#include "port/ports.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::replication {

/// Belongs to one core. Under load a thousand partitions cost a few calls of Disk::sync, because
/// everyone who comes while the device is busy shares the next call.
class Flusher {
  public:
    explicit Flusher(const port::Ports& ports) : ports_(ports) {}
    Flusher(const Flusher&) = delete;
    Flusher& operator=(const Flusher&) = delete;

    /// Returns when what was written to `files` and the names in `directories` are on stable
    /// storage. A failure is told to everyone who shared the call.
    [[nodiscard]] port::Task<port::DiskResult<void>> sync(std::vector<port::FilePtr> files,
                                                          std::vector<std::string> directories);

    [[nodiscard]] std::uint64_t syncs() const { return syncs_; }
    [[nodiscard]] std::uint64_t requests() const { return requests_; }

  private:
    /// One call of Disk::sync and those who wait for it.
    struct Round {
        std::vector<port::FilePtr> files;
        std::vector<std::string> directories;
        port::DiskResult<void> result;
        port::Notifier done;
        bool is_done = false;
    };
    using RoundPtr = std::shared_ptr<Round>;

    static port::Task<void> run(Flusher& self);

    const port::Ports& ports_;
    RoundPtr gathering_;
    bool is_running_ = false;
    std::uint64_t syncs_ = 0;
    std::uint64_t requests_ = 0;
};

}  // namespace dlog::replication
