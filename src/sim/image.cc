#include "sim/image.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/result.h"

namespace dlog::sim {

using port::DiskError;
using port::OpenMode;

Pages::Pages(const Pages& other) {
    for (const auto& [number, page] : other.pages_) {
        pages_.emplace_hint(pages_.end(), number, std::make_unique<Page>(*page));
    }
}

Pages& Pages::operator=(Pages other) noexcept {
    pages_.swap(other.pages_);
    return *this;
}

void Pages::write(std::uint64_t position, ByteView bytes) {
    while (!bytes.empty()) {
        const std::uint64_t within = position % kPageBytes;
        const std::size_t length = std::min<std::uint64_t>(bytes.size(), kPageBytes - within);
        std::unique_ptr<Page>& page = pages_[position / kPageBytes];
        if (page == nullptr) page = std::make_unique<Page>();
        std::memcpy(page->bytes + within, bytes.data(), length);
        bytes = bytes.subspan(length);
        position += length;
    }
}

void Pages::read(std::uint64_t position, MutableBytes into) const {
    while (!into.empty()) {
        const std::uint64_t within = position % kPageBytes;
        const std::size_t length = std::min<std::uint64_t>(into.size(), kPageBytes - within);
        const auto found = pages_.find(position / kPageBytes);
        if (found == pages_.end()) {
            std::memset(into.data(), 0, length);
        } else {
            std::memcpy(into.data(), found->second->bytes + within, length);
        }
        into = into.subspan(length);
        position += length;
    }
}

void Pages::cut(std::uint64_t size) {
    const std::uint64_t within = size % kPageBytes;
    if (within != 0) {
        const auto last = pages_.find(size / kPageBytes);
        if (last != pages_.end()) {
            std::memset(last->second->bytes + within, 0, kPageBytes - within);
        }
    }
    pages_.erase(pages_.lower_bound((size + kPageBytes - 1) / kPageBytes), pages_.end());
}

std::uint64_t Pages::missing(std::uint64_t position, std::uint64_t length) const {
    if (length == 0) return 0;
    const std::uint64_t first = position / kPageBytes;
    const std::uint64_t last = (position + length - 1) / kPageBytes;
    const auto present = std::distance(pages_.lower_bound(first), pages_.upper_bound(last));
    return last - first + 1 - static_cast<std::uint64_t>(present);
}

Image::Image(std::uint64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {
    root_ = make_inode(true);
    root_->names = 1;
}

InodePtr Image::make_inode(bool is_directory) {
    auto inode = std::make_shared<Inode>();
    inode->id = next_inode_++;
    inode->is_directory = is_directory;
    return inode;
}

namespace {

/// Takes the next component off a path; empty at its end.
std::string_view next_component(std::string_view& path) {
    while (true) {
        while (!path.empty() && path.front() == '/') path.remove_prefix(1);
        const std::string_view component = path.substr(0, path.find('/'));
        path.remove_prefix(component.size());
        DLOG_ASSERT(component != "..", path);
        if (component != ".") return component;
    }
}

}  // namespace

Image::Result<InodePtr> Image::find(std::string_view path) const {
    InodePtr at = root_;
    while (true) {
        const std::string_view component = next_component(path);
        if (component.empty()) return at;
        const auto found = at->entries.find(std::string(component));
        if (!at->is_directory || found == at->entries.end()) {
            return unexpected(DiskError::kNotFound);
        }
        at = found->second;
    }
}

Image::Result<Image::Place> Image::locate(std::string_view path) const {
    DLOG_TRY_ASSIGN(InodePtr directory, find(port::parent_path(path)));
    if (!directory->is_directory) return unexpected(DiskError::kNotFound);
    const std::size_t slash = path.rfind('/');
    std::string name(slash == std::string_view::npos ? path : path.substr(slash + 1));
    DLOG_ASSERT(!name.empty() && name != ".", path);
    return Place{std::move(directory), std::move(name)};
}

void Image::link(const Place& place, InodePtr inode) {
    ++inode->names;
    place.directory->entries[place.name] = std::move(inode);
}

void Image::unlink(const Place& place) {
    const auto found = place.directory->entries.find(place.name);
    DLOG_ASSERT(found != place.directory->entries.end(), place.name);
    const InodePtr inode = found->second;
    place.directory->entries.erase(found);
    --inode->names;
    release_if_gone(*inode);
}

void Image::release_if_gone(Inode& inode) {
    if (inode.names > 0 || inode.handles > 0) return;
    DLOG_ASSERT(used_pages_ >= inode.visible.count(), used_pages_);
    used_pages_ -= inode.visible.count();
    inode.visible = Pages();
    inode.size = 0;
}

Image::Result<InodePtr> Image::open(std::string_view path, OpenMode mode) {
    if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite) {
        DLOG_TRY_ASSIGN(InodePtr file, find(path));
        if (file->is_directory) return unexpected(DiskError::kDenied);
        return file;
    }
    DLOG_TRY_ASSIGN(const Place place, locate(path));
    const auto found = place.directory->entries.find(place.name);
    if (found != place.directory->entries.end()) {
        if (mode == OpenMode::kCreateNew) return unexpected(DiskError::kExists);
        if (found->second->is_directory) return unexpected(DiskError::kDenied);
        return found->second;
    }
    InodePtr file = make_inode(false);
    link(place, file);
    name_changes_.push_back({.sequence = next_sequence_++,
                             .directory = place.directory,
                             .name = place.name,
                             .made = file,
                             .from_directory = nullptr,
                             .from_name = {}});
    return file;
}

Image::Result<void> Image::write(Inode& file, std::uint64_t position, ByteView bytes) {
    const std::uint64_t free_pages =
        capacity_bytes_ > used_bytes() ? (capacity_bytes_ - used_bytes()) / kPageBytes : 0;
    const std::size_t wanted = bytes.size();
    while (file.visible.missing(position, bytes.size()) > free_pages) {
        // Gives up the last page's worth until the rest fits.
        const std::uint64_t last = (position + bytes.size() - 1) / kPageBytes * kPageBytes;
        bytes = bytes.first(last > position ? last - position : 0);
    }
    if (!bytes.empty()) {
        used_pages_ += file.visible.missing(position, bytes.size());
        file.visible.write(position, bytes);
        file.size = std::max(file.size, position + bytes.size());
        Inode::Change change;
        change.sequence = next_sequence_++;
        change.position = position;
        change.bytes.assign(bytes.begin(), bytes.end());
        change.size_after = file.size;
        file.unsynced.push_back(std::move(change));
    }
    if (bytes.size() < wanted) return unexpected(DiskError::kNoSpace);
    return {};
}

std::size_t Image::read(const Inode& file, std::uint64_t position, MutableBytes into) {
    if (position >= file.size) return 0;
    const std::size_t length = std::min<std::uint64_t>(into.size(), file.size - position);
    file.visible.read(position, into.first(length));
    return length;
}

void Image::truncate(Inode& file, std::uint64_t size) {
    const std::uint64_t pages_before = file.visible.count();
    if (size < file.size) file.visible.cut(size);
    used_pages_ -= pages_before - file.visible.count();
    file.size = size;
    Inode::Change change;
    change.sequence = next_sequence_++;
    change.is_truncation = true;
    change.size_after = size;
    file.unsynced.push_back(std::move(change));
}

Image::Result<void> Image::remove(std::string_view path) {
    DLOG_TRY_ASSIGN(const Place place, locate(path));
    const auto found = place.directory->entries.find(place.name);
    if (found == place.directory->entries.end()) return unexpected(DiskError::kNotFound);
    if (found->second->is_directory && !found->second->entries.empty()) {
        return unexpected(DiskError::kDenied);
    }
    remove_tree(place);
    return {};
}

Image::Result<void> Image::remove_all(std::string_view path) {
    DLOG_TRY_ASSIGN(const Place place, locate(path));
    if (!place.directory->entries.contains(place.name)) return unexpected(DiskError::kNotFound);
    remove_tree(place);
    return {};
}

void Image::remove_tree(const Place& place) {
    const InodePtr inode = place.directory->entries.at(place.name);
    while (!inode->entries.empty()) remove_tree({inode, inode->entries.begin()->first});
    unlink(place);
    name_changes_.push_back({.sequence = next_sequence_++,
                             .directory = place.directory,
                             .name = place.name,
                             .made = nullptr,
                             .from_directory = nullptr,
                             .from_name = {}});
}

Image::Result<void> Image::rename(std::string_view from, std::string_view to) {
    DLOG_TRY_ASSIGN(const Place source, locate(from));
    DLOG_TRY_ASSIGN(const Place target, locate(to));
    const auto found = source.directory->entries.find(source.name);
    if (found == source.directory->entries.end()) return unexpected(DiskError::kNotFound);
    const InodePtr inode = found->second;
    const auto replaced = target.directory->entries.find(target.name);
    if (replaced != target.directory->entries.end()) {
        if (replaced->second == inode) return {};
        if (replaced->second->is_directory != inode->is_directory ||
            !replaced->second->entries.empty()) {
            return unexpected(DiskError::kExists);
        }
        unlink(target);
    }
    link(target, inode);
    unlink(source);
    name_changes_.push_back({.sequence = next_sequence_++,
                             .directory = target.directory,
                             .name = target.name,
                             .made = inode,
                             .from_directory = source.directory,
                             .from_name = source.name});
    return {};
}

Image::Result<void> Image::make_directories(std::string_view path) {
    InodePtr at = root_;
    while (true) {
        const std::string name(next_component(path));
        if (name.empty()) return {};
        const auto found = at->entries.find(name);
        if (found != at->entries.end()) {
            if (!found->second->is_directory) return unexpected(DiskError::kExists);
            at = found->second;
            continue;
        }
        const InodePtr made = make_inode(true);
        link({at, name}, made);
        name_changes_.push_back({.sequence = next_sequence_++,
                                 .directory = at,
                                 .name = name,
                                 .made = made,
                                 .from_directory = nullptr,
                                 .from_name = {}});
        at = made;
    }
}

void Image::sync_file(Inode& file, std::uint64_t until) {
    std::size_t covered = 0;
    for (; covered < file.unsynced.size(); ++covered) {
        const Inode::Change& change = file.unsynced[covered];
        if (change.sequence >= until) break;
        if (change.is_truncation) {
            file.durable.cut(change.size_after);
        } else {
            file.durable.write(change.position, change.bytes);
        }
        file.durable_size = change.size_after;
    }
    file.unsynced.erase(file.unsynced.begin(),
                        file.unsynced.begin() + static_cast<std::ptrdiff_t>(covered));
}

namespace {

using NameKey = std::pair<std::uint64_t, std::string>;

}  // namespace

void Image::persist(const NameChange& change) {
    if (change.from_directory != nullptr) {
        change.from_directory->durable_entries.erase(change.from_name);
    }
    if (change.made != nullptr) {
        change.directory->durable_entries[change.name] = change.made;
    } else {
        change.directory->durable_entries.erase(change.name);
    }
}

void Image::sync_directory(const InodePtr& directory, std::uint64_t until) {
    // A change is kept together with the earlier ones of the same names, in whichever folder.
    std::set<NameKey> needed;
    std::vector<bool> is_kept(name_changes_.size());
    for (std::size_t at = name_changes_.size(); at-- > 0;) {
        const NameChange& change = name_changes_[at];
        if (change.sequence >= until) continue;
        const NameKey key(change.directory->id, change.name);
        const bool is_rename = change.from_directory != nullptr;
        const NameKey from(is_rename ? change.from_directory->id : 0, change.from_name);
        is_kept[at] = change.directory == directory || change.from_directory == directory ||
                      needed.contains(key) || (is_rename && needed.contains(from));
        if (!is_kept[at]) continue;
        needed.insert(key);
        if (is_rename) needed.insert(from);
    }
    std::vector<NameChange> rest;
    for (std::size_t at = 0; at < name_changes_.size(); ++at) {
        if (is_kept[at]) {
            persist(name_changes_[at]);
        } else {
            rest.push_back(std::move(name_changes_[at]));
        }
    }
    name_changes_ = std::move(rest);
}

void Image::closed(Inode& file) {
    if (file.handles == 0) return;  // of an earlier life
    --file.handles;
    release_if_gone(file);
}

void Image::settle_names(Random& random) {
    enum Style : std::uint64_t { kNone, kAll, kEach, kStyles };
    const auto style = random.below(kStyles);
    std::set<NameKey> lost;
    for (const NameChange& change : name_changes_) {
        const NameKey key(change.directory->id, change.name);
        const bool is_rename = change.from_directory != nullptr;
        const NameKey from(is_rename ? change.from_directory->id : 0, change.from_name);
        const bool stays = style == kAll || (style == kEach && random.chance(1, 2));
        if (stays && !lost.contains(key) && !(is_rename && lost.contains(from))) {
            persist(change);
            continue;
        }
        lost.insert(key);
        if (is_rename) lost.insert(from);
    }
    name_changes_.clear();
}

namespace {

enum class Fate : std::uint8_t { kLost, kKept, kCut, kTorn };

/// Writes what a power loss leaves of one write.
void settle_write(Pages& pages, const Inode::Change& change, Fate fate, Random& random) {
    if (fate == Fate::kLost || change.bytes.empty()) return;
    const ByteView bytes = change.bytes;
    if (fate == Fate::kKept) return pages.write(change.position, bytes);
    const std::uint64_t end = change.position + bytes.size();
    const std::uint64_t first_sector = change.position / kSectorBytes;
    const std::uint64_t sectors = (end + kSectorBytes - 1) / kSectorBytes - first_sector;
    const std::uint64_t cut = first_sector + random.below(sectors + 1);
    for (std::uint64_t sector = first_sector; sector < first_sector + sectors; ++sector) {
        const bool stays = fate == Fate::kCut ? sector < cut : random.chance(1, 2);
        if (!stays) continue;
        const std::uint64_t from = std::max(sector * kSectorBytes, change.position);
        const std::uint64_t to = std::min((sector + 1) * kSectorBytes, end);
        pages.write(from, bytes.subspan(from - change.position, to - from));
    }
}

}  // namespace

void Image::fail_sync_of_file(Inode& file, std::uint64_t until, Random& random) {
    for (Inode::Change& change : file.unsynced) {
        if (change.sequence >= until) break;
        if (change.is_truncation || change.bytes.empty()) continue;
        settle_write(file.durable, change, static_cast<Fate>(random.below(4)), random);
        // What remains of it is the size, which belongs to the journal.
        change.bytes.clear();
    }
}

void Image::settle_file(Inode& file, Random& random) {
    const std::size_t count = file.unsynced.size();
    if (count == 0) return;
    enum Style : std::uint64_t { kNone, kAll, kUpToOne, kEach, kStyles };
    const std::uint64_t style = random.below(kStyles);
    const std::size_t torn_one = random.below(count);
    // How many changes of the size remain.
    std::size_t sizes_kept = random.below(count + 1);
    if (style == kNone) sizes_kept = random.chance(1, 2) ? 0 : sizes_kept;
    if (style == kAll) sizes_kept = count;
    for (std::size_t at = 0; at < count; ++at) {
        const Inode::Change& change = file.unsynced[at];
        if (change.is_truncation) {
            if (at < sizes_kept) file.durable.cut(change.size_after);
        } else if (style == kAll || (style == kUpToOne && at < torn_one)) {
            settle_write(file.durable, change, Fate::kKept, random);
        } else if (style == kUpToOne && at == torn_one) {
            settle_write(file.durable, change, Fate::kCut, random);
        } else if (style == kEach) {
            settle_write(file.durable, change, static_cast<Fate>(random.below(4)), random);
        }
        if (at < sizes_kept) file.durable_size = change.size_after;
    }
    file.durable.cut(file.durable_size);
    file.unsynced.clear();
}

void Image::reload(Inode& inode, Random* random) {
    inode.handles = 0;
    inode.locked_by = nullptr;
    inode.entries = inode.durable_entries;
    for (const auto& [name, child] : inode.entries) {
        child->names = 1;
        if (child->is_directory) {
            reload(*child, random);
            continue;
        }
        settle_file(*child, *random);
        child->handles = 0;
        child->locked_by = nullptr;
        child->visible = child->durable;
        child->size = child->durable_size;
        used_pages_ += child->visible.count();
    }
}

void Image::lose_power(Random& random) {
    settle_names(random);
    used_pages_ = 0;
    reload(*root_, &random);
}

namespace {

void forget_handles_under(Inode& inode) {
    inode.handles = 0;
    inode.locked_by = nullptr;
    for (const auto& [name, child] : inode.entries) forget_handles_under(*child);
}

void list_files(const Inode& inode, const std::string& path, std::vector<std::string>& files) {
    for (const auto& [name, child] : inode.entries) {
        const std::string child_path =
            path.empty() || path == "/" ? path + name : path + "/" + name;
        if (child->is_directory) {
            list_files(*child, child_path, files);
        } else {
            files.push_back(child_path);
        }
    }
}

}  // namespace

void Image::forget_handles() {
    forget_handles_under(*root_);
}

void Image::flip_bit(Inode& file, std::uint64_t position, unsigned bit) {
    DLOG_ASSERT(position < file.size && bit < 8, position, file.size, bit);
    std::uint8_t byte = 0;
    file.visible.read(position, MutableBytes(&byte, 1));
    byte ^= static_cast<std::uint8_t>(1U << bit);
    file.visible.write(position, ByteView(&byte, 1));
    if (position >= file.durable_size) return;
    file.durable.read(position, MutableBytes(&byte, 1));
    byte ^= static_cast<std::uint8_t>(1U << bit);
    file.durable.write(position, ByteView(&byte, 1));
}

std::vector<std::string> Image::files_under(std::string_view path) const {
    std::vector<std::string> files;
    const Result<InodePtr> found = find(path);
    if (found && (*found)->is_directory) list_files(**found, std::string(path), files);
    return files;
}

}  // namespace dlog::sim
