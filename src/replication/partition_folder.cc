#include "replication/partition_folder.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "replication/services.h"

namespace dlog::replication {

using port::DiskError;
using port::DiskResult;
using port::FilePtr;
using port::Task;
using storage::FileKind;

namespace {

/// Larger files of these kinds are not ours.
constexpr std::uint64_t kIndexFileBytesMax = std::uint64_t{1} << 30;
constexpr std::uint64_t kCheckpointBytesMax = std::uint64_t{1} << 30;
constexpr std::size_t kUnsyncedIndexesMax = 32;

}  // namespace

std::string PartitionFolder::file_path(Offset segment, FileKind kind) const {
    return path_ + "/" + storage::segment_file_name(segment, kind);
}

Task<DiskResult<void>> PartitionFolder::perform(std::vector<storage::WriteStep> steps) {
    for (storage::WriteStep& step : steps) DLOG_CO_TRY(co_await perform_one(std::move(step)));
    co_return {};
}

Task<DiskResult<void>> PartitionFolder::perform_one(storage::WriteStep step) {
    if (auto* write = std::get_if<storage::WriteBytes>(&step)) {
        DLOG_CO_TRY_ASSIGN(FilePtr file, co_await open_segment(write->segment));
        co_return co_await services_.ports.disk.write(std::move(file), write->position,
                                                      std::move(write->parts));
    }
    if (const auto* create_step = std::get_if<storage::CreateSegment>(&step)) {
        co_return co_await create(create_step->segment);
    }
    if (auto* seal_step = std::get_if<storage::SealSegment>(&step)) {
        co_return co_await seal(std::move(*seal_step));
    }
    if (const auto* truncate = std::get_if<storage::TruncateSegment>(&step)) {
        DLOG_CO_TRY_ASSIGN(FilePtr file, co_await open_segment(truncate->segment));
        co_return co_await services_.ports.disk.truncate(std::move(file), truncate->size_bytes);
    }
    if (const auto* remove_step = std::get_if<storage::RemoveSegment>(&step)) {
        co_return co_await remove_files(remove_step->segment, true);
    }
    if (const auto* indexes = std::get_if<storage::RemoveIndexes>(&step)) {
        co_return co_await remove_files(indexes->segment, false);
    }
    const auto& aside = std::get<storage::SetAsideSegment>(step);
    const std::string from = file_path(aside.segment, FileKind::kLog);
    services_.files.forget(from);
    const auto renamed = co_await services_.ports.disk.rename(from, from + ".aside");
    ++name_changes_;
    co_return renamed;
}

Task<DiskResult<void>> PartitionFolder::create(Offset segment) {
    if (!is_made_) {
        DLOG_CO_TRY(co_await services_.ports.disk.make_directories(path_));
        is_made_ = true;
        ++folder_changes_;
    }
    DLOG_CO_TRY_ASSIGN(FilePtr file,
                       co_await services_.files.get(file_path(segment, FileKind::kLog), true));
    ++name_changes_;
    co_return co_await services_.ports.disk.truncate(std::move(file), 0);
}

Task<DiskResult<void>> PartitionFolder::seal(storage::SealSegment step) {
    DLOG_ASSERT(step.index != nullptr);
    if (!step.index->is_complete()) co_return {};
    const Buffer contents[] = {step.index->encode_offsets(), step.index->encode_times()};
    const FileKind kinds[] = {FileKind::kIndex, FileKind::kTimeIndex};
    for (std::size_t i = 0; i < 2; ++i) {
        const std::string path = file_path(step.segment, kinds[i]);
        auto written = co_await port::write_file(services_.ports.disk, path, contents[i]);
        if (!written) {
            services_.ports.log.warn(
                "an index could not be written; it will be rebuilt when wanted",
                {{"file", path}, {"error", port::disk_error_name(written.error())}});
            break;
        }
        ++name_changes_;
        unsynced_indexes_.push_back(*std::move(written));
    }
    // An index that is lost is built anew: holding its file open is not worth a descriptor for
    // long.
    if (unsynced_indexes_.size() > kUnsyncedIndexesMax) unsynced_indexes_.clear();
    co_return {};
}

Task<DiskResult<void>> PartitionFolder::remove_files(Offset segment, bool with_log) {
    for (const FileKind kind : {FileKind::kLog, FileKind::kIndex, FileKind::kTimeIndex}) {
        if (kind == FileKind::kLog && !with_log) continue;
        const std::string path = file_path(segment, kind);
        services_.files.forget(path);
        services_.indexes.erase(path);
        const auto removed = co_await services_.ports.disk.remove(path);
        ++name_changes_;
        if (!removed && removed.error() != DiskError::kNotFound) {
            co_return unexpected(removed.error());
        }
    }
    co_return {};
}

Task<DiskResult<void>> PartitionFolder::sync(std::vector<Offset> segments) {
    std::vector<FilePtr> files;
    for (const Offset segment : segments) {
        auto file = co_await open_segment(segment);
        if (!file && file.error() == DiskError::kNotFound) continue;
        if (!file) co_return unexpected(file.error());
        files.push_back(*std::move(file));
    }
    for (FilePtr& index : std::exchange(unsynced_indexes_, {})) files.push_back(std::move(index));
    const std::uint64_t name_changes = name_changes_;
    const std::uint64_t folder_changes = folder_changes_;
    std::vector<std::string> directories;
    if (name_changes > name_changes_synced_) directories.push_back(path_);
    if (folder_changes > folder_changes_synced_) {
        const std::string topic = port::parent_path(path_);
        directories.push_back(topic);
        directories.push_back(port::parent_path(topic));
        if (!services_.is_data_dir_synced) {
            directories.push_back(services_.config.data_dir);
            directories.push_back(port::parent_path(services_.config.data_dir));
        }
    }
    if (files.empty() && directories.empty()) co_return {};
    const auto synced = co_await services_.flusher.sync(std::move(files), std::move(directories));
    if (synced) {
        name_changes_synced_ = std::max(name_changes_synced_, name_changes);
        folder_changes_synced_ = std::max(folder_changes_synced_, folder_changes);
        if (folder_changes > 0) services_.is_data_dir_synced = true;
    }
    co_return synced;
}

Task<DiskResult<FilePtr>> PartitionFolder::open_segment(Offset segment) {
    if (swapped_ && swapped_->segment == segment) co_return swapped_->file;
    co_return co_await services_.files.get(file_path(segment, FileKind::kLog));
}

Task<DiskResult<Buffer>> PartitionFolder::read_segment(Offset segment, std::uint64_t position,
                                                       std::size_t size_bytes) {
    DLOG_CO_TRY_ASSIGN(FilePtr file, co_await open_segment(segment));
    Buffer bytes = Buffer::allocate(size_bytes);
    DLOG_CO_TRY_ASSIGN(
        const std::size_t count,
        co_await services_.ports.disk.read(std::move(file), position, bytes.mutable_view()));
    DLOG_ASSERT(count <= size_bytes, count, size_bytes);
    co_return count == size_bytes ? bytes : bytes.slice(0, count);
}

Task<DiskResult<void>> PartitionFolder::write_again(Offset segment, std::uint64_t begin,
                                                    std::uint64_t end) {
    constexpr std::uint64_t kStepBytes = std::uint64_t{1} << 20;
    while (begin < end) {
        const std::uint64_t size_bytes = std::min(end - begin, kStepBytes);
        DLOG_CO_TRY_ASSIGN(Buffer bytes, co_await read_segment(segment, begin, size_bytes));
        if (bytes.size() < size_bytes) co_return unexpected(DiskError::kIo);
        DLOG_CO_TRY_ASSIGN(FilePtr file, co_await open_segment(segment));
        std::vector<Buffer> parts;
        parts.push_back(std::move(bytes));
        DLOG_CO_TRY(co_await services_.ports.disk.write(std::move(file), begin, std::move(parts)));
        begin += size_bytes;
    }
    co_return {};
}

Task<std::shared_ptr<const storage::SegmentIndex>> PartitionFolder::read_index(Offset segment) {
    const std::string path = file_path(segment, FileKind::kIndex);
    port::Disk& disk = services_.ports.disk;
    const auto offsets = co_await port::read_file(disk, path, kIndexFileBytesMax);
    if (!offsets) co_return nullptr;
    const auto times = co_await port::read_file(disk, file_path(segment, FileKind::kTimeIndex),
                                                kIndexFileBytesMax);
    if (!times) co_return nullptr;
    auto index = storage::SegmentIndex::decode(offsets->view(), times->view());
    if (!index || index->base_offset() != segment) {
        services_.ports.log.warn("an index is damaged and will be rebuilt", {{"file", path}});
        co_return nullptr;
    }
    co_return std::make_shared<const storage::SegmentIndex>(*std::move(index));
}

Task<DiskResult<std::optional<Buffer>>> PartitionFolder::read_checkpoint() {
    const std::string path = path_ + "/" + std::string(storage::kCheckpointFileName);
    auto contents = co_await port::read_file(services_.ports.disk, path, kCheckpointBytesMax);
    if (contents) {
        has_checkpoint_ = true;
        co_return std::optional<Buffer>(*std::move(contents));
    }
    if (contents.error() == DiskError::kNotFound) co_return std::optional<Buffer>();
    co_return unexpected(contents.error());
}

Task<DiskResult<void>> PartitionFolder::write_checkpoint(Buffer contents) {
    const std::string path = path_ + "/" + std::string(storage::kCheckpointFileName);
    const std::string temporary = path + ".tmp";
    if (!is_made_) {
        DLOG_CO_TRY(co_await services_.ports.disk.make_directories(path_));
        is_made_ = true;
        ++folder_changes_;
    }
    DLOG_CO_TRY_ASSIGN(FilePtr file, co_await port::write_file(services_.ports.disk, temporary,
                                                               std::move(contents)));
    std::vector<FilePtr> files;
    files.push_back(std::move(file));
    DLOG_CO_TRY(co_await services_.flusher.sync(std::move(files), {}));
    DLOG_CO_TRY(co_await services_.ports.disk.rename(temporary, path));
    ++name_changes_;
    const auto synced = co_await sync({});
    has_checkpoint_ |= synced.has_value();
    co_return synced;
}

Task<DiskResult<std::optional<std::vector<std::string>>>> PartitionFolder::names() {
    auto names = co_await services_.ports.disk.list(path_);
    if (names) {
        is_made_ = true;
        ++name_changes_;
        ++folder_changes_;
        co_return std::optional<std::vector<std::string>>(*std::move(names));
    }
    if (names.error() == DiskError::kNotFound) co_return std::optional<std::vector<std::string>>();
    co_return unexpected(names.error());
}

Task<DiskResult<void>> PartitionFolder::remove() {
    services_.files.forget_folder(path_);
    services_.indexes.erase_prefix(path_ + "/");
    const auto removed = co_await services_.ports.disk.remove_all(path_);
    if (!removed && removed.error() != DiskError::kNotFound) co_return removed;
    is_made_ = false;
    has_checkpoint_ = false;
    co_return {};
}

}  // namespace dlog::replication
