#include "disk_faults.h"

#include <algorithm>
#include <span>

#include "base/assert.h"
#include "base/bytes.h"
#include "record/batch.h"
#include "storage/checkpoint.h"
#include "storage/segment.h"

namespace dlog::simtest {

std::vector<BatchAt> batches_of(const std::vector<std::uint8_t>& segment) {
    std::vector<BatchAt> batches;
    record::BatchSplitter splitter(segment);
    while (true) {
        const auto item = splitter.next();
        if (!item || !*item) return batches;
        const record::BatchHeader& header = (*item)->header;
        // What a flip has hit before may say anything of itself.
        const bool continues =
            batches.empty() || header.base_offset.value == batches.back().last_offset + 1;
        if (!continues || !record::verify_crc((*item)->bytes)) return batches;
        batches.push_back(
            {.position = static_cast<std::uint64_t>((*item)->bytes.data() - segment.data()),
             .size_bytes = (*item)->bytes.size(),
             .first_offset = header.base_offset.value,
             .last_offset = header.last_offset().value});
    }
}

BatchAt flip_in_sealed_segment(sim::Host& host, Random& random, std::string_view folder) {
    const std::string checkpoint =
        std::string(folder) + "/" + std::string(storage::kCheckpointFileName);
    const auto image = storage::decode_checkpoint(host.disk().contents(checkpoint));
    if (!image || image->segments.size() < 2) return {};
    const Offset segment = image->segments[random.below(image->segments.size() - 1)].base_offset;
    const std::string path =
        std::string(folder) + "/" + storage::segment_file_name(segment, storage::FileKind::kLog);
    const std::vector<BatchAt> batches = batches_of(host.disk().contents(path));
    if (batches.empty() || batches.front().first_offset != segment.value) return {};
    const BatchAt& batch = batches[random.below(batches.size())];
    const std::uint64_t position = batch.position + random.below(batch.size_bytes);
    const bool was_flipped =
        host.disk().flip_bit(path, position, static_cast<unsigned>(random.below(8)));
    DLOG_ASSERT(was_flipped, path, position);
    return batch;
}

bool cut_out_batch(sim::Host& host, Random& random, std::string_view folder) {
    const std::string checkpoint =
        std::string(folder) + "/" + std::string(storage::kCheckpointFileName);
    const auto image = storage::decode_checkpoint(host.disk().contents(checkpoint));
    if (!image) return false;
    const storage::LogPosition from = image->recovery_point();
    const std::string path = std::string(folder) + "/" +
                             storage::segment_file_name(from.segment, storage::FileKind::kLog);
    std::vector<std::uint8_t> bytes = host.disk().contents(path);
    std::vector<BatchAt> batches = batches_of(bytes);
    std::erase_if(batches, [&](const BatchAt& batch) { return batch.position < from.position; });
    if (batches.size() < 2) return false;
    const std::size_t at = random.below(batches.size() - 1);
    const BatchAt& gone = batches[at];
    for (const BatchAt& batch : std::span(batches).subspan(at + 1)) {
        // A batch's checksum does not cover its offset.
        store_big_endian(bytes.data() + batch.position,
                         batch.first_offset - (gone.last_offset + 1 - gone.first_offset));
    }
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(gone.position);
    bytes.erase(first, first + static_cast<std::ptrdiff_t>(gone.size_bytes));
    sim::Image& files = host.disk().image;
    const auto file = files.find(path);
    DLOG_ASSERT(file.has_value(), path);
    files.truncate(**file, 0);
    const auto written = files.write(**file, 0, bytes);
    DLOG_ASSERT(written.has_value(), path);
    sim::Image::sync_file(**file, files.sequence());
    return true;
}

std::string_view inflict_disk_fault(sim::World& world, sim::Host& host, Random& random) {
    sim::HostDisk& disk = host.disk();
    switch (random.below(5)) {
        case 0:
            disk.stall(world.now() + milliseconds(random.between(50, 3000)));
            return "FAULT: the disk stalls";
        case 1:
            disk.set_capacity(disk.image.used_bytes() + random.below(8) * sim::kPageBytes);
            return "FAULT: the disk is full";
        case 2:
            disk.options.write_error = {static_cast<std::uint32_t>(random.between(2, 30))};
            return "FAULT: writes fail";
        case 3:
            disk.options.sync_error = {static_cast<std::uint32_t>(random.between(2, 10))};
            return "FAULT: syncs fail";
        default:
            disk.options.sync.slow_one_in = 2;
            disk.options.sync.slow_factor = 500;
            return "FAULT: syncs are slow";
    }
}

}  // namespace dlog::simtest
