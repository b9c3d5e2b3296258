/// What a reader gets, for tests.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "port/disk.h"
#include "port/net.h"
#include "port/task.h"

namespace dlog::replication {

/// The bytes of a read, from memory or file, as a connection would send them.
inline port::Task<port::DiskResult<std::vector<std::uint8_t>>> bytes_of(
    port::Disk* disk, std::vector<port::OutPart> parts) {
    std::vector<std::uint8_t> bytes;
    for (port::OutPart& part : parts) {
        DLOG_CO_TRY_ASSIGN(const Buffer piece, co_await port::load(*disk, std::move(part)));
        bytes.insert(bytes.end(), piece.data(), piece.data() + piece.size());
    }
    co_return bytes;
}

}  // namespace dlog::replication
