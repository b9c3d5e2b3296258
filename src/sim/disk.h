/// The Disk port's simulated body: an Image behind latencies and faults. Every operation takes
/// virtual time; a write shows itself before, after or in two parts around its wait, so that a
/// crash meets it under way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "port/disk.h"
#include "sim/image.h"
#include "sim/loop.h"
#include "sim/options.h"

namespace dlog::sim {

/// What the cores of a host share: the platters and the faults. It outlives every life of the host.
/// The methods below `loop` are a test's handles on it.
class HostDisk {
  public:
    HostDisk(Loop& loop, DiskOptions options)
        : options(options),
          loop(loop),
          image(options.capacity_bytes),
          random(loop.random().fork()) {}

    DiskOptions options;
    Loop& loop;
    Image image;
    Random random;
    Instant stalled_until{0};
    std::uint64_t life = 1;
    std::uint64_t syncs = 0;         // how many sync calls have ended well
    std::uint64_t failed_syncs = 0;  // in this life
    bool is_traced = false;          // operations are printed to stderr

    /// No operation ends before `until`.
    void stall(Instant until) { stalled_until = until; }
    void set_capacity(std::uint64_t bytes) { image.set_capacity_bytes(bytes); }
    /// Flips a bit of a file at rest; false when there is no such byte.
    bool flip_bit(std::string_view path, std::uint64_t position, unsigned bit);
    /// What a reader of the file would see now; empty when there is none.
    [[nodiscard]] std::vector<std::uint8_t> contents(std::string_view path) const;
    void lose_power();
    void forget_handles();
};

class SimDisk final : public port::Disk {
  public:
    SimDisk(HostDisk& host, Place& place)
        : host_(host), place_(place), random_(host.random.fork()) {}

    port::Task<port::DiskResult<port::FilePtr>> open(std::string path,
                                                     port::OpenMode mode) override;
    port::Task<port::DiskResult<std::size_t>> read(port::FilePtr file, std::uint64_t position,
                                                   MutableBytes into) override;
    port::Task<port::DiskResult<void>> write(port::FilePtr file, std::uint64_t position,
                                             std::vector<Buffer> parts) override;
    port::Task<port::DiskResult<void>> sync(std::vector<port::FilePtr> files,
                                            std::vector<std::string> directories) override;
    port::Task<port::DiskResult<void>> truncate(port::FilePtr file, std::uint64_t size) override;
    port::Task<port::DiskResult<port::FileInfo>> stat(port::FilePtr file) override;
    port::Task<port::DiskResult<port::FileInfo>> stat_path(std::string path) override;
    port::Task<port::DiskResult<void>> remove(std::string path) override;
    port::Task<port::DiskResult<void>> remove_all(std::string path) override;
    port::Task<port::DiskResult<void>> rename(std::string from, std::string to) override;
    port::Task<port::DiskResult<void>> make_directories(std::string path) override;
    port::Task<port::DiskResult<std::vector<std::string>>> list(std::string path) override;
    port::Task<port::DiskResult<port::SpaceInfo>> space(std::string path) override;
    port::Task<port::DiskResult<port::FilePtr>> lock(std::string path) override;

  private:
    [[nodiscard]] Pause busy(const Latency& latency);
    void fold(std::string_view operation, std::string_view path, std::uint64_t number);

    HostDisk& host_;
    Place& place_;
    Random random_;
};

/// Reads a file that was opened on a SimDisk, at once and without errors; returns how many bytes
/// there were.
std::size_t read_open_file(const port::File& file, std::uint64_t position, MutableBytes into);

}  // namespace dlog::sim
