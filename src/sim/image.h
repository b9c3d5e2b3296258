/// What is on a simulated disk, and what a power loss leaves of it.
///
/// The fault model
/// - A sector is 512 bytes and never tears. Bytes that a `sync` of their file covered never change
///   by themselves, except for bits that a test flips.
/// - Content. Every write and truncation since the last sync is remembered. At a power loss each
///   file is dealt with in one of four ways, at random: nothing of them remains; all of it remains;
///   all up to one write, which is cut at a sector; or each write by itself is kept, lost or torn,
///   torn meaning that any subset of its sectors is there, later writes without earlier ones too.
/// - Size. It is changed by a journal of its own, in order: any prefix of the changes of a file's
///   size remains, independently of the data. So a file may be longer than what is in it (the rest
///   reads as zeros), or end before data that did reach the disk. A truncation is such a change.
/// - Names. Making, removing or renaming a name is remembered until its folder is synced (a rename
///   into another folder: either of the two). At a power loss each such change is kept or lost by
///   itself, except that a change is lost with an earlier lost one of the same name. A rename is
///   atomic: the new name is the old file or the new file, never none, and the old name is gone
///   exactly when the new name is there. Syncing a file does not keep its name.
/// - A failed sync leaves the covered writes visible until the power loss. Any of their sectors are
///   on the disk by then; the others never will be, as in Linux, where the pages count as clean.
///   A failed write leaves any prefix.
/// - Full: space is counted in pages of 4 KiB; a write that does not fit leaves a prefix.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "port/disk.h"

namespace dlog::sim {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t kSectorBytes = 512;

/// Sparse bytes; what was never written reads as zero.
class Pages {
  public:
    Pages() = default;
    Pages(const Pages& other);
    Pages& operator=(Pages other) noexcept;
    void write(std::uint64_t position, ByteView bytes);
    void read(std::uint64_t position, MutableBytes into) const;
    /// Forgets everything from `size` on.
    void cut(std::uint64_t size);
    [[nodiscard]] std::uint64_t count() const { return pages_.size(); }
    /// How many pages writing [position, position + length) would add.
    [[nodiscard]] std::uint64_t missing(std::uint64_t position, std::uint64_t length) const;

  private:
    struct Page {
        std::uint8_t bytes[kPageBytes] = {};
    };
    std::map<std::uint64_t, std::unique_ptr<Page>> pages_;
};

struct Inode;
using InodePtr = std::shared_ptr<Inode>;

/// A file or a folder.
struct Inode {
    /// A change of a file's content that no sync has covered.
    struct Change {
        std::uint64_t sequence = 0;
        bool is_truncation = false;
        std::uint64_t position = 0;
        std::vector<std::uint8_t> bytes;
        std::uint64_t size_after = 0;
    };

    std::uint64_t id = 0;
    bool is_directory = false;

    Pages visible;
    std::uint64_t size = 0;
    Pages durable;
    std::uint64_t durable_size = 0;
    std::vector<Change> unsynced;

    std::map<std::string, InodePtr> entries;
    std::map<std::string, InodePtr> durable_entries;

    std::uint32_t names = 0;    // entries that it has now
    std::uint32_t handles = 0;  // open files
    const void* locked_by = nullptr;
};

/// One host's file system. Synchronous; `SimDisk` adds time and errors.
class Image {
  public:
    explicit Image(std::uint64_t capacity_bytes);

    template <class T>
    using Result = port::DiskResult<T>;

    [[nodiscard]] Result<InodePtr> find(std::string_view path) const;
    Result<InodePtr> open(std::string_view path, port::OpenMode mode);
    /// Writes what fits; kNoSpace when that was not all.
    Result<void> write(Inode& file, std::uint64_t position, ByteView bytes);
    static std::size_t read(const Inode& file, std::uint64_t position, MutableBytes into);
    void truncate(Inode& file, std::uint64_t size);
    Result<void> remove(std::string_view path);
    Result<void> remove_all(std::string_view path);
    Result<void> rename(std::string_view from, std::string_view to);
    Result<void> make_directories(std::string_view path);

    /// What has happened so far; a sync covers what happened before it began.
    [[nodiscard]] std::uint64_t sequence() const { return next_sequence_; }
    static void sync_file(Inode& file, std::uint64_t until);
    static void fail_sync_of_file(Inode& file, std::uint64_t until, Random& random);
    void sync_directory(const InodePtr& directory, std::uint64_t until);

    void opened(Inode& file) { ++file.handles; }
    void closed(Inode& file);

    /// Power is lost: what is not durable is kept, torn or lost. No handle is used afterwards.
    void lose_power(Random& random);
    /// The process died, the system did not: everything visible stays.
    void forget_handles();

    /// Flips one bit of what the file has, on the disk and in the cache.
    static void flip_bit(Inode& file, std::uint64_t position, unsigned bit);

    [[nodiscard]] std::uint64_t used_bytes() const { return used_pages_ * kPageBytes; }
    [[nodiscard]] std::uint64_t capacity_bytes() const { return capacity_bytes_; }
    void set_capacity_bytes(std::uint64_t bytes) { capacity_bytes_ = bytes; }
    [[nodiscard]] const InodePtr& root() const { return root_; }
    /// Paths of all files under a folder, sorted.
    [[nodiscard]] std::vector<std::string> files_under(std::string_view path) const;

  private:
    /// A change of names that no sync of a folder has covered.
    struct NameChange {
        std::uint64_t sequence = 0;
        InodePtr directory;
        std::string name;
        InodePtr made;  // null: the name was removed
        // A rename also removes this one.
        InodePtr from_directory;
        std::string from_name;
    };
    struct Place {
        InodePtr directory;
        std::string name;
    };
    [[nodiscard]] Result<Place> locate(std::string_view path) const;
    InodePtr make_inode(bool is_directory);
    void link(const Place& place, InodePtr inode);
    void unlink(const Place& place);
    void release_if_gone(Inode& inode);
    void remove_tree(const Place& place);
    static void persist(const NameChange& change);
    static void settle_file(Inode& file, Random& random);
    void settle_names(Random& random);
    void reload(Inode& inode, Random* random);

    InodePtr root_;
    std::vector<NameChange> name_changes_;
    std::uint64_t capacity_bytes_;
    std::uint64_t used_pages_ = 0;
    std::uint64_t next_sequence_ = 1;
    std::uint64_t next_inode_ = 1;
};

}  // namespace dlog::sim
