// How a segment that compaction has rewritten takes its place in a partition's folder. The order of
// the steps, each on stable storage before the next, is what docs/formats/segment.md describes.

#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "replication/partition_folder.h"
#include "replication/services.h"

namespace dlog::replication {

using port::DiskError;
using port::DiskResult;
using port::FilePtr;
using port::Task;
using storage::FileKind;
using storage::SwapFileName;

std::string PartitionFolder::path_of(std::string_view name) const {
    return path_ + "/" + std::string(name);
}

Task<DiskResult<FilePtr>> PartitionFolder::create_cleaned(Offset segment) {
    const std::string path = path_of(storage::cleaned_file_name(segment));
    DLOG_CO_TRY_ASSIGN(FilePtr file,
                       co_await services_.ports.disk.open(path, port::OpenMode::kCreate));
    ++name_changes_;
    DLOG_CO_TRY(co_await services_.ports.disk.truncate(file, 0));
    co_return file;
}

Task<void> PartitionFolder::remove_rewritten(SwapFileName segment) {
    // What stays because of a failure is removed by the next start.
    (void)co_await services_.ports.disk.remove(
        path_of(storage::cleaned_file_name(segment.base_offset)));
    (void)co_await services_.ports.disk.remove(
        path_of(storage::swap_file_name(segment.base_offset, segment.end_offset)));
    ++name_changes_;
}

Task<DiskResult<void>> PartitionFolder::offer_swap(SwapFileName segment, FilePtr file) {
    // Not with the flusher: what producers wait for would wait for this too.
    std::vector<FilePtr> files;
    files.push_back(std::move(file));
    DLOG_CO_TRY(co_await services_.ports.disk.sync(std::move(files), {}));
    DLOG_CO_TRY(co_await services_.ports.disk.rename(
        path_of(storage::cleaned_file_name(segment.base_offset)),
        path_of(storage::swap_file_name(segment.base_offset, segment.end_offset))));
    ++name_changes_;
    co_return co_await sync({});
}

Task<DiskResult<void>> PartitionFolder::remove_names(std::vector<std::string> names) {
    for (const std::string& name : names) {
        const std::string path = path_of(name);
        services_.files.forget(path);
        const auto removed = co_await services_.ports.disk.remove(path);
        ++name_changes_;
        if (!removed && removed.error() != DiskError::kNotFound) {
            co_return unexpected(removed.error());
        }
    }
    co_return co_await sync({});
}

Task<DiskResult<void>> PartitionFolder::finish_swap(SwapFileName segment) {
    DLOG_CO_TRY_ASSIGN(const std::vector<std::string> names,
                       co_await services_.ports.disk.list(path_));
    DLOG_CO_TRY(co_await remove_names(storage::replaced_files(names, segment)));
    const std::string path = file_path(segment.base_offset, FileKind::kLog);
    const auto renamed = co_await services_.ports.disk.rename(
        path_of(storage::swap_file_name(segment.base_offset, segment.end_offset)), path);
    ++name_changes_;
    // Renamed by an earlier call whose sync failed.
    if (!renamed && renamed.error() != DiskError::kNotFound) co_return renamed;
    services_.files.forget(path);
    DLOG_CO_TRY(co_await sync({}));
    swapped_.reset();
    co_return {};
}

Task<DiskResult<void>> PartitionFolder::repair_swaps(storage::SwapRepairs repairs) {
    DLOG_CO_TRY(co_await remove_names(std::move(repairs.remove)));
    if (repairs.finish) DLOG_CO_TRY(co_await finish_swap(*repairs.finish));
    co_return {};
}

}  // namespace dlog::replication
