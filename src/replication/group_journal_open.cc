// A node's start: the journals of the cores that there were become those of the cores that there
// are.
//
// Each start writes a generation of files of its own, `groups-<generation>-<core>-of-<cores>`, and
// no note is taken before all of them are on stable storage; only then the files of others go. So
// the greatest generation of which every file is there is the one that counts, and the files of one
// that is not whole, a start that broke off, say nothing that the one before does not.

#include <algorithm>
#include <charconv>
#include <compare>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/result.h"
#include "replication/group_journal.h"

namespace dlog::replication {

namespace raft = consensus::raft;
using port::DiskResult;
using port::FilePtr;
using port::Task;

namespace {

template <class T>
using Answer = std::expected<T, std::string>;

/// Larger files are not ours.
constexpr std::uint64_t kJournalBytesMax = std::uint64_t{1} << 32;
/// No folder sees so many starts.
constexpr std::uint64_t kGenerationMax = std::uint64_t{1} << 62;
constexpr std::string_view kTemporary = ".tmp";

struct Generation {
    std::uint64_t number = 0;
    std::uint32_t cores = 0;
    auto operator<=>(const Generation&) const = default;
};

struct JournalName {
    Generation generation;
    std::uint32_t core = 0;
};

std::string file_name(const JournalName& name) {
    return "groups-" + std::to_string(name.generation.number) + "-" + std::to_string(name.core) +
           "-of-" + std::to_string(name.generation.cores) + ".journal";
}

/// Takes `before` and a number off the front.
template <class Number>
bool take(std::string_view& text, std::string_view before, Number& number) {
    if (!text.starts_with(before)) return false;
    text.remove_prefix(before.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

std::optional<JournalName> parse(std::string_view text) {
    JournalName name;
    std::string_view rest = text;
    const bool is_ours = take(rest, "groups-", name.generation.number) &&
                         take(rest, "-", name.core) && take(rest, "-of-", name.generation.cores) &&
                         rest == ".journal" && name.core < name.generation.cores &&
                         name.generation.number <= kGenerationMax;
    // Written back, so that no file has two names ("groups-01-...").
    if (!is_ours || file_name(name) != text) return {};
    return name;
}

struct Found {
    std::map<Generation, std::set<std::uint32_t>> generations;
    std::vector<std::string> names;  ///< All files of ours, also those that were being written.
};

Found sort_out(const std::vector<std::string>& names) {
    Found found;
    for (const std::string& name : names) {
        std::string_view stem = name;
        const bool is_temporary = stem.ends_with(kTemporary);
        if (is_temporary) stem.remove_suffix(kTemporary.size());
        const auto parsed = parse(stem);
        if (!parsed) continue;
        found.names.push_back(name);
        if (!is_temporary) found.generations[parsed->generation].insert(parsed->core);
    }
    return found;
}

std::string failure(std::string_view what, const std::string& path, port::DiskError error) {
    return std::string(what) + " " + path + ": " + std::string(port::disk_error_name(error)) + ".";
}

std::string damage(const std::string& path, std::string_view what) {
    return "The file " + path + " " + std::string(what) +
           ". It holds the votes of this node, and a node that forgets a vote can bring about two"
           " leaders in one term: do not delete it to get on. If the partitions have other"
           " replicas, give this machine an empty data folder and a new node.id, let it take the"
           " replicas of the old node over, and remove that one. Otherwise restore the whole data"
           " folder from a backup.";
}

Task<Answer<void>> read_part(port::Disk& disk, std::string path, raft::Groups& groups) {
    const auto contents = co_await port::read_file(disk, path, kJournalBytesMax);
    if (!contents) co_return unexpected(failure("Cannot read", path, contents.error()));
    auto image = raft::read_journal(contents->view());
    if (!image && image.error() == consensus::Error::kUnsupportedVersion) {
        co_return unexpected("The file " + path +
                             " was written by a later version of dlog. Start that version.");
    }
    if (!image) co_return unexpected(damage(path, "is damaged"));
    const std::size_t count = groups.size() + image->groups.size();
    groups.merge(image->groups);
    if (groups.size() < count) {
        co_return unexpected(damage(path, "has a group that another core's has too"));
    }
    co_return {};
}

/// What the generation that counts says; nothing when there has never been one.
Task<Answer<raft::Groups>> read_all(port::Disk& disk, std::string data_dir, Found found) {
    raft::Groups groups;
    if (found.generations.empty()) co_return groups;
    const auto whole =
        std::find_if(found.generations.rbegin(), found.generations.rend(),
                     [](const auto& one) { return one.second.size() == one.first.cores; });
    if (whole == found.generations.rend()) {
        const auto& [generation, cores] = *found.generations.rbegin();
        std::uint32_t missing = 0;
        while (cores.contains(missing)) ++missing;
        co_return unexpected(
            damage(data_dir + "/" + file_name({generation, missing}), "is missing"));
    }
    for (std::uint32_t core = 0; core < whole->first.cores; ++core) {
        DLOG_CO_TRY(
            co_await read_part(disk, data_dir + "/" + file_name({whole->first, core}), groups));
    }
    co_return groups;
}

/// Writes the files of one generation, together on stable storage.
Task<Answer<void>> write_parts(port::Disk& disk, std::vector<JournalPart>& parts) {
    std::vector<FilePtr> files;
    for (JournalPart& part : parts) {
        Buffer contents = raft::begin_journal(part.groups);
        part.size_bytes = contents.size();
        auto file = co_await port::write_file(disk, part.path + std::string(kTemporary),
                                              std::move(contents));
        if (!file) co_return unexpected(failure("Cannot write", part.path, file.error()));
        files.push_back(*std::move(file));
    }
    DiskResult<void> done = co_await disk.sync(std::move(files), {});
    for (const JournalPart& part : parts) {
        if (done) done = co_await disk.rename(part.path + std::string(kTemporary), part.path);
    }
    if (done) {
        std::vector<std::string> directories(1, port::parent_path(parts.front().path));
        done = co_await disk.sync({}, std::move(directories));
    }
    if (!done) co_return unexpected(failure("Cannot write", parts.front().path, done.error()));
    co_return {};
}

Task<Answer<void>> remove_all(port::Disk& disk, std::string data_dir,
                              std::vector<std::string> names) {
    for (const std::string& name : names) {
        const std::string path = data_dir + "/" + name;
        const auto removed = co_await disk.remove(path);
        if (!removed) co_return unexpected(failure("Cannot remove", path, removed.error()));
    }
    // A file that came back with a loss of power could count when one of the new ones is lost.
    std::vector<std::string> directories(1, data_dir);
    const auto synced = co_await disk.sync({}, std::move(directories));
    if (!synced) co_return unexpected(failure("Cannot write", data_dir, synced.error()));
    co_return {};
}

}  // namespace

Task<Answer<std::vector<JournalPart>>> open_group_journals(port::Ports ports, std::string data_dir,
                                                           std::uint32_t cores, GroupOwner owner) {
    DLOG_ASSERT(cores > 0);
    port::Disk& disk = ports.disk;
    const auto names = co_await disk.list(data_dir);
    if (!names) co_return unexpected(failure("Cannot read", data_dir, names.error()));
    const Found found = sort_out(*names);
    DLOG_CO_TRY_ASSIGN(raft::Groups groups, co_await read_all(disk, data_dir, found));
    std::vector<std::string> old = found.names;
    std::uint64_t number = 1;
    if (found.generations.empty()) {
        // One file is there or not: of files that are not all there some are lost, also when it is
        // the first start that broke off.
        const JournalName first{.generation = {.number = number, .cores = 1}, .core = 0};
        std::vector<JournalPart> empty(1);
        empty[0].path = data_dir + "/" + file_name(first);
        DLOG_CO_TRY(co_await write_parts(disk, empty));
        std::erase(old, file_name(first) + std::string(kTemporary));
        old.push_back(file_name(first));
    } else {
        number = found.generations.rbegin()->first.number;
    }
    std::vector<JournalPart> parts(cores);
    const Generation generation{.number = number + 1, .cores = cores};
    for (std::uint32_t core = 0; core < cores; ++core) {
        const std::string name = file_name({generation, core});
        parts[core].path = data_dir + "/" + name;
        std::erase(old, name + std::string(kTemporary));
    }
    while (!groups.empty()) {
        auto group = groups.extract(groups.begin());
        const CoreId core = owner(group.key());
        DLOG_ASSERT(core.value < cores, core, cores);
        parts[core.value].groups.insert(std::move(group));
    }
    DLOG_CO_TRY(co_await write_parts(disk, parts));
    DLOG_CO_TRY(co_await remove_all(disk, data_dir, std::move(old)));
    co_return parts;
}

}  // namespace dlog::replication
