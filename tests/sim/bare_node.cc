#include "bare_node.h"

#include <utility>

#include "base/result.h"
#include "port/disk.h"
#include "port/net.h"

namespace dlog::simtest {

using port::Task;

port::Ports ports_with(sim::Host& host, port::Disk& disk) {
    const port::Ports& ports = host.ports();
    return {.clock = ports.clock,
            .disk = disk,
            .net = ports.net,
            .spawn = ports.spawn,
            .entropy = ports.entropy,
            .log = ports.log};
}

Task<bool> make_folder(port::Disk* disk, std::string data_dir) {
    const std::string topics = data_dir + "/topics";
    const auto made = co_await disk->make_directories(topics);
    if (!made) co_return false;
    std::vector<std::string> directories;
    directories.push_back(port::parent_path(topics));
    directories.push_back(port::parent_path(data_dir));
    const auto synced = co_await disk->sync({}, std::move(directories));
    co_return synced.has_value();
}

Task<replication::Result<std::vector<std::uint8_t>>> read_bytes(port::Disk* disk,
                                                                replication::PartitionPtr partition,
                                                                replication::ReadRequest request,
                                                                History* history) {
    auto read = co_await partition->read(request);
    if (!read) co_return unexpected(read.error());
    std::vector<std::uint8_t> bytes;
    for (port::OutPart& part : read->parts) {
        if (const auto* buffer = std::get_if<Buffer>(&part)) {
            bytes.insert(bytes.end(), buffer->view().begin(), buffer->view().end());
            continue;
        }
        const auto& range = std::get<port::FileRange>(part);
        const std::size_t before = bytes.size();
        bytes.resize(before + range.length);
        const auto count =
            co_await disk->read(range.file, range.position, MutableBytes(bytes).subspan(before));
        if (!count) co_return unexpected(replication::Error::kStorageFailed);
        if (*count < range.length) history->fail("a file range ends early");
    }
    co_return bytes;
}

}  // namespace dlog::simtest
