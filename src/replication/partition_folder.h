/// A partition's folder: performs the storage machine's steps on files and reads what it asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "port/disk.h"
#include "port/task.h"
#include "storage/index.h"
#include "storage/segment.h"
#include "storage/swap.h"
#include "storage/write_plan.h"

namespace dlog::replication {

struct ShardServices;

/// Belongs to one core. Knows names and files; decides nothing.
class PartitionFolder {
  public:
    PartitionFolder(ShardServices& services, std::string path)
        : services_(services), path_(std::move(path)) {}

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string file_path(Offset segment, storage::FileKind kind) const;

    /// Performs the steps in order; stops at the first that fails.
    [[nodiscard]] port::Task<port::DiskResult<void>> perform(std::vector<storage::WriteStep> steps);
    /// Syncs the .log files of `segments`, and the names in the folder when perform has changed any
    /// since the last time. A segment whose file is gone is passed over.
    [[nodiscard]] port::Task<port::DiskResult<void>> sync(std::vector<Offset> segments);

    [[nodiscard]] port::Task<port::DiskResult<port::FilePtr>> open_segment(Offset segment);
    /// Fewer bytes only at the end of the file.
    [[nodiscard]] port::Task<port::DiskResult<Buffer>> read_segment(Offset segment,
                                                                    std::uint64_t position,
                                                                    std::size_t size_bytes);
    /// Writes the bytes [begin, end) of a .log over themselves.
    [[nodiscard]] port::Task<port::DiskResult<void>> write_again(Offset segment,
                                                                 std::uint64_t begin,
                                                                 std::uint64_t end);
    // Compaction: a segment is written under another name and takes its own in steps (swap.h).

    /// An empty file for the rewritten segment.
    [[nodiscard]] port::Task<port::DiskResult<port::FilePtr>> create_cleaned(Offset segment);
    /// The rewritten segment will not be used.
    [[nodiscard]] port::Task<void> remove_rewritten(storage::SwapFileName segment);
    /// The rewritten segment is whole: syncs it and gives it the name under which a start finds it.
    [[nodiscard]] port::Task<port::DiskResult<void>> offer_swap(storage::SwapFileName segment,
                                                                port::FilePtr file);
    /// From now on `segment` is read from `file`, whatever the names say.
    void read_from(Offset segment, port::FilePtr file) { swapped_ = {segment, std::move(file)}; }
    /// No segment is any longer.
    void read_by_names() { swapped_.reset(); }
    /// Removes what the rewritten segment takes the place of and gives it its name, each step
    /// synced. May be called again after a failure.
    [[nodiscard]] port::Task<port::DiskResult<void>> finish_swap(storage::SwapFileName segment);
    /// Brings what a compaction left to its end or back, before a start looks at the folder.
    [[nodiscard]] port::Task<port::DiskResult<void>> repair_swaps(storage::SwapRepairs repairs);

    /// The index files of a sealed segment; nullptr when one is missing or damaged.
    [[nodiscard]] port::Task<std::shared_ptr<const storage::SegmentIndex>> read_index(
        Offset segment);

    /// Nothing when there is no such file.
    [[nodiscard]] port::Task<port::DiskResult<std::optional<Buffer>>> read_checkpoint();
    /// Replaces the checkpoint, durably.
    [[nodiscard]] port::Task<port::DiskResult<void>> write_checkpoint(Buffer contents);
    /// One has been read or written.
    [[nodiscard]] bool has_checkpoint() const { return has_checkpoint_; }
    /// Nothing when there is no such folder.
    [[nodiscard]] port::Task<port::DiskResult<std::optional<std::vector<std::string>>>> names();
    [[nodiscard]] port::Task<port::DiskResult<void>> remove();

  private:
    [[nodiscard]] port::Task<port::DiskResult<void>> perform_one(storage::WriteStep step);
    [[nodiscard]] port::Task<port::DiskResult<void>> create(Offset segment);
    [[nodiscard]] port::Task<port::DiskResult<void>> seal(storage::SealSegment step);
    [[nodiscard]] port::Task<port::DiskResult<void>> remove_files(Offset segment, bool with_log);
    [[nodiscard]] port::Task<port::DiskResult<void>> remove_names(std::vector<std::string> names);
    [[nodiscard]] std::string path_of(std::string_view name) const;

    ShardServices& services_;
    std::string path_;
    bool is_made_ = false;  ///< the folder is known to exist
    bool has_checkpoint_ = false;
    /// Indexes that were written and go with the next sync.
    std::vector<port::FilePtr> unsynced_indexes_;
    /// A segment whose file still has another name.
    struct Swapped {
        Offset segment;
        port::FilePtr file;
    };
    std::optional<Swapped> swapped_;
    /// How often names in the folder, and the folder's own, were changed, and up to which change
    /// they are synced. A change counts when it has been made: a sync that began before does not
    /// cover it. What an earlier life of the node left may not be synced either.
    std::uint64_t name_changes_ = 0;
    std::uint64_t name_changes_synced_ = 0;
    std::uint64_t folder_changes_ = 0;
    std::uint64_t folder_changes_synced_ = 0;
};

}  // namespace dlog::replication
